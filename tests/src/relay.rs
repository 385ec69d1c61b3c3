use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Instant,
};

use fastrand::Rng;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use crate::{Impairer, Impairment, LabError, Nic, claim_realtime, packet_socket::PacketSocket};

/// The most frames of one direction that are taken in before those of the other are.
const BATCH: usize = 64;

/// Where frames on a cable are going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the end that was named second.
    ToFar,
    /// To the end that was named first.
    ToNear,
}

impl Direction {
    /// In the order of their numbers.
    const ALL: [Self; 2] = [Self::ToFar, Self::ToNear];
}

/// Copies frames from one half of a cable to the other, impaired as it is told.
///
/// It is a thread, before all ordinary tasks where that is permitted. Not told anything, it adds
/// some ten microseconds on an idle machine, and carries far more than 10,000 frames a second each
/// way. While there is none, nothing is carried: it ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    impairers: Arc<Mutex<[Impairer; 2]>>,
    /// Closed, it tells the thread to end.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts to copy between the two ports, the near one first, which are of one namespace.
    pub(crate) fn start(ports: &[Nic; 2], seed: u64) -> Result<Self, LabError> {
        let [near, far] = ports;
        let (stopped, stop) = io::pipe().map_err(|source| LabError::Device {
            action: "copy the frames of",
            device: near.name.clone(),
            label: near.namespace.label().to_owned(),
            source,
        })?;
        let mut seeds = Rng::with_seed(seed);
        let impairers = [(); 2].map(|()| Impairer::new(seeds.u64(..)));
        let impairers = Arc::new(Mutex::new(impairers));
        let worker = Worker {
            sockets: [PacketSocket::open(near)?, PacketSocket::open(far)?],
            impairers: Arc::clone(&impairers),
            stopped,
        };
        let thread = near.namespace.spawn_thread("relay", move || {
            // Where it is not permitted, frames may be late by as long as the others take.
            let _ = claim_realtime();
            worker.copy().unwrap_or_else(|error| panic!("frames are not copied: {error}"));
        });
        Ok(Self { impairers, stop: Some(stop), thread: Some(thread) })
    }

    /// Impairs one direction from now on, and returns the moment before that. No frame that has not
    /// been carried by the time that this returns is treated as before, but for those that are
    /// under way: they arrive when they were to, unless the link is a black hole now.
    pub fn set(&self, direction: Direction, impairment: Impairment) -> Instant {
        self.set_each(&[direction], impairment)
    }

    /// The same for both directions at once.
    pub fn set_both(&self, impairment: Impairment) -> Instant {
        self.set_each(&Direction::ALL, impairment)
    }

    fn set_each(&self, directions: &[Direction], impairment: Impairment) -> Instant {
        let mut impairers = lock(&self.impairers);
        let before = Instant::now();
        for direction in directions {
            impairers[*direction as usize].set(impairment);
        }
        before
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Why it has ended before, it has said itself.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Worker {
    /// At the near end and at the far one.
    sockets: [PacketSocket; 2],
    impairers: Arc<Mutex<[Impairer; 2]>>,
    stopped: PipeReader,
}

impl Worker {
    /// Copies frames until it is told to stop.
    fn copy(mut self) -> io::Result<()> {
        while !self.wait()? {
            for direction in Direction::ALL {
                self.receive(direction)?;
                self.deliver(direction);
            }
        }
        Ok(())
    }

    /// Waits until there is something to do, and says whether that is to stop.
    fn wait(&self) -> io::Result<bool> {
        let deadline = lock(&self.impairers).iter().filter_map(Impairer::deadline).min();
        let timeout = deadline
            .map(|deadline| TimeSpec::from(deadline.saturating_duration_since(Instant::now())));
        let [near, far] = &self.sockets;
        let mut waited = [near.as_fd(), far.as_fd(), self.stopped.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut waited, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [.., stopped] = waited;
        Ok(stopped.any().unwrap_or_default())
    }

    /// Takes in frames of one direction.
    fn receive(&mut self, direction: Direction) -> io::Result<()> {
        let from = &mut self.sockets[direction as usize];
        for _ in 0..BATCH {
            let Some(frame) = from.receive()? else { break };
            lock(&self.impairers)[direction as usize].send(&frame, Instant::now());
        }
        Ok(())
    }

    /// Sends on what has arrived at the end of one direction. It is locked meanwhile, so that
    /// nothing is carried as before once somebody has set something else.
    fn deliver(&self, direction: Direction) {
        let to = &self.sockets[1 - direction as usize];
        let mut impairers = lock(&self.impairers);
        while let Some(frame) = impairers[direction as usize].receive(Instant::now()) {
            // A frame that does not fit, or for which the interface is down, is lost as on a cable.
            let _ = to.send(&frame);
        }
    }
}

/// Where a thread has panicked meanwhile, what is set is still in order.
fn lock(impairers: &Mutex<[Impairer; 2]>) -> MutexGuard<'_, [Impairer; 2]> {
    impairers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
