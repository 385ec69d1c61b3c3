use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::ticks;
use tokio::sync::oneshot;

use super::prompt::{Prompt, Sender, prompt};
use super::rebalance::{Progress, RATE, Rebalancing, STEPS, Selection, Terms};
use super::sweep::{Census, IdleTicks, SweptTables, remove_flows_to, sweep};
use crate::config::Timers;

/// The shortest rest between two sweeps. Flows are timed in ticks of a second.
const REST: Duration = Duration::from_secs(1);

/// A sweep of so long is followed by a rest of this many times that: at most a twentieth of one
/// CPU. So is a look for flows that are to move.
const REST_FACTOR: u32 = 20;

/// Between two slices of a sweep, so that whoever waits for the CPU gets it.
const PAUSE: Duration = Duration::from_micros(100);

/// Between two steps of a rebalancing.
const STEP: Duration = Duration::from_millis(1000 / STEPS as u64);

/// Between segments that LAN hosts are prompted by, a few at a time.
const PROMPT_REST: Duration = Duration::from_millis(1);

/// How often a rebalancing looks whether those that wait are silent, at most.
const LOOK: Duration = Duration::from_secs(2);

/// Sweeps the tables of flows and mappings, and moves flows, on a thread of its own, until it is dropped.
pub struct Sweeper {
    shared: Arc<Shared>,
    /// That it is gone ends the thread.
    orders: mpsc::Sender<Order>,
}

/// What the thread is told to do.
enum Order {
    /// Remove the flows to networks that have become the LAN's.
    Remove(Vec<Ipv4Net>),
    /// Move flows. Who wants to know is told what that comes to.
    Rebalance(Terms, Option<oneshot::Sender<Progress>>),
    /// Have hosts speak on their connections.
    Prompt(Prompt),
}

struct Shared {
    /// What the latest pass has left, and the how manieth it was.
    census: Mutex<(Census, u64)>,
    idle: Mutex<IdleTicks>,
    selection: Mutex<Arc<Selection>>,
    progress: Mutex<Option<Progress>>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start<T: SweptTables + Send + 'static>(tables: T, timers: &Timers) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let shared = Arc::new(Shared {
            census: Mutex::default(),
            idle: Mutex::new(timers.into()),
            selection: Mutex::default(),
            progress: Mutex::default(),
        });
        let thread = Thread::new(tables, Arc::clone(&shared));
        thread::Builder::new().name("sweeper".into()).spawn(move || thread.run(&received))?;
        Ok(Self { shared, orders })
    }

    /// Goes over to other timers.
    pub fn set_timers(&self, timers: &Timers) {
        *lock(&self.shared.idle) = timers.into();
    }

    /// Says what new flows are shared out by from now on.
    pub fn set_selection(&self, selection: Arc<Selection>) {
        *lock(&self.shared.selection) = selection;
    }

    /// Has the flows removed whose remote end is in one of these networks, which have become the LAN's.
    pub fn remove_flows_to(&self, networks: Vec<Ipv4Net>) {
        // The thread ends after this only.
        drop(self.orders.send(Order::Remove(networks)));
    }

    /// Has flows moved to where new ones would go. Whoever has the other end of `reply` is told how many
    /// there are.
    pub fn rebalance(&self, terms: Terms, reply: Option<oneshot::Sender<Progress>>) {
        drop(self.orders.send(Order::Rebalance(terms, reply)));
    }

    /// Has the hosts of these connections speak, for the data plane to reset them: at once, unless a sweep is under
    /// way.
    pub fn prompt(&self, prompt: Prompt) {
        drop(self.orders.send(Order::Prompt(prompt)));
    }

    /// What the latest sweep has left in the tables.
    pub fn census(&self) -> Census {
        lock(&self.shared.census).0
    }

    /// How many sweeps there have been.
    pub fn passes(&self) -> u64 {
        lock(&self.shared.census).1
    }

    /// How far the latest rebalancing has come, if there was one.
    pub fn progress(&self) -> Option<Progress> {
        *lock(&self.shared.progress)
    }
}

/// Nobody panics while holding a lock, and the value is whole at any moment.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread has.
struct Thread<T> {
    tables: T,
    shared: Arc<Shared>,
    /// When the next sweep is due.
    sweep: Instant,
    /// Those whose flows are still to go.
    networks: Vec<Ipv4Net>,
    /// What is being moved, and when the next step, and the next look, is due.
    rebalancing: Option<(Rebalancing, Instant, Instant)>,
    /// By which hosts are prompted.
    sender: Sender,
}

impl<T: SweptTables> Thread<T> {
    fn new(tables: T, shared: Arc<Shared>) -> Self {
        let sweep = Instant::now() + REST;
        let sender = Sender::default();
        Self { tables, shared, sweep, networks: Vec::new(), rebalancing: None, sender }
    }

    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let mut complained = false;
        loop {
            let done = match orders.recv_timeout(self.rest()) {
                Ok(Order::Remove(networks)) => {
                    self.networks.extend(networks);
                    Ok(())
                }
                Ok(Order::Rebalance(terms, reply)) => self.rebalance(terms, reply),
                Ok(Order::Prompt(order)) => self.prompt(&order),
                Err(RecvTimeoutError::Timeout) => self.go_on(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match done.and_then(|()| self.remove()) {
                Ok(()) => complained = false,
                Err(error) if !complained => {
                    log::error!("flows that are to go or to move stay for now: {error}");
                    complained = true;
                }
                Err(_) => {}
            }
        }
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        let step = self.rebalancing.as_ref().map_or(self.sweep, |(_, step, _)| *step);
        step.min(self.sweep).saturating_duration_since(Instant::now())
    }

    fn go_on(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.sweep <= now {
            let done = self.sweep_once();
            self.sweep = Instant::now() + REST.max(now.elapsed() * REST_FACTOR);
            done?;
        }
        self.move_on()
    }

    fn sweep_once(&mut self) -> io::Result<()> {
        let idle = *lock(&self.shared.idle);
        let census =
            sweep(&mut self.tables, now()?, &idle, &mut pause).map_err(io::Error::other)?;
        let mut latest = lock(&self.shared.census);
        *latest = (census, latest.1 + 1);
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        if !self.networks.is_empty() {
            remove_flows_to(&mut self.tables, &self.networks, &mut pause)
                .map_err(io::Error::other)?;
            self.networks.clear();
        }
        Ok(())
    }

    fn prompt(&mut self, order: &Prompt) -> io::Result<()> {
        let Self { tables, sender, .. } = self;
        let send = &mut |interface, frame: &[u8]| sender.send(interface, frame);
        let rest = &mut || thread::sleep(PROMPT_REST);
        prompt(tables.established(), order, send, rest).map_err(io::Error::other)
    }

    fn rebalance(
        &mut self,
        terms: Terms,
        reply: Option<oneshot::Sender<Progress>>,
    ) -> io::Result<()> {
        let selection = Arc::clone(&lock(&self.shared.selection));
        // Two that go on at once become one that does what either would.
        let going_on = self.rebalancing.take().map(|(rebalancing, ..)| rebalancing);
        let terms = going_on.map_or(terms, |going_on| going_on.with(terms));
        let begun = Rebalancing::begin(&mut self.tables, &selection, terms, now()?, &mut pause)
            .map_err(io::Error::other)?;
        let progress = begun.progress();
        *lock(&self.shared.progress) = Some(progress);
        // Who asked may have gone.
        let _ = reply.map(|reply| reply.send(progress));
        let now = Instant::now();
        self.rebalancing = Some((begun, now, now + LOOK));
        Ok(())
    }

    /// Moves the flows that are due by now.
    fn move_on(&mut self) -> io::Result<()> {
        let Some((rebalancing, step, look)) = &mut self.rebalancing else { return Ok(()) };
        let start = Instant::now();
        if *step > start {
            return Ok(());
        }
        // Also where this step fails.
        *step = start + STEP;
        let selection = Arc::clone(&lock(&self.shared.selection));
        rebalancing.step(&mut self.tables, &selection, RATE / STEPS).map_err(io::Error::other)?;
        let is_waiting = |progress: Progress| progress.to_move == 0 && progress.waiting > 0;
        if is_waiting(rebalancing.progress()) && *look <= start {
            rebalancing
                .look_again(&mut self.tables, &selection, now()?, &mut pause)
                .map_err(io::Error::other)?;
            *look = Instant::now() + LOOK.max(start.elapsed() * REST_FACTOR);
        }
        let progress = rebalancing.progress();
        if is_waiting(progress) {
            *step = *look;
        }
        *lock(&self.shared.progress) = Some(progress);
        if progress.is_done() {
            self.rebalancing = None;
            log::info!("rebalance: {} flows were moved, {} stay", progress.moved, progress.staying);
        }
        Ok(())
    }
}

fn pause() {
    thread::sleep(PAUSE);
}

/// The time in ticks, by the clock of the data plane.
fn now() -> io::Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(ticks(Duration::from(now).as_nanos() as u64))
}
