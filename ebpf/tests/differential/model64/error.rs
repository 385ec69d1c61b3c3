//! Errors: they go the way of the packet that they quote, and both they and what they quote become those of
//! the other version (RFC 7915 sections 4.2, 4.3, 5.2 and 5.3; RFC 4884).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::inbound::is_source_routed;
use super::outbound::source_route;
use super::translate::{class6, header4, header6, pseudo4, pseudo6, settle, to_v4, to_v6};
use super::{Model64, framed};
use crate::model::packet::{ICMP, Packet as Packet4, TCP, UDP, address as address4, word};
use crate::model::site::Id;
use crate::model::state::{Flow, Key};
use crate::model::sum::sum;
use crate::model::{Outcome, Stop};
use crate::model6::packet::{ICMPV6, Packet as Packet6, address as address6, walk};

/// A gateway sums no more than an Ethernet frame carries.
const SUMMED: usize = 1504;

/// Ports of a quoted packet, or an echo's identifier where that is, by the types of requests and replies.
fn ports(protocol: u8, upper: &[u8], icmp: u8, [request, reply]: [u8; 2]) -> Option<[u16; 2]> {
    match protocol {
        TCP | UDP if upper.len() >= 4 => Some([word(upper, 0), word(upper, 2)]),
        number if number == icmp && upper.len() >= 8 => match upper[0] {
            kind if kind == request => Some([word(upper, 4), 0]),
            kind if kind == reply => Some([0, word(upper, 4)]),
            _ => None,
        },
        _ => None,
    }
}

impl Model64 {
    /// An error about what has left the LAN. Nothing where that was not by a host of IPv6.
    pub(super) fn error_from_uplink(
        &mut self,
        packet: &Packet4<'_>,
        id: Id,
    ) -> Option<Result<Outcome, Stop>> {
        let icmp = &packet.frame[packet.transport..packet.end];
        if !packet.more && icmp.len() <= SUMMED && sum(icmp) != 0xffff {
            // Whoever it is for.
            return None;
        }
        let quote = &icmp[8..];
        let header = usize::from(quote.first()? & 15) * 4;
        let is_whole = quote[0] >> 4 == 4 && header >= 20 && quote.len() >= header;
        if !is_whole || word(quote, 6) & 0x1fff != 0 || sum(&quote[..header]) != 0xffff {
            return None;
        }
        let [from, to] = ports(quote[9], &quote[header..], ICMP, [8, 0])?;
        let (public, remote) = ((address4(quote, 12), from), (address4(quote, 16), to));
        if public.0 != packet.to.0 {
            return None;
        }
        let key = Key { uplink: Some(id), protocol: quote[9], from: remote, to: public };
        let established = self.four.state.established.get(&key).copied();
        let flow = match established.filter(|flow| self.holds(flow)) {
            Some(flow) => {
                self.inside(&flow)?;
                flow
            }
            None => {
                let inside = self.target(id, quote[9], public)?;
                let Some((_, out)) = self.waiting(inside, (remote, public), quote[9], id) else {
                    return Some(Err(DropReason::IcmpMismatch.into()));
                };
                out.back(&self.out_key(inside, remote, quote[9]), out.mac)
            }
        };
        Some(self.error_in(packet, &icmp[..8], quote, header, &flow))
    }

    fn error_in(
        &self,
        packet: &Packet4<'_>,
        icmp: &[u8],
        quote: &[u8],
        header: usize,
        flow: &Flow,
    ) -> Result<Outcome, Stop> {
        if packet.ttl <= 1 {
            return Err(DropReason::TtlExceeded.into());
        }
        if is_source_routed(packet) {
            return Err(DropReason::SourceRoute.into());
        }
        // Section 1.2.
        if packet.more {
            return Err(DropReason::Nat64Untranslatable.into());
        }
        let mtus = (self.four.site.uplinks[&flow.uplink].mtu, self.four.site.setup.mtu[0]);
        let (kind, code, last) = to_error6(icmp, word(quote, 2), mtus).ok_or(DropReason::Icmp)?;
        let inside = self.inside(flow).expect("it is of a host of IPv6");
        let (protocol, remote) = (quote[9], self.prefix.embed(address4(quote, 16)));
        let mut upper = quote[header..].to_vec();
        let counted = usize::from(icmp[5]) * 4;
        if matches!(icmp[0], 3 | 11 | 12) && counted != 0 {
            upper.truncate(counted.saturating_sub(header));
        }
        let needed = if protocol == ICMP { 8 } else { 4 };
        if upper.len() < needed {
            return Err(DropReason::IcmpMismatch.into());
        }
        upper.truncate(1280 - 88);
        let whole = usize::from(word(quote, 2)).saturating_sub(header);
        let before = pseudo4(address4(quote, 12), address4(quote, 16), protocol, whole);
        let wanted = sum(&[&before[..], &upper].concat());
        let at = if protocol == ICMP { 4 } else { 0 };
        upper[at..at + 2].copy_from_slice(&inside.1.to_be_bytes());
        if protocol == ICMP {
            upper[0] = if upper[0] == 8 { 128 } else { 129 };
        }
        let protocol = to_v6(protocol);
        settle(&mut upper, protocol, (wanted, &pseudo6(inside.0, remote, protocol, whole)));
        let quoted = header6(quote[1], whole, (quote[8], protocol), [inside.0, remote]);
        let [a, b, c, d] = last.to_be_bytes();
        let mut message = [&[kind, code, 0, 0, a, b, c, d][..], &quoted, &upper].concat();
        let ends = [self.prefix.embed(packet.from.0), inside.0];
        let pseudo = pseudo6(ends[0], ends[1], ICMPV6, message.len());
        let checksum = !sum(&[&pseudo[..], &message].concat());
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let hops = (packet.ttl - 1, ICMPV6);
        let ip = header6(packet.frame[15], message.len(), hops, ends);
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: flow.uplink, direction: Direction::In };
        let frame = framed([flow.mac, lan::MAC], &[ip, message].concat(), &[]);
        Ok(Outcome { verdict, frame, loose: Vec::new() })
    }

    /// An error about what has come to the LAN.
    pub(super) fn error_from_lan(&mut self, packet: &Packet6<'_>) -> Result<Outcome, Stop> {
        const MISMATCH: DropReason = DropReason::IcmpMismatch;
        let icmp = &packet.frame[packet.transport..packet.end];
        let pseudo = pseudo6(packet.from.0, packet.to.0, ICMPV6, icmp.len());
        if sum(&[&pseudo[..], icmp].concat()) != 0xffff {
            return Err(DropReason::BadChecksum.into());
        }
        let quote = icmp.get(8..).filter(|quote| quote.len() >= 40 && quote[0] >> 4 == 6);
        let quote = quote.ok_or(MISMATCH)?;
        let (protocol, len, fragment) = walk(quote[6], &quote[40..]).map_err(|_| MISMATCH)?;
        let header = 40 + len;
        if fragment.offset != 0 || address6(quote, 8) != packet.to.0 {
            return Err(MISMATCH.into());
        }
        let [from, to] = ports(protocol, &quote[header..], ICMPV6, [128, 129]).ok_or(MISMATCH)?;
        let remote = (self.prefix.extract(packet.to.0).ok_or(MISMATCH)?, from);
        let key = self.out_key((address6(quote, 24), to), remote, to_v4(protocol));
        let state = &self.four.state;
        let flow = [&state.established, &state.unreplied, &state.invited]
            .into_iter()
            .find_map(|table| table.get(&key).filter(|flow| self.holds(flow)))
            .ok_or(MISMATCH)?;
        self.may_send(packet)?;
        if packet.hop_limit <= 1 {
            return Err(DropReason::TtlExceeded.into());
        }
        if source_route(packet).is_some() {
            return Err(DropReason::SourceRoute.into());
        }
        if packet.fragment.more {
            return Err(DropReason::Nat64Untranslatable.into());
        }
        self.error_out(packet, flow, header, protocol)
    }

    fn error_out(
        &self,
        packet: &Packet6<'_>,
        flow: &Flow,
        header: usize,
        protocol: u8,
    ) -> Result<Outcome, Stop> {
        let (icmp, quote) = packet.frame[packet.transport..packet.end].split_at(8);
        let uplink = &self.four.site.uplinks[&flow.uplink];
        let mtus = (uplink.mtu, self.four.site.setup.mtu[0]);
        let (kind, code, last) = to_error4(icmp, mtus).ok_or(DropReason::Icmp)?;
        let public = flow.translation.source.expect("it is translated");
        let remote = self.prefix.extract(packet.to.0).expect("the flow is to somebody");
        let mut upper = quote[header..].to_vec();
        let counted = usize::from(icmp[4]) * 8;
        if matches!(icmp[0], 1 | 3) && counted != 0 {
            upper.truncate(counted.saturating_sub(header));
        }
        let needed = if protocol == ICMPV6 { 8 } else { 4 };
        if upper.len() < needed {
            return Err(DropReason::IcmpMismatch.into());
        }
        upper.truncate(usize::from(uplink.mtu) - 48);
        let whole = (40 + usize::from(word(quote, 4))).saturating_sub(header);
        let before = pseudo6(address6(quote, 8), address6(quote, 24), protocol, whole);
        let wanted = sum(&[&before[..], &upper].concat());
        let at = if protocol == ICMPV6 { 4 } else { 2 };
        upper[at..at + 2].copy_from_slice(&public.1.to_be_bytes());
        if protocol == ICMPV6 {
            upper[0] = if upper[0] == 128 { 8 } else { 0 };
        }
        let protocol = to_v4(protocol);
        settle(&mut upper, protocol, (wanted, &pseudo4(remote, public.0, protocol, whole)));
        let hops = (quote[7], protocol);
        let quoted = header4(class6(quote), whole, [0, 0x4000], hops, [remote, public.0]);
        let [a, b, c, d] = last.to_be_bytes();
        let mut message = [&[kind, code, 0, 0, a, b, c, d][..], &quoted, &upper].concat();
        let checksum = !sum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let hops = (packet.hop_limit - 1, ICMP);
        let class = class6(&packet.frame[14..]);
        let ends = [public.0, remote];
        let ip = header4(class, message.len(), [word(icmp, 2), 0], hops, ends);
        let provider = &uplink.provider;
        let verdict = Verdict::Forward {
            egress: provider.egress,
            uplink: provider.id,
            direction: Direction::Out,
        };
        let frame = framed([provider.gateway_mac, provider.mac], &[ip, message].concat(), &[]);
        Ok(Outcome { verdict, frame, loose: Vec::new() })
    }
}

/// Type, code and last word of an error of IPv4 in IPv6 (section 4.2).
fn to_error6(icmp: &[u8], quoted: u16, (uplink, lan): (u16, u16)) -> Option<(u8, u8, u32)> {
    // RFC 1191 section 7.1.
    const PLATEAUS: [u16; 10] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
    Some(match (icmp[0], icmp[1]) {
        (3, 0 | 1 | 5 | 6 | 7 | 8 | 11 | 12) => (1, 0, 0),
        (3, 2) => (4, 1, 6),
        (3, 3) => (1, 4, 0),
        (3, 4) => {
            let advised = match word(icmp, 6) {
                0 => PLATEAUS.into_iter().find(|plateau| *plateau < quoted).unwrap_or(0),
                mtu => mtu,
            };
            let mtu = (u32::from(advised) + 20).min(u32::from(lan)).min(u32::from(uplink) + 20);
            (2, 0, mtu.max(1280))
        }
        (3, 9 | 10 | 13 | 15) => (1, 1, 0),
        (11, code) => (3, code, 0),
        (12, 0 | 2) => {
            let pointer = match icmp[4] {
                0 => 0,
                1 => 1,
                2 | 3 => 4,
                8 => 7,
                9 => 6,
                12..=15 => 8,
                16..=19 => 24,
                _ => return None,
            };
            (4, 0, pointer)
        }
        _ => return None,
    })
}

/// Type, code and last word of an error of IPv6 in IPv4 (section 5.2).
fn to_error4(icmp: &[u8], (uplink, lan): (u16, u16)) -> Option<(u8, u8, u32)> {
    let last = u32::from_be_bytes(address4(icmp, 4));
    Some(match (icmp[0], icmp[1]) {
        (1, 0 | 2 | 3) => (3, 1, 0),
        (1, 1) => (3, 10, 0),
        (1, 4) => (3, 3, 0),
        (2, _) => {
            let mtu = last.saturating_sub(20).min(u32::from(uplink)).min(u32::from(lan) - 20);
            (3, 4, mtu)
        }
        (3, code) => (11, code, 0),
        (4, 0) => {
            let pointer: u32 = match last {
                0 => 0,
                1 => 1,
                4 | 5 => 2,
                6 => 9,
                7 => 8,
                8..=23 => 12,
                24..=39 => 16,
                _ => return None,
            };
            (12, 0, pointer << 24)
        }
        (4, 1) => (3, 2, 0),
        _ => return None,
    })
}
