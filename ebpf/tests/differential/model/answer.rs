//! ICMP messages of the gateway's own (RFC 792; RFC 1191; RFC 1812 section 4.3).

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::packet::{ICMP, address, word};
use super::site::{Site, is_martian};
use super::sum::{set_header, sum};
use super::{Model, Outcome};

impl Model {
    /// The message to the sender of a packet that was dropped, if there may be one.
    pub(crate) fn answer(
        &mut self,
        came: Interface,
        frame: &[u8],
        reason: DropReason,
        mtu: u16,
    ) -> Option<Outcome> {
        let dropped = &frame[14..];
        if !may_be_answered(&self.site, came, dropped)
            || !self.tokens.take(self.site.setup.icmp, self.site.now)
        {
            return None;
        }
        let (icmp_type, code) = match reason {
            DropReason::TtlExceeded => (11, 0),
            DropReason::TooBig => (3, 4),
            DropReason::NoUplink => (3, 0),
            DropReason::SourceRoute => (3, 5),
            _ => (3, 13),
        };
        // As much of the packet as there is room for in 576 bytes.
        let quote = &dropped[..usize::from(word(dropped, 2)).min(548)];
        let mut icmp = vec![icmp_type, code, 0, 0, 0, 0];
        icmp.extend(mtu.to_be_bytes());
        icmp.extend(quote);
        let checksum = !sum(&icmp);
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());

        let mut ip = vec![0x45, 0xc0];
        ip.extend((20 + icmp.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, ICMP, 0, 0]);
        ip.extend(self.site.address(came));
        ip.extend(address(dropped, 12));
        set_header(&mut ip);

        let mac = self.site.mac(came)?;
        let egress = match self.site.uplink_of(came) {
            Some(uplink) => uplink.provider.egress,
            None => lan::EGRESS,
        };
        let frame = [&frame[6..12], &mac, &[8, 0], &ip, &icmp].concat();
        Some(Outcome { verdict: Verdict::Answer { egress, reason }, frame, loose: Vec::new() })
    }
}

/// RFC 1812 section 4.3.2.7: not about later fragments, errors, and packets of nobody or everybody.
fn may_be_answered(site: &Site, came: Interface, ip: &[u8]) -> bool {
    let (source, destination) = (address(ip, 12), address(ip, 16));
    let header = usize::from(ip[0] & 15) * 4;
    let is_later = word(ip, 6) & 0x1fff != 0;
    let is_of_all = came == Interface::Lan && site.is_broadcast(source);
    let is_error = ip[9] == ICMP && !is_later && !matches!(ip[header], 0 | 8);
    !(is_martian(source) || is_martian(destination) || is_later || is_of_all || is_error)
}
