//! A session in asynchronous mode (RFC 5880 section 3.2), with its sockets.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::running::{BURST, Running};
use super::service::Event;
use super::socket::BfdSocket;
use super::watched::Watched;
use super::{Authentication, Change, Path, Session, Settings, State, Way};
use crate::dataplane::Liveness;

/// Longer than any control packet (RFC 5880 section 4.1: a length of one byte).
const LONGEST: usize = 256;

pub(super) struct Asynchronous {
    session: Session,
    authentication: Option<Authentication>,
    socket: BfdSocket,
    watched: Watched,
    /// Whether the other system's operator holds it down.
    is_held_down: bool,
    /// The times that were told last.
    agreed: Option<(Duration, Duration)>,
}

impl AsFd for Asynchronous {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Running for Asynchronous {
    fn adapt(&mut self, _: &Way, settings: &Settings) {
        self.session.set_intervals(settings.intervals, Instant::now());
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn work(&mut self, tell: &mut dyn FnMut(Event)) {
        // What comes after this may still be under way to here.
        let now = Instant::now();
        let mut buffer = [0; LONGEST];
        self.take_over();
        let mut is_all = false;
        for _ in 0..BURST {
            match self.socket.receive(&mut buffer) {
                Ok(Some((length, arrival))) => {
                    self.expire(arrival, tell);
                    self.receive(&buffer[..length], arrival, tell);
                }
                Ok(None) => {
                    is_all = true;
                    break;
                }
                Err(error) => {
                    log::debug!("BFD: {error}");
                    is_all = true;
                    break;
                }
            }
        }
        self.take_over();
        if is_all {
            self.expire(now, tell);
        }
        let now = Instant::now();
        while let Some(packet) = self.session.transmit(now) {
            if let Err(error) = self.socket.send(&packet) {
                // The interface may be down: what the carrier says is said elsewhere.
                log::debug!("BFD: cannot send: {error}");
            }
            self.watched.sent(now);
        }
        self.tell_times(tell);
    }
}

impl Asynchronous {
    pub(super) fn open(
        uplink: u8,
        path: &Path,
        settings: &Settings,
        liveness: &Arc<Liveness>,
    ) -> io::Result<Self> {
        let socket = BfdSocket::open(path)?;
        let discriminator = NonZeroU32::new(fastrand::u32(1..)).unwrap_or(NonZeroU32::MIN);
        let now = Instant::now();
        let session = Session::new(settings.clone(), discriminator, fastrand::u64(..), now);
        let watched = Watched::new(Arc::clone(liveness), uplink, path.port(), path.least_ttl());
        Ok(Self {
            session,
            authentication: settings.authentication.clone(),
            socket,
            watched,
            is_held_down: false,
            agreed: None,
        })
    }

    fn tell_times(&mut self, tell: &mut dyn FnMut(Event)) {
        let (transmit, detection) =
            (self.session.transmit_interval(), self.session.detection_time());
        let agreed = (self.session.state() == State::Up).then_some((transmit, detection));
        if agreed != self.agreed {
            self.agreed = agreed;
            if agreed.is_some() {
                tell(Event::Agreed { transmit, detection });
            }
        }
    }

    /// What the data plane has heard.
    fn take_over(&mut self) {
        if let Some(heard) = self.watched.heard() {
            self.session.confirm(heard);
        }
    }

    fn expire(&mut self, now: Instant, tell: &mut dyn FnMut(Event)) {
        if let Some(change) = self.session.expire(now) {
            self.changed(change, tell);
        }
    }

    fn receive(&mut self, datagram: &[u8], arrival: Instant, tell: &mut dyn FnMut(Event)) {
        match self.session.receive(datagram, arrival) {
            Ok(change) => {
                let authentication = self.authentication.as_ref();
                self.watched.believed(&self.session, authentication, datagram, arrival);
                let is_held_down = self.session.remote_state() == State::AdminDown;
                let was_held_down = std::mem::replace(&mut self.is_held_down, is_held_down);
                if is_held_down && !was_held_down {
                    self.watched.down(false);
                    tell(Event::HeldDown);
                } else if let Some(change) = change.filter(|_| !is_held_down) {
                    self.changed(change, tell);
                }
            }
            Err(error) => log::debug!("BFD: a packet is ignored: {error}"),
        }
    }

    fn changed(&self, change: Change, tell: &mut dyn FnMut(Event)) {
        if change.to == State::Up {
            tell(Event::Up);
        } else if change.from == State::Up {
            self.watched.down(true);
            tell(Event::Down(change.diagnostic));
        }
    }
}
