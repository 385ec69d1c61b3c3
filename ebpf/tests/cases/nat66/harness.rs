//! What the cases of masquerade share: ends, packets, and what must become of them.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{
    Binding, FlowKey, HostDigest, Ipv4, L4Port, Masquerade, NAT66_SIDE, Pin, to_ipv4,
};
use pointsman_ebpf::memory::site::{self, A, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, entry, own};
use pointsman_ebpf::memory::{Body6, DIGEST_KEY, End6, PacketBuilder6, verify6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

pub(super) use super::super::harness::Gateway;
pub(super) use super::super::ipv6::{HOST, OTHER, SERVER, STRANGER, coming, from_other};

/// Masquerade by both.
pub(super) const MASQUERADED: [Carriage; 2] = [Carriage::Nat66; 2];

/// Address unreachable for want of what there is no more of, or that is not given (RFC 4443 section 3.1).
pub(super) const PROHIBITED: [u8; 2] = [1, 1];

/// The gateway with masquerade by both uplinks, of which A is preferred.
pub(super) fn gateway() -> Gateway {
    Gateway::of(site6::gateway(site::prefer_a, MASQUERADED))
}

/// A port, or an echo's identifier, of an uplink's public address.
pub(super) fn public(by: &Provider, port: u16) -> End6 {
    (own(by), port)
}

/// A UDP datagram from the host's usual end to the server's.
pub(super) fn request() -> PacketBuilder6 {
    PacketBuilder6::udp(HOST, SERVER)
}

/// The same of the other host, which has the same port.
pub(super) fn other_request() -> PacketBuilder6 {
    from_other(PacketBuilder6::udp(OTHER, SERVER))
}

/// A TCP segment from the host's usual end to the server's.
pub(super) fn segment(flags: u8) -> PacketBuilder6 {
    PacketBuilder6::tcp(HOST, SERVER, flags)
}

/// An echo request of the host's to the server.
pub(super) fn echo() -> PacketBuilder6 {
    PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: false })
}

/// The server's answer to the host's usual port.
pub(super) fn answer(by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::udp(SERVER, public(by, HOST.1)), by)
}

/// A TCP segment of the server's, likewise.
pub(super) fn segment_back(flags: u8, by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::tcp(SERVER, public(by, HOST.1), flags), by)
}

/// The server's reply to the host's echo request.
pub(super) fn reply(by: &Provider) -> PacketBuilder6 {
    let body = Body6::Echo { reply: true };
    coming(PacketBuilder6::new((SERVER.0, 0), public(by, HOST.1), body), by)
}

/// A datagram of a stranger's to the host's usual port.
pub(super) fn unasked(by: &Provider) -> PacketBuilder6 {
    answer(by).from(STRANGER)
}

/// The same packet as it leaves by an uplink, from this port of its address.
pub(super) fn leaving(packet: &PacketBuilder6, by: &Provider, port: u16) -> PacketBuilder6 {
    packet.clone().macs(by.mac, by.gateway_mac).hop_limit(63).from(public(by, port))
}

/// The same packet as it reaches this host of the LAN.
pub(super) fn reaching(packet: &PacketBuilder6, host: End6) -> PacketBuilder6 {
    let mac = if host.0 == OTHER.0 { lan::OTHER_MAC } else { lan::HOST_MAC };
    packet.clone().macs(lan::MAC, mac).hop_limit(63).to(host)
}

/// The key of a mapping's side in the LAN.
pub(super) fn internal_key(host: End6, protocol: u8, by: &Provider) -> FlowKey {
    let digest = HostDigest::new(&DIGEST_KEY, entry(host.0));
    let end = (digest.account(), L4Port::from_host(host.1));
    FlowKey::internal(end, digest.rest(), to_ipv4(protocol), NAT66_SIDE | by.id)
}

/// The key of its public side.
pub(super) fn external_key(port: u16, protocol: u8, by: &Provider) -> FlowKey {
    let public = (Ipv4::default(), L4Port::from_host(port));
    FlowKey::external(Ipv4::default(), public, to_ipv4(protocol), NAT66_SIDE | by.id)
}

/// The port, or the identifier, that a packet from the LAN leaves with, if it does: any.
pub(super) fn translated(gateway: &Gateway, packet: &PacketBuilder6) -> Option<u16> {
    use pointsman_ebpf::abi::Direction;
    use pointsman_ebpf::verdict::Verdict;
    let mut frame = packet.build();
    let verdict = gateway.tables.run(&mut frame, lan::IFINDEX);
    let Verdict::Forward { direction: Direction::Out, .. } = verdict else { return None };
    assert_eq!(verify6(&frame), Ok(()), "{}", gateway.tables);
    // Behind 54 bytes without extension headers; an echo's identifier is behind its checksum.
    let at = if frame[20] == 58 { 54 + 4 } else { 54 };
    Some(u16::from_be_bytes([frame[at], frame[at + 1]]))
}

impl Gateway {
    /// The packet from the LAN leaves by an uplink, from this port of its address.
    #[track_caller]
    pub(super) fn sends66(&self, packet: &PacketBuilder6, by: &Provider, port: u16) {
        let output = leaving(packet, by, port).build();
        assert_eq!(verify6(&output), Ok(()));
        self.forwards_out(&packet.build(), by, &output);
    }

    /// The packet comes in by an uplink and reaches this host.
    #[track_caller]
    pub(super) fn delivers66(&self, packet: &PacketBuilder6, by: &Provider, host: End6) {
        let output = reaching(packet, host).build();
        assert_eq!(verify6(&output), Ok(()));
        self.forwards_in(&packet.build(), by, &output);
    }

    /// A flow of the host's UDP port to the server and back, by A.
    #[track_caller]
    pub(super) fn establish66(&self) {
        self.sends66(&request(), &A, HOST.1);
        self.delivers66(&answer(&A), &A, HOST);
        self.holds66([2, 0, 0], 2);
    }

    /// The same of TCP.
    #[track_caller]
    pub(super) fn establish_tcp66(&self) {
        self.sends66(&segment(SYN), &A, HOST.1);
        self.delivers66(&segment_back(SYN | ACK, &A), &A, HOST);
        self.sends66(&segment(ACK), &A, HOST.1);
        self.holds66([2, 0, 0], 2);
    }

    /// How many pins of established, unanswered and invited flows there are, and how many sides of
    /// mappings, and permissions.
    #[track_caller]
    pub(super) fn holds66(&self, pins: [usize; 3], bindings: usize) {
        self.holds6(pins);
        assert_eq!(self.tables.bindings().len(), bindings, "{}", self.tables);
    }

    /// The frame is dropped, and leaves no trace in any table.
    #[track_caller]
    pub(super) fn refuses66(&self, ifindex: u32, packet: &PacketBuilder6, reason: DropReason) {
        let bindings = self.tables.bindings();
        self.refuses6(ifindex, packet, reason);
        assert_eq!(self.tables.bindings(), bindings, "{}", self.tables);
    }

    /// The packet from the LAN, which is of no flow, leaves no trace in any table, and its sender is told
    /// by a message of this type and code.
    #[track_caller]
    pub(super) fn tells66(
        &self,
        packet: &PacketBuilder6,
        reason: DropReason,
        type_and_code: [u8; 2],
    ) {
        let bindings = self.tables.bindings();
        self.tells6(lan::IFINDEX, &packet.build(), reason, type_and_code, [0; 4]);
        assert_eq!(self.tables.bindings(), bindings, "{}", self.tables);
    }

    /// The only pin of a table that is for this.
    #[track_caller]
    pub(super) fn pin66(&self, table: FlowTable, masquerade: Masquerade) -> (FlowKey, Pin) {
        let pins = self.tables.ipv6.pins(table);
        let mut found = pins.iter().filter(|(_, pin)| pin.masquerade == masquerade as u8);
        let pin = found.next().expect("no pin is for this");
        assert_eq!(found.next(), None, "{}", self.tables);
        *pin
    }

    /// A side of a mapping.
    #[track_caller]
    pub(super) fn binding66(&self, key: &FlowKey) -> Binding {
        let bindings = self.tables.bindings();
        let found = bindings.iter().find(|(known, _)| known == key);
        found.unwrap_or_else(|| panic!("no {key:?} in {bindings:#?}")).1
    }

    /// A host is held to have so many mappings, and no unanswered flows, which are not counted.
    #[track_caller]
    pub(super) fn counts_of66(&self, host: Ipv6Addr, mappings: u64) {
        let account = HostDigest::new(&DIGEST_KEY, entry(host)).account();
        self.counts_of(account.octets().into(), mappings, 0);
    }
}
