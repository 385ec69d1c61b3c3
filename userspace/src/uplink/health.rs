use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use humantime::format_duration;

use super::streaks::Streaks;
use super::{Quorum, Reason, Silent};
use crate::bfd::Diagnostic;
use crate::probe::ProbeId;

/// How long the BFD session of an uplink that was in use before may take to come up again: three packets at
/// the pace of one that is not up (RFC 5880 section 6.8.3), three times as long.
const TRUST: Duration = Duration::from_secs(10);

/// How many probes it takes to believe a change. Both counts are at least one, and zero is taken as
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A probe that is lost so many times one after the other is failing.
    pub down_after: u32,
    /// A probe that is answered so many times one after the other is answering again.
    pub up_after: u32,
    /// How many have to be answering. Where the others are failing, the uplink is down.
    pub quorum: Quorum,
}

/// Whether an uplink is fit for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not judged yet, and nothing speaks against it.
    Testing,
    /// Fit.
    Up,
    /// Fit, but others are to be preferred: it does not keep to its service level.
    Degraded,
    /// Not fit.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Testing => "testing",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}

/// What an uplink is, since when, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// When the state began.
    pub since: Instant,
    /// The reason, which may become more precise while the state stays.
    pub reason: Reason,
    /// When it will be better if nothing happens meanwhile.
    pub until: Option<Instant>,
}

impl Verdict {
    /// The reason in words, and what is to be expected after `now`.
    pub fn describe(&self, now: Instant) -> String {
        match self.until {
            Some(until) => {
                // In whole seconds, and never none.
                let left = until.saturating_duration_since(now).as_secs_f64().ceil().max(1.0);
                let left = format_duration(Duration::from_secs(left as u64));
                format!("{}; back in about {left}", self.reason)
            }
            None => self.reason.to_string(),
        }
    }
}

/// What is known of an uplink's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// There is none of that name.
    Missing,
    /// It is set down.
    Down,
    /// It is set up and has no carrier.
    NoCarrier,
    /// It is set up and has carrier.
    Running,
}

/// What is known of an uplink's next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Not even its address.
    Unknown,
    /// Its address; it is being asked for its MAC. An uplink that is up stays so meanwhile, by the
    /// MAC that it had.
    Resolving(Ipv4Addr),
    /// It has not answered.
    Silent(Ipv4Addr),
    /// Its MAC too.
    Resolved(Ipv4Addr),
}

/// What is known of an uplink's BFD session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bfd {
    /// There is to be none.
    #[default]
    None,
    /// The other system's operator holds it down, which says nothing of the uplink (RFC 5882 section 3.2).
    HeldDown,
    /// This system's operator holds it down, or has let go of it only just: it says nothing of the uplink either.
    HeldHere,
    /// It has not been up yet.
    Waiting,
    /// The other system is there.
    Up,
    /// It was up, and went down for this reason.
    Down(Diagnostic),
    /// It cannot be, for this reason.
    Failed(String),
}

/// Something that may change the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The BFD session is like this now.
    Bfd(Bfd),
    /// The uplink is believed to be down for its silence, or is not any more.
    Silence(Option<Silent>),
    /// The interface is like this now.
    Interface(Interface),
    /// The interface has an address to send from, or has none.
    Address(bool),
    /// The next hop is like this now.
    NextHop(NextHop),
    /// A probe has been judged.
    Probe {
        /// Which one.
        probe: ProbeId,
        /// When it was sent.
        sent_at: Instant,
        /// Whether the answer came in time.
        answered: bool,
    },
}

/// Judges whether one uplink works.
///
/// **Invariant:** an uplink that is up has carrier, an address and a next hop.
#[derive(Clone, Debug)]
pub struct Health {
    name: String,
    thresholds: Thresholds,
    interface: Interface,
    has_address: bool,
    next_hop: NextHop,
    bfd: Bfd,
    silence: Option<Silent>,
    streaks: Streaks,
    /// Whether it has been up, or its probes or its silence have taken it down: it must earn trust anew.
    judged: bool,
    /// Until when a session that is not up yet does not speak against it: it was in use before the daemon was.
    trusted_until: Option<Instant>,
    verdict: Verdict,
}

impl Health {
    /// An uplink over the interface of this name, of which nothing is known yet. Without probes it
    /// is up as soon as it has carrier, an address and the MAC of a next hop.
    pub fn new(
        interface: impl Into<String>,
        probes: &[ProbeId],
        thresholds: Thresholds,
        now: Instant,
    ) -> Self {
        let name = interface.into();
        let reason = Reason::InterfaceMissing { interface: name.clone() };
        Self {
            name,
            thresholds,
            interface: Interface::Missing,
            has_address: false,
            next_hop: NextHop::Unknown,
            bfd: Bfd::None,
            silence: None,
            streaks: Streaks::new(probes),
            judged: false,
            trusted_until: None,
            verdict: Verdict { state: State::Down, since: now, reason, until: None },
        }
    }

    /// The verdict as of the last event.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes in whether it was in use when another daemon had it. If it was, it is up as long as nothing speaks
    /// against it, and if not, it must earn trust.
    pub(super) fn inherit(&mut self, was_alive: bool, now: Instant) {
        self.judged = true;
        if was_alive && self.obstacle().is_none() {
            self.trusted_until = Some(now + TRUST);
            self.verdict.state = State::Up;
            self.verdict.reason = Reason::Inherited;
            self.verdict.since = now;
        }
        self.judge(now);
    }

    /// When time alone will make a difference, if the state is judged then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.trusted_until.filter(|_| self.bfd == Bfd::Waiting)
    }

    /// Takes in an event. Returns whether the state has changed; the reason may have without that.
    pub fn apply(&mut self, event: Event, now: Instant) -> bool {
        let was_hindered = self.is_hindered();
        match event {
            Event::Bfd(bfd) => self.bfd = bfd,
            Event::Silence(silence) => self.silence = silence,
            Event::Interface(interface) => self.interface = interface,
            Event::Address(has_address) => self.has_address = has_address,
            Event::NextHop(next_hop) => self.next_hop = next_hop,
            Event::Probe { probe, sent_at, answered } => {
                self.streaks.record(&probe, sent_at, answered);
            }
        }
        if was_hindered || self.is_hindered() {
            self.streaks.restart(now);
        }
        self.judge(now)
    }

    /// Goes over to other probes and thresholds, without forgetting what is known. Returns whether
    /// the state has changed.
    pub fn reconfigure(
        &mut self,
        probes: &[ProbeId],
        thresholds: Thresholds,
        now: Instant,
    ) -> bool {
        self.thresholds = thresholds;
        self.streaks.retarget(probes);
        self.judge(now)
    }

    fn judge(&mut self, now: Instant) -> bool {
        self.settle();
        if self.trusted_until.is_some_and(|until| now >= until) || self.bfd == Bfd::Up {
            self.trusted_until = None;
        }
        let (state, reason) = match self.obstacle() {
            Some(reason) => (State::Down, reason),
            None => { self.judge_by_traffic() }
                .or_else(|| self.judge_by_session())
                .unwrap_or_else(|| self.judge_by_probes()),
        };
        self.judged |= state == State::Up
            || matches!(reason, Reason::ProbesUnanswered { .. } | Reason::NothingReceived(_));
        let changed = state != self.verdict.state;
        if changed {
            self.verdict.since = now;
        }
        self.verdict.state = state;
        self.verdict.reason = reason;
        changed
    }

    /// Whether it has been up, or its probes or its silence have taken it down.
    pub(super) fn is_judged(&self) -> bool {
        self.judged
    }

    /// Whether no probe can have got through, so that probes say nothing of the uplink.
    pub(super) fn is_hindered(&self) -> bool {
        let unresolved = matches!(self.next_hop, NextHop::Resolving(_));
        self.obstacle().is_some() || (unresolved && self.verdict.state != State::Up)
    }

    /// What makes it certain that no packet would get through.
    fn obstacle(&self) -> Option<Reason> {
        let interface = || self.name.clone();
        match self.interface {
            Interface::Missing => {
                return Some(Reason::InterfaceMissing { interface: interface() });
            }
            Interface::Down => {
                return Some(Reason::InterfaceDown { interface: interface() });
            }
            Interface::NoCarrier => {
                return Some(Reason::CarrierLost { interface: interface() });
            }
            Interface::Running => {}
        }
        if !self.has_address {
            return Some(Reason::NoAddress { interface: interface() });
        }
        match self.next_hop {
            NextHop::Unknown => Some(Reason::NoNextHop { interface: interface() }),
            NextHop::Silent(address) => Some(Reason::NextHopSilent(address)),
            NextHop::Resolving(_) | NextHop::Resolved(_) => None,
        }
    }

    /// The state and its reason where traffic itself says that packets do not get through.
    fn judge_by_traffic(&self) -> Option<(State, Reason)> {
        self.silence.map(|silent| (State::Down, Reason::NothingReceived(silent)))
    }

    /// The same where the BFD session says that packets do not get through.
    fn judge_by_session(&self) -> Option<(State, Reason)> {
        match &self.bfd {
            Bfd::None | Bfd::HeldDown | Bfd::HeldHere | Bfd::Up => None,
            Bfd::Waiting if self.trusted_until.is_some() => None,
            Bfd::Waiting => {
                let not_up = if self.judged { State::Down } else { State::Testing };
                Some((not_up, Reason::BfdWaiting))
            }
            Bfd::Down(diagnostic) => Some((State::Down, Reason::BfdDown(*diagnostic))),
            Bfd::Failed(error) => Some((State::Down, Reason::BfdFailed(error.clone()))),
        }
    }

    /// How many losses, and how many answers in a row it takes to believe a probe. An uplink that has not failed
    /// before is trusted at its first answers.
    fn in_a_row(&self) -> (u32, u32) {
        let needed = if self.judged { self.thresholds.up_after.max(1) } else { 1 };
        (self.thresholds.down_after.max(1), needed)
    }

    /// Judges each probe, whoever else has a say about the uplink.
    fn settle(&mut self) {
        let (down_after, up_after) = self.in_a_row();
        self.streaks.settle(down_after, up_after);
    }

    /// The state and its reason where there is no obstacle.
    fn judge_by_probes(&self) -> (State, Reason) {
        let was_up = self.verdict.state == State::Up;
        let not_up = if self.judged { State::Down } else { State::Testing };
        let (down_after, needed) = self.in_a_row();
        let (total, answering) = (self.streaks.len(), self.streaks.answering());
        let quorum = self.thresholds.quorum.of(total);
        let answered = self.streaks.answered(quorum, needed);
        let awaiting = Reason::AwaitingProbes { answered, needed };
        if total - self.streaks.failing() < quorum {
            let unanswered = |(lost, probes)| Reason::ProbesUnanswered { lost, probes };
            return (State::Down, self.streaks.lost(down_after).map_or(awaiting, unanswered));
        }
        if was_up {
            let reason = match &self.verdict.reason {
                Reason::Inherited if self.streaks.is_empty() => Reason::Ready,
                Reason::Inherited if answering >= quorum => Reason::ProbesAnswered,
                reason => reason.clone(),
            };
            return (State::Up, reason);
        }
        if let NextHop::Resolving(address) = self.next_hop {
            return (not_up, Reason::Resolving(address));
        }
        if self.streaks.is_empty() {
            return (State::Up, Reason::Ready);
        }
        if answering >= quorum { (State::Up, Reason::ProbesAnswered) } else { (not_up, awaiting) }
    }
}

#[cfg(test)]
mod tests;
