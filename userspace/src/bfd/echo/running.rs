use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::deadline::Deadline;
use super::super::running::Running;
use super::super::service::Event;
use super::super::{Change, Loop, Settings, State, Way};
use super::EchoSession;
use super::socket::EchoSocket;
use crate::dataplane::Liveness;

/// A session with its socket, and what the data plane is told of it.
pub(in crate::bfd) struct Echo {
    session: EchoSession,
    socket: EchoSocket,
    deadline: Deadline,
    /// The times that were told last.
    told: Option<(Duration, Duration)>,
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Running for Echo {
    fn adapt(&mut self, way: &Way, settings: &Settings) {
        if let Way::Echo(way) = way {
            self.socket.set_router(way.router);
        }
        self.session.set_interval(settings.intervals.desired_min_tx, Instant::now());
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.session.deadline())
    }

    fn work(&mut self, tell: &mut dyn FnMut(Event)) {
        // What comes after this may still be under way to here.
        let now = Instant::now();
        self.receive(tell);
        changed(&self.deadline, self.session.expire(now), tell);
        while let Some(packet) = self.session.transmit(Instant::now()) {
            if let Err(error) = self.socket.send(&packet) {
                // The interface may be down: what the carrier says is said elsewhere.
                log::debug!("BFD echo: cannot send: {error}");
            }
            self.session.sent(Instant::now());
        }
        self.tell_times(tell);
    }
}

impl Echo {
    pub(in crate::bfd) fn open(
        uplink: u8,
        way: &Loop,
        settings: &Settings,
        liveness: &Arc<Liveness>,
    ) -> io::Result<Self> {
        let socket = EchoSocket::open(way)?;
        let discriminator = NonZeroU32::new(fastrand::u32(1..)).unwrap_or(NonZeroU32::MIN);
        let now = Instant::now();
        let session = EchoSession::new(settings.clone(), discriminator, fastrand::u64(..), now);
        let deadline = Deadline::new(Arc::clone(liveness), uplink);
        Ok(Self { session, socket, deadline, told: None })
    }

    /// Takes in all that has come back.
    fn receive(&mut self, tell: &mut dyn FnMut(Event)) {
        let Self { session, socket, deadline, .. } = self;
        let received = socket.receive(|payload, arrival| {
            changed(deadline, session.expire(arrival), tell);
            match session.receive(payload, arrival) {
                Ok(change) => changed(deadline, change, tell),
                Err(error) => log::debug!("BFD echo: a packet is ignored: {error}"),
            }
        });
        if let Err(error) = received {
            log::debug!("BFD echo: {error}");
        }
    }

    fn tell_times(&mut self, tell: &mut dyn FnMut(Event)) {
        let (transmit, detection) =
            (self.session.transmit_interval(), self.session.detection_time());
        let times = (self.session.state() == State::Up).then_some((transmit, detection));
        if times != self.told {
            self.told = times;
            if times.is_some() {
                tell(Event::Agreed { transmit, detection });
            }
        }
    }
}

fn changed(deadline: &Deadline, change: Option<Change>, tell: &mut dyn FnMut(Event)) {
    match change {
        Some(Change { to: State::Up, .. }) => {
            deadline.lift();
            tell(Event::Up);
        }
        Some(Change { from: State::Up, diagnostic, .. }) => {
            deadline.pass();
            tell(Event::Down(diagnostic));
        }
        _ => {}
    }
}
