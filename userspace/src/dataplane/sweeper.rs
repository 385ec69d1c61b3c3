use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::ticks;

use super::sweep::{Census, IdleTicks, SweptTables, sweep};
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
    /// Never sent to: that it is gone ends the thread.
    _stop: mpsc::Sender<()>,
}

struct Shared {
    census: Mutex<Census>,
    idle: Mutex<IdleTicks>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start<T: SweptTables + Send + 'static>(tables: T, timers: &Timers) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::new(Shared { census: Mutex::default(), idle: Mutex::new(timers.into()) });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("sweeper".into())
            .spawn(move || run(tables, &of_thread, &stopped))?;
        Ok(Self { shared, _stop: stop })
    }

    /// Goes over to other timers.
    pub fn set_timers(&self, timers: &Timers) {
        *lock(&self.shared.idle) = timers.into();
    }

    /// What the latest sweep has left in the tables.
    pub fn census(&self) -> Census {
        *lock(&self.shared.census)
    }
}

/// Nobody panics while holding a lock, and the value is whole at any moment.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T: SweptTables>(mut tables: T, shared: &Shared, stopped: &mpsc::Receiver<()>) {
    let mut rest = REST;
    let mut complained = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(rest) {
        let start = Instant::now();
        let idle = *lock(&shared.idle);
        match now().and_then(|now| {
            sweep(&mut tables, now, &idle, &mut || thread::sleep(PAUSE)).map_err(io::Error::other)
        }) {
            Ok(census) => {
                *lock(&shared.census) = census;
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
