//! ICMPv6 errors of the gateway's own (RFC 4443 sections 2.4 and 3).

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::site6;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::packet::{ICMPV6, Kind, address, word};
use super::site::{is_martian, is_multicast};
use super::{Model6, Outcome};
use crate::model::sum::sum;

impl Model6 {
    /// The message to the sender of a packet that was dropped, if there may be one.
    pub(crate) fn answer(
        &mut self,
        came: Interface,
        frame: &[u8],
        kind: Kind,
        reason: DropReason,
        last: u16,
    ) -> Option<Outcome> {
        let dropped = &frame[14..];
        let (from, to) = (address(dropped, 8), address(dropped, 24));
        let is_message = matches!(kind, Kind::Error | Kind::OfLink | Kind::Odd);
        if is_message
            || is_martian(from)
            || is_multicast(to)
            || !self.tokens.take(self.site.setup.icmp, self.site.now)
        {
            return None;
        }
        let (icmp_type, code) = match reason {
            DropReason::NoUplink => (1, 0),
            DropReason::NoTranslation => (1, 3),
            DropReason::SourceUplinkDown => (1, 5),
            DropReason::TooBig => (2, 0),
            DropReason::TtlExceeded => (3, 0),
            DropReason::AnycastTranslation => (4, 0),
            _ => (1, 1),
        };
        let (own, egress) = match self.site.uplink_of(came) {
            Some(uplink) => (site6::own(&uplink.provider), uplink.provider.egress),
            None => (site6::GATEWAY, lan::EGRESS),
        };
        // As much of the packet as there is room for in 1280 bytes.
        let quote = &dropped[..(40 + usize::from(word(dropped, 4))).min(1232)];
        let mut icmp = vec![icmp_type, code, 0, 0, 0, 0];
        icmp.extend(last.to_be_bytes());
        icmp.extend(quote);
        let len = icmp.len() as u16;
        let addresses = [own.octets(), from.to_be_bytes()].concat();
        let pseudo = [&addresses[..], &len.to_be_bytes(), &[0, ICMPV6]].concat();
        let checksum = !sum(&[&pseudo[..], &icmp].concat());
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());

        let mut ip = vec![0x6c, 0, 0, 0];
        ip.extend(len.to_be_bytes());
        ip.extend([ICMPV6, 64]);
        ip.extend(addresses);
        let mac = self.site.mac(came)?;
        let frame = [&frame[6..12], &mac, &[0x86, 0xdd], &ip, &icmp].concat();
        Some(Outcome { verdict: Verdict::Answer { egress, reason }, frame, loose: Vec::new() })
    }
}
