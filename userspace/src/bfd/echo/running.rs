use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use super::super::deadline::Deadline;
use super::super::running::{Running, Times};
use super::super::service::Event;
use super::super::{Change, Loop, Settings, State, Way};
use super::EchoSession;
use super::socket::EchoSocket;
use crate::dataplane::Liveness;

/// A session with its socket, and what the data plane is told of it.
pub(in crate::bfd) struct Echo {
    session: EchoSession,
    socket: EchoSocket,
    verdict: Verdict,
    times: Times,
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
        self.session.set_detect_mult(settings.detect_mult);
        self.verdict.needed = settings.detect_mult.get().into();
        self.verdict.missing = self.verdict.missing.map(|_| self.verdict.needed);
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.session.deadline())
    }

    fn work(&mut self, tell: &mut dyn FnMut(Event)) {
        // What comes after this may still be under way to here.
        let now = Instant::now();
        if self.receive(tell) {
            let change = self.session.expire(now);
            self.verdict.take(change, tell);
        }
        if let Some(packet) = self.session.transmit(Instant::now()) {
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
        let verdict = Verdict {
            deadline: Deadline::new(Arc::clone(liveness), uplink),
            needed: settings.detect_mult.get().into(),
            missing: None,
            is_up: false,
        };
        Ok(Self { session, socket, verdict, times: Times::default() })
    }

    /// Takes in what has come back. Says whether that is all.
    fn receive(&mut self, tell: &mut dyn FnMut(Event)) -> bool {
        let Self { session, socket, verdict, .. } = self;
        let received = socket.receive(|payload, arrival| {
            // Whatever else comes, and however much of it: time has passed.
            verdict.take(session.expire(arrival), tell);
            let Some(payload) = payload else { return };
            match session.receive(payload, arrival) {
                Ok(Some(change)) => verdict.take(Some(change), tell),
                Ok(None) => verdict.confirm(tell),
                Err(error) => log::debug!("BFD echo: a packet is ignored: {error}"),
            }
        });
        received.inspect_err(|error| log::debug!("BFD echo: {error}")).unwrap_or(true)
    }

    fn tell_times(&mut self, tell: &mut dyn FnMut(Event)) {
        let times = (self.session.transmit_interval(), self.session.detection_time());
        self.times.tell((self.verdict.is_up).then_some(times), tell);
    }
}

/// What is told of the session, to the daemon and to the data plane.
struct Verdict {
    deadline: Deadline,
    /// How many packets in a row are to come back at the session's own pace before it is believed: a router may send
    /// one back each second, and not as many as it is to.
    needed: u32,
    /// How many of those have not, while the session is up and not believed.
    missing: Option<u32>,
    is_up: bool,
}

impl Verdict {
    /// The session has changed its state, or has not.
    fn take(&mut self, change: Option<Change>, tell: &mut dyn FnMut(Event)) {
        match change {
            Some(Change { to: State::Up, .. }) => self.missing = Some(self.needed),
            Some(Change { from: State::Up, diagnostic, .. }) => {
                self.missing = None;
                if std::mem::take(&mut self.is_up) {
                    self.deadline.pass();
                    tell(Event::Down(diagnostic));
                }
            }
            _ => {}
        }
    }

    /// A packet has come back, and the session stays what it is.
    fn confirm(&mut self, tell: &mut dyn FnMut(Event)) {
        self.missing = self.missing.and_then(|missing| missing.checked_sub(1));
        if self.missing == Some(0) {
            (self.missing, self.is_up) = (None, true);
            self.deadline.lift();
            tell(Event::Up);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;
    use crate::bfd::Diagnostic;

    const DOWN: Diagnostic = Diagnostic::ECHO_FUNCTION_FAILED;

    fn change(from: State, to: State) -> Option<Change> {
        Some(Change { from, to, diagnostic: DOWN })
    }

    fn told(events: &mut Vec<String>) -> impl FnMut(Event) {
        |event| events.push(format!("{event:?}"))
    }

    /// The data plane's memory in the daemon's, which has no map.
    fn verdict() -> io::Result<(Arc<Liveness>, Verdict)> {
        let liveness = Arc::new(Liveness::anonymous().map_err(Error::other)?);
        let deadline = Deadline::new(Arc::clone(&liveness), 3);
        Ok((liveness, Verdict { deadline, needed: 3, missing: None, is_up: false }))
    }

    #[test]
    fn a_session_is_believed_once_as_many_come_back_as_may_not_be_missed() -> io::Result<()> {
        let (liveness, mut verdict) = verdict()?;
        let is_dead = || liveness.switch().copy().deadline(3) == Some(&1);
        let mut events = Vec::new();
        for round in 1..=2 {
            verdict.take(change(State::Init, State::Up), &mut told(&mut events));
            verdict.confirm(&mut told(&mut events));
            verdict.confirm(&mut told(&mut events));
            assert_eq!((events.len(), is_dead()), (2 * (round - 1), round == 2));
            verdict.confirm(&mut told(&mut events));
            verdict.confirm(&mut told(&mut events));
            assert_eq!((events.last().map(String::as_str), is_dead()), (Some("Up"), false));
            assert_eq!(events.len(), 2 * round - 1);
            verdict.take(change(State::Up, State::Down), &mut told(&mut events));
            assert_eq!((events.len(), is_dead()), (2 * round, true));
        }
        // One that is not believed is not lost.
        verdict.take(change(State::Init, State::Up), &mut told(&mut events));
        verdict.take(change(State::Up, State::Down), &mut told(&mut events));
        verdict.confirm(&mut told(&mut events));
        assert_eq!((events.len(), is_dead()), (4, true));
        Ok(())
    }
}
