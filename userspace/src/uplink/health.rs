use std::fmt;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::streaks::Streaks;
use super::{Quorum, Reason};
use crate::probe::ProbeId;

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
    /// Not fit.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Testing => "testing",
            Self::Up => "up",
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

/// Something that may change the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
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

/// Judges one uplink.
///
/// **Invariant:** an uplink that is up has carrier, an address and a next hop.
#[derive(Clone, Debug)]
pub struct Health {
    name: String,
    thresholds: Thresholds,
    interface: Interface,
    has_address: bool,
    next_hop: NextHop,
    streaks: Streaks,
    /// Whether it has been up, or its probes have taken it down: it must earn trust anew.
    judged: bool,
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
            streaks: Streaks::new(probes),
            judged: false,
            verdict: Verdict { state: State::Down, since: now, reason },
        }
    }

    /// The verdict as of the last event.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes in an event. Returns whether the state has changed; the reason may have without that.
    pub fn apply(&mut self, event: Event, now: Instant) -> bool {
        let was_hindered = self.is_hindered();
        match event {
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
        let (state, reason) = match self.obstacle() {
            Some(reason) => (State::Down, reason),
            None => self.judge_by_probes(),
        };
        self.judged |= state == State::Up || matches!(reason, Reason::ProbesUnanswered { .. });
        let changed = state != self.verdict.state;
        if changed {
            self.verdict.since = now;
        }
        self.verdict.state = state;
        self.verdict.reason = reason;
        changed
    }

    /// Whether no probe can have got through, so that probes say nothing of the uplink.
    fn is_hindered(&self) -> bool {
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

    /// The state and its reason where there is no obstacle.
    fn judge_by_probes(&mut self) -> (State, Reason) {
        let was_up = self.verdict.state == State::Up;
        let not_up = if self.judged { State::Down } else { State::Testing };
        let down_after = self.thresholds.down_after.max(1);
        // An uplink that has not failed before is trusted at its first answers.
        let needed = if self.judged { self.thresholds.up_after.max(1) } else { 1 };
        self.streaks.settle(down_after, needed);
        let (total, answering) = (self.streaks.len(), self.streaks.answering());
        let quorum = self.thresholds.quorum.of(total);
        let answered = self.streaks.answered(quorum, needed);
        let awaiting = Reason::AwaitingProbes { answered, needed };
        if total - self.streaks.failing() < quorum {
            let unanswered = |(lost, probes)| Reason::ProbesUnanswered { lost, probes };
            return (State::Down, self.streaks.lost(down_after).map_or(awaiting, unanswered));
        }
        if was_up {
            return (State::Up, self.verdict.reason.clone());
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
