//! What the cases of IPv6 share: ends, packets, and what must become of them.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{Direction, FlowKey, Inbound, Pin, Uplink6};
use pointsman_ebpf::memory::site::{self, A, B, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, ROUTED, provided, within};
use pointsman_ebpf::memory::{End6, PIN_TABLES, PacketBuilder6, verify6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};

pub(super) use super::super::harness::Gateway;

/// The host's end of most flows.
pub(crate) const HOST: End6 = (within(INTERNAL, site6::HOST), 5000);

/// Another host's end.
pub(crate) const OTHER: End6 = (within(INTERNAL, site6::OTHER), 5000);

/// The server's end of most flows.
pub(crate) const SERVER: End6 = (site6::SERVER, 443);

/// Another server's end, which no flow is to.
pub(crate) const STRANGER: End6 = (Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x54), 999);

/// The host's address as A shows it with a prefix of 48 bits: 0xCF3E is what the prefixes differ by.
pub(crate) const HOST_A: Ipv6Addr = within(provided(&A, 48), [0xcf3f, 0, 0, 0, 2]);

/// The same of B.
pub(super) const HOST_B: Ipv6Addr = within(provided(&B, 48), [0xcf3e, 0, 0, 0, 2]);

/// The other host's address as A shows it.
pub(super) const OTHER_A: Ipv6Addr = within(provided(&A, 48), [0xcf3f, 0, 0, 0, 3]);

/// The host's address of the prefix that is routed by both.
pub(super) const HOST_ROUTED: Ipv6Addr = within(ROUTED, site6::HOST);

/// The host's address of A's own prefix.
pub(super) const HOST_OF_A: Ipv6Addr = within(provided(&A, 48), site6::HOST);

/// The host's address of B's own prefix.
pub(super) const HOST_OF_B: Ipv6Addr = within(provided(&B, 48), site6::HOST);

/// NPTv6 by both, with prefixes of 48 bits.
pub(super) const TRANSLATED: [Carriage; 2] = [Carriage::Nptv6(48); 2];

/// Whether a packet takes long.
pub(super) fn is_slow() -> bool {
    crate::loaded::Loaded::IS_SLOW
}

/// The gateway of these uplinks, of which A is preferred.
pub(super) fn gateway(carriage: [Carriage; 2]) -> Gateway {
    Gateway::of(site6::gateway(site::prefer_a, carriage))
}

/// The same, where anything comes in for a LAN host.
pub(super) fn open_gateway(carriage: [Carriage; 2]) -> Gateway {
    let mut gateway = gateway(carriage);
    for provider in [A, B] {
        gateway.uplink6(&provider).inbound = Inbound::All as u8;
    }
    gateway
}

/// A UDP datagram from the host's usual end to the server's.
pub(super) fn request() -> PacketBuilder6 {
    PacketBuilder6::udp(HOST, SERVER)
}

/// A TCP segment between the same.
pub(super) fn segment(flags: u8) -> PacketBuilder6 {
    PacketBuilder6::tcp(HOST, SERVER, flags)
}

/// A packet as it comes in by an uplink.
pub(crate) fn coming(packet: PacketBuilder6, by: &Provider) -> PacketBuilder6 {
    packet.macs(by.gateway_mac, by.mac)
}

/// The server's answer to the host's usual port at this address.
pub(super) fn answer(to: Ipv6Addr, by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::udp(SERVER, (to, HOST.1)), by)
}

/// A TCP segment of the server's, likewise.
pub(super) fn segment_back(flags: u8, to: Ipv6Addr, by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::tcp(SERVER, (to, HOST.1), flags), by)
}

/// The same packet as it leaves by an uplink, from this address.
pub(super) fn leaving(packet: &PacketBuilder6, by: &Provider, from: Ipv6Addr) -> PacketBuilder6 {
    packet.clone().macs(by.mac, by.gateway_mac).hop_limit(63).from_address(from)
}

/// The same packet as it reaches the LAN's first host, at this address.
pub(super) fn reaching(packet: &PacketBuilder6, host: Ipv6Addr) -> PacketBuilder6 {
    packet.clone().macs(lan::MAC, lan::HOST_MAC).hop_limit(63).to_address(host)
}

/// A packet as the other host sends it.
pub(crate) fn from_other(packet: PacketBuilder6) -> PacketBuilder6 {
    packet.macs(lan::OTHER_MAC, lan::MAC)
}

/// All entries of all tables of pins.
pub(crate) type Pins = [Vec<(FlowKey, Pin)>; PIN_TABLES.len()];

impl Gateway {
    pub(crate) fn uplink6(&mut self, provider: &Provider) -> &mut Uplink6 {
        &mut self.tables.ipv6.uplinks[usize::from(provider.id)]
    }

    /// Whether checksums are right is asked of the output by itself: it is not only what was built.
    #[track_caller]
    pub(crate) fn sends6(&self, packet: &PacketBuilder6, by: &Provider, from: Ipv6Addr) {
        let output = leaving(packet, by, from).build();
        assert_eq!(verify6(&output), Ok(()));
        self.forwards_out(&packet.build(), by, &output);
    }

    /// The packet comes in by an uplink and reaches the LAN's first host at this address.
    #[track_caller]
    pub(crate) fn delivers6(&self, packet: &PacketBuilder6, by: &Provider, host: Ipv6Addr) {
        let output = reaching(packet, host).build();
        assert_eq!(verify6(&output), Ok(()));
        self.forwards_in(&packet.build(), by, &output);
    }

    /// A flow of the host's UDP port to the server and back, by A with a prefix of 48 bits.
    #[track_caller]
    pub(super) fn establish6(&self) {
        self.sends6(&request(), &A, HOST_A);
        self.delivers6(&answer(HOST_A, &A), &A, HOST.0);
        self.holds6([1, 0, 0]);
    }

    /// The same of TCP.
    #[track_caller]
    pub(super) fn establish_tcp6(&self) {
        use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};
        self.sends6(&segment(SYN), &A, HOST_A);
        self.delivers6(&segment_back(SYN | ACK, HOST_A, &A), &A, HOST.0);
        self.sends6(&segment(ACK), &A, HOST_A);
        self.holds6([1, 0, 0]);
    }

    /// How many established, unanswered and invited flows there are.
    #[track_caller]
    pub(crate) fn holds6(&self, sizes: [usize; 3]) {
        let got = self.pins6().map(|pins| pins.len());
        assert_eq!(got, sizes, "{:#?}\n{}", self.pins6(), self.tables);
    }

    pub(crate) fn pins6(&self) -> Pins {
        PIN_TABLES.map(|table| self.tables.ipv6.pins(table))
    }

    /// The only pin of a table.
    #[track_caller]
    pub(super) fn pin6(&self, table: FlowTable) -> Pin {
        match self.tables.ipv6.pins(table)[..] {
            [(_, pin)] => pin,
            ref pins => panic!("there is not one: {pins:#?}"),
        }
    }

    /// The frame is dropped, and leaves no trace in any table.
    #[track_caller]
    pub(crate) fn refuses6(&self, ifindex: u32, packet: &PacketBuilder6, reason: DropReason) {
        let before = (self.pins6(), self.flows());
        self.drops(ifindex, &packet.build(), reason);
        assert_eq!((self.pins6(), self.flows()), before, "{}", self.tables);
    }

    /// The frame, which is of no flow, leaves no trace in any table, and its sender is told by an
    /// ICMPv6 error of this type and code, whose last header word is `rest`.
    #[track_caller]
    pub(crate) fn tells6(
        &self,
        ifindex: u32,
        frame: &[u8],
        reason: DropReason,
        type_and_code: [u8; 2],
        rest: [u8; 4],
    ) {
        let before = (self.pins6(), self.flows());
        let port = self.tables.ports[&ifindex];
        let own = match port.egress {
            lan::EGRESS => site6::GATEWAY,
            slot if slot == A.egress => site6::own(&A),
            _ => site6::own(&B),
        };
        let octets: [u8; 16] = frame[22..38].try_into().unwrap();
        let payload = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
        // The message is of 1280 bytes at most (RFC 4443 section 2.4(c)).
        let quote = &frame[14..14 + (40 + payload).min(1280 - 48)];
        let message = PacketBuilder6::error(own, octets.into(), type_and_code, rest, quote)
            .macs(frame[0..6].try_into().unwrap(), frame[6..12].try_into().unwrap())
            .traffic_class(0xc0)
            .build();
        assert_eq!(verify6(&message), Ok(()));
        self.expect(ifindex, frame, Verdict::Answer { egress: port.egress, reason }, &message);
        assert_eq!((self.pins6(), self.flows()), before, "{}", self.tables);
    }

    /// The packet from the LAN goes back to its first host as this one, by A's prefix.
    #[track_caller]
    pub(super) fn hairpins6(&self, packet: &PacketBuilder6, output: &PacketBuilder6) {
        let output = output.clone().macs(lan::MAC, lan::HOST_MAC).hop_limit(63).build();
        assert_eq!(verify6(&output), Ok(()));
        let direction = Direction::Hairpin;
        let verdict = Verdict::Forward { egress: lan::EGRESS, uplink: A.id, direction };
        self.expect(lan::IFINDEX, &packet.build(), verdict, &output);
    }
}
