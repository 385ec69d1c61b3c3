use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::ticks;

use super::sweep::{FlowTable, IdleTicks, sweep};
use crate::config::Timers;

/// The shortest rest between two sweeps. Flows are timed in ticks of a second.
const REST: Duration = Duration::from_secs(1);

/// A sweep of so long is followed by a rest of this many times that: at most a twentieth of one
/// CPU.
const REST_FACTOR: u32 = 20;

/// Between two slices of a sweep, so that whoever waits for the CPU gets it.
const PAUSE: Duration = Duration::from_micros(100);

/// Sweeps a flow table, on a thread of its own, until it is dropped.
pub struct Sweeper {
    shared: Arc<Shared>,
    /// Never sent to: that it is gone ends the thread.
    _stop: mpsc::Sender<()>,
}

struct Shared {
    entries: AtomicUsize,
    idle: Mutex<IdleTicks>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start<T: FlowTable + Send + 'static>(table: T, timers: &Timers) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let shared =
            Arc::new(Shared { entries: AtomicUsize::new(0), idle: Mutex::new(timers.into()) });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("sweeper".into())
            .spawn(move || run(table, &of_thread, &stopped))?;
        Ok(Self { shared, _stop: stop })
    }

    /// Goes over to other timers.
    pub fn set_timers(&self, timers: &Timers) {
        *lock(&self.shared.idle) = timers.into();
    }

    /// How many flow entries there were at the end of the latest sweep.
    pub fn entries(&self) -> usize {
        self.shared.entries.load(Ordering::Relaxed)
    }
}

/// Nobody panics while holding the lock, and the value is whole at any moment.
fn lock(idle: &Mutex<IdleTicks>) -> std::sync::MutexGuard<'_, IdleTicks> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T: FlowTable>(mut table: T, shared: &Shared, stopped: &mpsc::Receiver<()>) {
    let mut rest = REST;
    let mut complained = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(rest) {
        let start = Instant::now();
        let idle = *lock(&shared.idle);
        match now().and_then(|now| {
            sweep(&mut table, now, &idle, || thread::sleep(PAUSE)).map_err(io::Error::other)
        }) {
            Ok(entries) => {
                shared.entries.store(entries, Ordering::Relaxed);
                complained = false;
            }
            Err(error) if !complained => {
                log::error!("idle flows stay for now: {error}");
                complained = true;
            }
            Err(_) => {}
        }
        rest = REST.max(start.elapsed() * REST_FACTOR);
    }
}

/// The time in ticks, by the clock of the data plane.
fn now() -> io::Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(ticks(Duration::from(now).as_nanos() as u64))
}
