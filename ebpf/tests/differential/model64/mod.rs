//! A gateway that translates between IPv6 in the LAN and IPv4 beyond the uplinks, written from the RFCs
//! (4443, 4884, 6052, 6146, 7915) and from what Pointsman says that it does, to be compared with the path.
//!
//! Hosts of IPv6 have mappings and flows as hosts of IPv4 have them, by the other model ([`Model`]), each
//! under an address of IPv4 that stands for it there and nowhere else.

mod error;
mod inbound;
mod lost;
mod outbound;
mod prefix;
mod translate;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::sequence64::{Setup64, Step64};
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::site6;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::model::packet as packet4;
use super::model::site::Site;
use super::model::state::{Flow, Key};
use super::model::sum::sum;
use super::model::{Choices, Model, Outcome, Stop};
use super::model6::packet as packet6;
use super::model6::packet::{Address, ICMPV6, Kind, word};
use super::model6::site::{is_martian, is_multicast};
pub(crate) use prefix::Prefix;

/// The hosts of IPv6, in the order in which they were seen, and the addresses that stand for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Rc<RefCell<Vec<Address>>>);

impl Hosts {
    fn stand_in(&self, host: Address) -> [u8; 4] {
        let mut hosts = self.0.borrow_mut();
        let known = hosts.iter().position(|known| *known == host);
        let place = known.unwrap_or_else(|| {
            hosts.push(host);
            hosts.len() - 1
        });
        let [high, low] = (place as u16).to_be_bytes();
        [0, 64, high, low]
    }

    /// Whom the address stands for.
    pub(crate) fn of(&self, stand_in: [u8; 4]) -> Address {
        self.0.borrow()[usize::from(u16::from_be_bytes([stand_in[2], stand_in[3]]))]
    }
}

/// A packet of IPv6 of which the first fragment has passed: of whom, to whom, and its identification.
type FragmentKey = (Address, Address, u32);

/// The gateway.
pub(crate) struct Model64 {
    /// What it is to IPv4.
    pub(crate) four: Model,
    pub(crate) prefix: Prefix,
    pub(crate) hosts: Hosts,
    neighbours: bool,
    /// How many bytes the first fragment had, and its flow.
    pub(crate) fragments: BTreeMap<FragmentKey, (usize, Flow)>,
}

impl Model64 {
    pub(crate) fn new(setup: &Setup64) -> Self {
        Self {
            four: Model::new(Site::new(&setup.four)),
            prefix: Prefix::new(setup.prefix),
            hosts: Hosts::default(),
            neighbours: setup.neighbours,
            fragments: BTreeMap::new(),
        }
    }

    /// An event that is no packet.
    pub(crate) fn apply(&mut self, step: &Step64) {
        if let Step64::Four(step) = step {
            self.four.apply(step);
        }
    }

    /// Whether a frame is one that this model knows what to do with: IPv6 is from the LAN, for the prefix.
    pub(crate) fn knows(&self, came: Interface, frame: &[u8]) -> bool {
        let is_six = frame.get(12..14) == Some(&[0x86, 0xdd]);
        let is_ours = |to: &[u8]| self.prefix.holds(packet6::address(to, 0));
        !is_six || came == Interface::Lan && frame.get(38..54).is_none_or(is_ours)
    }

    /// A packet comes in.
    pub(crate) fn packet(
        &mut self,
        came: Interface,
        frame: &[u8],
        choices: &dyn Choices,
    ) -> Outcome {
        let untouched = |verdict| Outcome { verdict, frame: frame.to_vec(), loose: Vec::new() };
        let (kind, result) = if frame.get(12..14) == Some(&[0x86, 0xdd]) {
            match packet6::read(frame, came, lan::MAC) {
                Ok(packet) => (Some(packet.kind), self.by_lan(&packet, choices)),
                Err(stop) => (Some(Kind::Odd), Err(stop)),
            }
        } else {
            match self.by_uplink(came, frame) {
                Some(result) => (None, result),
                None => return self.four.packet(came, frame, choices),
            }
        };
        match result {
            Ok(outcome) => outcome,
            Err(Stop::Pass(reason)) => untouched(Verdict::Pass(reason)),
            Err(Stop::Drop(reason)) => untouched(Verdict::Drop(reason)),
            Err(Stop::Answer(reason, word)) => match kind {
                Some(kind) => self.answer(frame, kind, reason, word),
                None => self.four.answer(came, frame, reason, word),
            }
            .unwrap_or_else(|| untouched(Verdict::Drop(reason))),
        }
    }

    /// A packet of IPv4. Nothing where it is none of a host of IPv6.
    fn by_uplink(&mut self, came: Interface, frame: &[u8]) -> Option<Result<Outcome, Stop>> {
        let id = self.four.site.uplink_of(came)?.provider.id;
        let mac = self.four.site.mac(came)?;
        let packet = packet4::read(frame, came, mac).ok()?;
        match packet.kind {
            packet4::Kind::Later => self.later_from_uplink(&packet),
            packet4::Kind::Error => self.error_from_uplink(&packet, id),
            packet4::Kind::Other => None,
            _ => self.inbound(&packet, id),
        }
    }

    /// Whether the flow holds still: its uplink has the address that it had, and, if it is sent to, is
    /// alive.
    fn holds(&self, flow: &Flow) -> bool {
        self.four.site.holds(flow)
    }

    /// The host of IPv6 that stands behind a flow from an uplink.
    fn inside(&self, flow: &Flow) -> Option<(Address, u16)> {
        let end = flow.translation.destination?;
        super::model::inbound::is_of_ipv6(end).then(|| (self.hosts.of(end.0), end.1))
    }

    /// The key of the packets from the LAN of a flow of this end.
    fn out_key(&self, inside: (Address, u16), remote: ([u8; 4], u16), protocol: u8) -> Key {
        let from = (self.hosts.stand_in(inside.0), inside.1);
        Key { uplink: None, protocol, from, to: remote }
    }

    /// The largest segment that fits into what both interfaces take.
    fn segment_limit(&self, flow: &Flow) -> u16 {
        let uplink = self.four.site.uplinks[&flow.uplink].mtu;
        (self.four.site.setup.mtu[0] - 60).min(uplink - 40)
    }

    /// The message to the sender of a packet of IPv6 that was dropped, if there may be one (RFC 4443
    /// sections 2.4 and 3; RFC 7915 section 5.4).
    fn answer(
        &mut self,
        frame: &[u8],
        kind: Kind,
        reason: DropReason,
        last: u16,
    ) -> Option<Outcome> {
        let dropped = &frame[14..];
        let (from, to) = (packet6::address(dropped, 8), packet6::address(dropped, 24));
        let (rate, now) = (self.four.site.setup.icmp, self.four.site.now);
        let is_message = matches!(kind, Kind::Error | Kind::OfLink | Kind::Odd);
        if is_message || is_martian(from) || is_multicast(to) || !self.four.tokens.take(rate, now) {
            return None;
        }
        let (icmp_type, code) = match reason {
            DropReason::NoUplink => (1, 0),
            DropReason::Nat64Destination => (1, 3),
            DropReason::TooBig => (2, 0),
            DropReason::TtlExceeded => (3, 0),
            DropReason::SourceRoute => (4, 0),
            _ => (1, 1),
        };
        let own = site6::GATEWAY.to_bits();
        let quote = &dropped[..(40 + usize::from(word(dropped, 4))).min(1232)];
        let [high, low] = last.to_be_bytes();
        let mut icmp = [&[icmp_type, code, 0, 0, 0, 0, high, low][..], quote].concat();
        let pseudo = translate::pseudo6(own, from, ICMPV6, icmp.len());
        let checksum = !sum(&[&pseudo[..], &icmp].concat());
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let ip = translate::header6(0xc0, icmp.len(), (64, ICMPV6), [own, from]);
        let frame = [&frame[6..12], &lan::MAC, &[0x86, 0xdd], &ip, &icmp].concat();
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason };
        Some(Outcome { verdict, frame, loose: Vec::new() })
    }
}

/// A frame of this packet.
fn framed(macs: [[u8; 6]; 2], packet: &[u8], trailer: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&macs.concat()[..], &kind, packet, trailer].concat()
}
