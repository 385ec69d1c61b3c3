//! What an uplink's traffic shows by itself.

use std::net::Ipv4Addr;
use std::time::Instant;

use pointsman_ebpf::abi::HandshakeCounts;

use super::uplink::ControlledUplink;
use crate::config;
use crate::uplink::{Carried, Event, Handshakes, Listening, Silence, Silent, Suspicion};

/// What is made of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    pub(super) silence: Silence,
    /// Gateway, its MAC, and own address, that the silence is of.
    at: (Option<Ipv4Addr>, Option<[u8; 6]>, Option<Ipv4Addr>),
    /// Whether its silence is remarkable.
    pub(super) is_suspect: bool,
    handshakes: Handshakes,
}

impl ControlledUplink {
    /// Takes in how much it has carried by `now`. Returns whether that makes a difference.
    pub(super) fn carried(&mut self, carried: Carried, now: Instant) -> bool {
        let rules = listening(&self.config);
        let before = (self.traffic.is_suspect, self.traffic.silence.verdict());
        let there = (self.gateway(), self.gateway_mac(), self.address());
        if self.monitor().is_hindered() || self.traffic.at != there {
            // It is no wonder that nothing came back, or says nothing of how it is now.
            (self.traffic.silence, self.traffic.at) = (Silence::default(), there);
        }
        self.traffic.silence.observe(&rules, carried, now);
        self.traffic.is_suspect = self.traffic.silence.suspicion(&rules, now).is_some();
        let verdict = self.traffic.silence.verdict();
        if verdict != before.1 {
            self.health_event(Event::Silence(verdict), now);
        }
        (self.traffic.is_suspect, verdict) != before
    }

    /// Whether it is of use to know how much it carries.
    pub(super) fn is_listened_to(&self) -> bool {
        let Traffic { silence, is_suspect, .. } = &self.traffic;
        // What was made of it under other rules is taken back.
        listening(&self.config).action != Suspicion::Ignored
            || *is_suspect
            || silence.verdict().is_some()
    }

    /// What makes it suspect at `now`, if something does.
    pub fn suspicion(&self, now: Instant) -> Option<Silent> {
        self.traffic.silence.suspicion(&listening(&self.config), now)
    }

    /// Takes in what has been counted of its handshakes by `now`.
    pub(super) fn shook_hands(&mut self, counts: &HandshakeCounts, now: Instant) {
        self.traffic.handshakes.record(counts, now);
    }

    /// What has been counted of its handshakes lately.
    pub fn handshakes(&self) -> &Handshakes {
        &self.traffic.handshakes
    }
}

fn listening(config: &config::Uplink) -> Listening {
    config.health.as_ref().map_or(Listening::NEVER, |health| health.listening)
}
