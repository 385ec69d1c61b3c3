//! The thread that all sessions run on. It does nothing else, and with real-time priority, where that is
//! permitted: what is late here, the other system takes for an uplink that is dead.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use tokio::sync::mpsc::UnboundedSender;

use super::running::{self, Running};
use super::{Diagnostic, Settings, Way};
use crate::dataplane::Liveness;

/// How soon a session is tried again that could not be opened.
const RETRY: Duration = Duration::from_secs(1);

/// The session of an uplink, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The uplink's identifier in the data plane.
    pub uplink: u8,
    /// By which way.
    pub way: Way,
    /// What is configured of it.
    pub settings: Settings,
    /// Whether this system's operator holds it down (RFC 5880 section 6.8.16): of those with another system.
    pub is_held: bool,
}

/// What has become of an uplink's session.
#[derive(Debug)]
pub enum Event {
    /// It has begun, and is down.
    Started,
    /// It is up.
    Up,
    /// It is not up any more.
    Down(Diagnostic),
    /// It is not up any more, because the other system's operator holds it down.
    HeldDown,
    /// While it is up, these times hold now.
    Agreed {
        /// From one packet that is sent to the next, before jitter.
        transmit: Duration,
        /// After how long a silence the other system counts as gone.
        detection: Duration,
    },
    /// It cannot be, for now.
    Failed(io::Error),
    /// There is none any more, because there is no way to the other system, or to begin anew.
    Ended,
}

/// The sessions of all uplinks, on a thread of their own, until this is dropped.
pub struct Service {
    commands: mpsc::Sender<BTreeMap<String, Wanted>>,
    wake: Arc<EventFd>,
}

impl Drop for Service {
    fn drop(&mut self) {
        // That nobody can send commands any more ends the thread.
        let (commands, _) = mpsc::channel();
        self.commands = commands;
        let _ = self.wake.write(1);
    }
}

impl Service {
    /// Starts the thread, in the calling thread's network namespace. What becomes of the sessions is told with
    /// the names of the uplinks.
    ///
    /// # Errors
    /// Where the system has no thread or descriptor left.
    pub fn start(
        liveness: Arc<Liveness>,
        events: UnboundedSender<(String, Event)>,
    ) -> io::Result<Self> {
        let (commands, receiver) = mpsc::channel();
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let mut worker = Worker {
            liveness,
            events,
            commands: receiver,
            wake: Arc::clone(&wake),
            sessions: BTreeMap::new(),
        };
        thread::Builder::new().name("bfd".into()).spawn(move || {
            raise_priority();
            worker.run();
        })?;
        Ok(Self { commands, wake })
    }

    /// Makes the sessions be these, by uplink. What is as it was goes on.
    pub fn set(&self, wanted: BTreeMap<String, Wanted>) {
        // The thread ends after this only.
        drop(self.commands.send(wanted));
        let _ = self.wake.write(1);
    }
}

/// Of the lowest real-time priority: before everything that has none.
fn raise_priority() {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads the parameter, and concerns the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) } != 0 {
        let error = io::Error::last_os_error();
        log::warn!(
            "BFD runs without real-time priority, and may take a busy machine for a dead uplink: {error}; \
             grant CAP_SYS_NICE"
        );
    }
}

struct Worker {
    liveness: Arc<Liveness>,
    events: UnboundedSender<(String, Event)>,
    commands: mpsc::Receiver<BTreeMap<String, Wanted>>,
    wake: Arc<EventFd>,
    sessions: BTreeMap<String, Slot>,
}

/// An uplink's session, or when it is tried again.
struct Slot {
    wanted: Wanted,
    state: Result<Box<dyn Running>, Instant>,
}

impl Worker {
    fn run(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(wanted) => {
                    self.set(wanted);
                    continue;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            let now = Instant::now();
            self.retry(now);
            let deadline = self.sessions.values().filter_map(Slot::deadline).min();
            if let Err(error) = self.wait(deadline) {
                log::error!("BFD cannot wait for packets: {error}");
                thread::sleep(RETRY);
            }
            let _ = self.wake.read();
            for (name, slot) in &mut self.sessions {
                if let Ok(running) = &mut slot.state {
                    // Who listens may have gone.
                    running.work(&mut |event| drop(self.events.send((name.clone(), event))));
                }
            }
        }
    }

    /// Waits for a packet or a command, but not beyond the deadline.
    fn wait(&self, deadline: Option<Instant>) -> Result<(), Errno> {
        let running = self.sessions.values().filter_map(|slot| slot.state.as_ref().ok());
        let mut fds = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(running.map(|running| PollFd::new(running.as_fd(), PollFlags::POLLIN)));
        let timeout = deadline
            .map(|deadline| TimeSpec::from(deadline.saturating_duration_since(Instant::now())));
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn set(&mut self, wanted: BTreeMap<String, Wanted>) {
        self.sessions.retain(|name, slot| {
            let stays = wanted.get(name).is_some_and(|wanted| slot.adapt(wanted));
            if !stays {
                drop(self.events.send((name.clone(), Event::Ended)));
            }
            stays
        });
        let now = Instant::now();
        for (name, wanted) in wanted {
            self.sessions.entry(name).or_insert(Slot { wanted, state: Err(now) });
        }
    }

    /// Opens the sessions that are not and are due for it.
    fn retry(&mut self, now: Instant) {
        for (name, slot) in &mut self.sessions {
            if !matches!(slot.state, Err(due) if due <= now) {
                continue;
            }
            match running::open(&slot.wanted, &self.liveness) {
                Ok(running) => {
                    slot.state = Ok(running);
                    drop(self.events.send((name.clone(), Event::Started)));
                }
                Err(error) => {
                    slot.state = Err(now + RETRY);
                    drop(self.events.send((name.clone(), Event::Failed(error))));
                }
            }
        }
    }
}

impl Slot {
    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            Ok(running) => running.deadline(),
            Err(due) => Some(*due),
        }
    }

    /// Goes over to another configuration, if that can be done without beginning anew.
    fn adapt(&mut self, wanted: &Wanted) -> bool {
        let (old, new) = (&self.wanted, wanted);
        let is_same = old.uplink == new.uplink
            && old.way.leads_to(&new.way)
            && old.settings.authentication == new.settings.authentication;
        if is_same && old != new {
            if let Ok(running) = &mut self.state {
                running.adapt(&new.way, &new.settings);
                running.hold(new.is_held);
            }
            self.wanted = new.clone();
        }
        is_same
    }
}
