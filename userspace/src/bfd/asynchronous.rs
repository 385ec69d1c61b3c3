//! A session in asynchronous mode (RFC 5880 section 3.2), with its sockets.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use super::running::{BURST, Running, Times};
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
    times: Times,
}

impl AsFd for Asynchronous {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Running for Asynchronous {
    fn adapt(&mut self, _: &Way, settings: &Settings) {
        let now = Instant::now();
        self.session.set_detect_mult(settings.detect_mult, now);
        self.session.set_intervals(settings.intervals, now);
    }

    /// Who holds it knows: nothing is told. That it goes down says nothing of the uplink, whose packets go on.
    fn hold(&mut self, is_held: bool) {
        let change = self.session.set_admin_down(is_held, Instant::now());
        if change.is_some_and(|change| change.from == State::Up) {
            self.watched.down(false);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn work(&mut self, tell: &mut dyn FnMut(Event)) {
        // What comes after this may still be under way to here.
        let now = Instant::now();
        self.take_over();
        let is_all = !(0..BURST).all(|_| self.receive_next(tell));
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
            times: Times::default(),
        })
    }

    fn tell_times(&mut self, tell: &mut dyn FnMut(Event)) {
        let times = (self.session.transmit_interval(), self.session.detection_time());
        self.times.tell((self.session.state() == State::Up).then_some(times), tell);
    }

    /// Takes in the next packet that has arrived. Says whether there was one.
    fn receive_next(&mut self, tell: &mut dyn FnMut(Event)) -> bool {
        let mut buffer = [0; LONGEST];
        let received = self.socket.receive(&mut buffer);
        let received = received.inspect_err(|error| log::debug!("BFD: {error}"));
        let Ok(Some((length, arrival))) = received else { return false };
        self.expire(arrival, tell);
        self.receive(&buffer[..length], arrival, tell);
        true
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
