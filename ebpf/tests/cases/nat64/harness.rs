//! What the cases of NAT64 share: ends, packets of both versions, and what must become of them.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{HostDigest, Uplink};
use pointsman_ebpf::memory::site::{self, A, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, entry, within};
use pointsman_ebpf::memory::site64::{self, WELL_KNOWN, embedded};
use pointsman_ebpf::memory::{
    Body6, DIGEST_KEY, End6, PacketBuilder, PacketBuilder6, verify, verify6,
};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

pub(super) use super::super::harness::{Gateway, Sizes};
pub(super) use super::super::packets::{SERVER, STRANGER, coming, public};

/// The host's end of most flows.
pub(super) const HOST: End6 = (within(INTERNAL, site6::HOST), 5000);

/// Another host's end, with the same port.
pub(super) const OTHER: End6 = (within(INTERNAL, site6::OTHER), 5000);

/// What the server's end stands as.
pub(super) const SERVER6: End6 = (embedded(site::SERVER), 443);

/// The same of another server, which no flow is to.
pub(super) const STRANGER6: End6 = (embedded(*STRANGER.ip()), 999);

/// The gateway with the well-known prefix, whose uplinks carry no IPv6, and of which A is preferred.
pub(super) fn gateway() -> Gateway {
    Gateway::of(site64::gateway(site::prefer_a, [Carriage::None; 2], WELL_KNOWN))
}

/// A UDP datagram from the host's usual end to the server's.
pub(super) fn request() -> PacketBuilder6 {
    PacketBuilder6::udp(HOST, SERVER6)
}

/// What that is beyond A.
pub(super) fn request_out() -> PacketBuilder {
    PacketBuilder::udp(public(&A, HOST.1), SERVER)
}

/// A TCP segment between the same.
pub(super) fn segment(flags: u8) -> PacketBuilder6 {
    PacketBuilder6::tcp(HOST, SERVER6, flags)
}

/// What that is beyond A.
pub(super) fn segment_out(flags: u8) -> PacketBuilder {
    PacketBuilder::tcp(public(&A, HOST.1), SERVER, flags)
}

/// An echo request of the host's to the server.
pub(super) fn echo() -> PacketBuilder6 {
    PacketBuilder6::new(HOST, SERVER6, Body6::Echo { reply: false })
}

/// What that is beyond A.
pub(super) fn echo_out() -> PacketBuilder {
    PacketBuilder::echo_request(public(&A, HOST.1), site::SERVER)
}

/// The server's answer to the host's usual port.
pub(super) fn answer(by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::udp(SERVER, public(by, HOST.1)), by)
}

/// What that is in the LAN.
pub(super) fn answer_in() -> PacketBuilder6 {
    PacketBuilder6::udp(SERVER6, HOST)
}

/// A TCP segment of the server's, likewise.
pub(super) fn segment_back(flags: u8, by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::tcp(SERVER, public(by, HOST.1), flags), by)
}

/// What that is in the LAN.
pub(super) fn segment_in(flags: u8) -> PacketBuilder6 {
    PacketBuilder6::tcp(SERVER6, HOST, flags)
}

/// The server's reply to the host's echo request.
pub(super) fn reply() -> PacketBuilder {
    coming(PacketBuilder::echo_reply(site::SERVER, public(&A, HOST.1)), &A)
}

/// What that is in the LAN.
pub(super) fn reply_in() -> PacketBuilder6 {
    PacketBuilder6::new((SERVER6.0, 0), HOST, Body6::Echo { reply: true })
}

/// What a packet is beyond an uplink, after its one hop: `packet` with the identification that it has from
/// the checksum of `sent`, as long as routers may fragment it (RFC 7915 section 5.1).
pub(super) fn leaving(packet: PacketBuilder, sent: &[u8], by: &Provider) -> PacketBuilder {
    let packet = packet.macs(by.mac, by.gateway_mac).ttl(63);
    if packet.build().len() - 14 > 1260 {
        return packet.identification(0).fragment(0x4000);
    }
    // Where the checksum of TCP, of UDP or of ICMPv6 is, behind 54 bytes without extension headers.
    let at = match sent[20] {
        6 => 54 + 16,
        17 => 54 + 6,
        _ => 54 + 2,
    };
    packet.identification(u16::from_be_bytes([sent[at], sent[at + 1]]))
}

/// What a packet is in the LAN, after its one hop.
pub(super) fn reaching(packet: PacketBuilder6) -> PacketBuilder6 {
    packet.macs(lan::MAC, lan::HOST_MAC).hop_limit(63)
}

impl Gateway {
    /// What is known of an uplink.
    pub(super) fn uplink(&mut self, provider: &Provider) -> &mut Uplink {
        &mut self.tables.uplinks[usize::from(provider.id)]
    }

    /// The packet from the LAN leaves by an uplink as `output`.
    #[track_caller]
    pub(super) fn sends64(&self, packet: &PacketBuilder6, by: &Provider, output: PacketBuilder) {
        let input = packet.build();
        let output = leaving(output, &input, by).build();
        assert_eq!(verify(&output), Ok(()));
        self.forwards_out(&input, by, &output);
    }

    /// The packet comes in by an uplink, and reaches the LAN's first host as `output`.
    #[track_caller]
    pub(super) fn delivers64(&self, packet: &PacketBuilder, by: &Provider, output: PacketBuilder6) {
        let output = reaching(output).build();
        assert_eq!(verify6(&output), Ok(()));
        self.forwards_in(&packet.build(), by, &output);
    }

    /// A flow of the host's UDP port to the server and back, by A.
    #[track_caller]
    pub(super) fn establish64(&self) {
        self.sends64(&request(), &A, request_out());
        self.delivers64(&answer(&A), &A, answer_in());
    }

    /// The same of TCP.
    #[track_caller]
    pub(super) fn establish_tcp64(&self) {
        self.sends64(&segment(SYN), &A, segment_out(SYN));
        self.delivers64(&segment_back(SYN | ACK, &A), &A, segment_in(SYN | ACK));
        self.sends64(&segment(ACK), &A, segment_out(ACK));
    }

    /// How many entries of established, unanswered and invited flows there are, and none of fragments.
    #[track_caller]
    pub(super) fn holds64(&self, [established, unreplied, invited]: [usize; 3]) {
        let bindings = self.tables.bindings().len();
        self.holds(Sizes { established, unreplied, invited, fragments: 0, bindings });
    }

    /// The frame is dropped, and leaves no trace in any table of flows.
    #[track_caller]
    pub(super) fn refuses64(&self, ifindex: u32, frame: &[u8], reason: DropReason) {
        let before = self.flows();
        self.drops(ifindex, frame, reason);
        assert_eq!(self.flows(), before, "{}", self.tables);
    }

    /// What stands for the host is held to have so many mappings and unanswered flows.
    #[track_caller]
    pub(super) fn counts_of64(&self, host: Ipv6Addr, mappings: u64, unreplied: u64) {
        let account = HostDigest::new(&DIGEST_KEY, entry(host)).account();
        self.counts_of(account.octets().into(), mappings, unreplied);
    }
}
