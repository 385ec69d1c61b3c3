use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::ticks;

use super::sweep::{Census, IdleTicks, SweptTables, remove_flows_to, sweep};
use crate::config::Timers;

/// The shortest rest between two sweeps. Flows are timed in ticks of a second.
const REST: Duration = Duration::from_secs(1);

/// A sweep of so long is followed by a rest of this many times that: at most a twentieth of one
/// CPU.
const REST_FACTOR: u32 = 20;

/// Between two slices of a sweep, so that whoever waits for the CPU gets it.
const PAUSE: Duration = Duration::from_micros(100);

/// Sweeps the tables of flows and mappings, on a thread of its own, until it is dropped.
pub struct Sweeper {
    shared: Arc<Shared>,
    /// Networks that have become the LAN's. That it is gone ends the thread.
    joined: mpsc::Sender<Vec<Ipv4Net>>,
}

struct Shared {
    /// What the latest pass has left, and the how manieth it was.
    census: Mutex<(Census, u64)>,
    idle: Mutex<IdleTicks>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start<T: SweptTables + Send + 'static>(tables: T, timers: &Timers) -> io::Result<Self> {
        let (joined, networks) = mpsc::channel();
        let shared = Arc::new(Shared { census: Mutex::default(), idle: Mutex::new(timers.into()) });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("sweeper".into())
            .spawn(move || run(tables, &of_thread, &networks))?;
        Ok(Self { shared, joined })
    }

    /// Goes over to other timers.
    pub fn set_timers(&self, timers: &Timers) {
        *lock(&self.shared.idle) = timers.into();
    }

    /// Has the flows removed whose remote end is in one of these networks, which have become the LAN's.
    pub fn remove_flows_to(&self, networks: Vec<Ipv4Net>) {
        // The thread ends after this only.
        drop(self.joined.send(networks));
    }

    /// What the latest sweep has left in the tables.
    pub fn census(&self) -> Census {
        lock(&self.shared.census).0
    }

    /// How many sweeps there have been.
    pub fn passes(&self) -> u64 {
        lock(&self.shared.census).1
    }
}

/// Nobody panics while holding a lock, and the value is whole at any moment.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T: SweptTables>(mut tables: T, shared: &Shared, joined: &mpsc::Receiver<Vec<Ipv4Net>>) {
    let pause = &mut || thread::sleep(PAUSE);
    let mut due = Instant::now() + REST;
    let mut complained = false;
    // Those whose flows are still to go.
    let mut networks = Vec::new();
    loop {
        let rest = due.saturating_duration_since(Instant::now());
        let done = match joined.recv_timeout(rest) {
            Ok(joined) => {
                networks.extend(joined);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => {
                let start = Instant::now();
                let done = sweep_once(&mut tables, shared, pause);
                due = Instant::now() + REST.max(start.elapsed() * REST_FACTOR);
                done
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let done = done.and_then(|()| {
            if !networks.is_empty() {
                remove_flows_to(&mut tables, &networks, pause).map_err(io::Error::other)?;
                networks.clear();
            }
            Ok(())
        });
        match done {
            Ok(()) => complained = false,
            Err(error) if !complained => {
                log::error!("flows that are to go stay for now: {error}");
                complained = true;
            }
            Err(_) => {}
        }
    }
}

fn sweep_once<T: SweptTables>(
    tables: &mut T,
    shared: &Shared,
    pause: &mut dyn FnMut(),
) -> io::Result<()> {
    let idle = *lock(&shared.idle);
    let census = sweep(tables, now()?, &idle, pause).map_err(io::Error::other)?;
    let mut latest = lock(&shared.census);
    *latest = (census, latest.1 + 1);
    Ok(())
}

/// The time in ticks, by the clock of the data plane.
fn now() -> io::Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(ticks(Duration::from(now).as_nanos() as u64))
}
