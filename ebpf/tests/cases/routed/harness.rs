//! What the cases of routed IPv4 share: packets that nothing is changed of but MACs and time to live.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Flow, Inbound, Uplink};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed::{self, Carriage, side};
use pointsman_ebpf::memory::site::{self, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::Verdict;

pub(super) use super::super::harness::{Gateway, SERVER, STRANGER, Sizes, coming};

/// The first host's end of most flows, of the prefix.
pub(super) const HOST: SocketAddrV4 = SocketAddrV4::new(routed::HOST, 5000);

/// Both uplinks route the prefix, and nothing else.
pub(super) const BOTH_ROUTE: [Carriage; 2] = [Carriage::Routed; 2];

/// A gateway whose uplinks carry IPv4 like this, A preferred; anything comes in.
pub(super) fn gateway(carriage: [Carriage; 2]) -> Gateway {
    with_inbound(carriage, Inbound::All)
}

/// The same, where this comes in.
pub(super) fn with_inbound(carriage: [Carriage; 2], inbound: Inbound) -> Gateway {
    Gateway::of(routed::gateway(site::prefer_a, carriage, inbound))
}

/// A UDP datagram from the host's usual end to the server's.
pub(super) fn request() -> PacketBuilder {
    PacketBuilder::udp(HOST, SERVER)
}

/// The server's answer, by an uplink.
pub(super) fn answer(by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::udp(SERVER, HOST), by)
}

/// A TCP segment from the host's usual end to the server's.
pub(super) fn segment(flags: u8) -> PacketBuilder {
    PacketBuilder::tcp(HOST, SERVER, flags)
}

/// A TCP segment back, by an uplink.
pub(super) fn segment_back(flags: u8, by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::tcp(SERVER, HOST, flags), by)
}

/// The packet as it leaves by an uplink.
pub(super) fn left(packet: &PacketBuilder, by: &Provider) -> PacketBuilder {
    packet.clone().macs(by.mac, by.gateway_mac).ttl(63)
}

/// The packet as it reaches the first host.
pub(super) fn arrived(packet: &PacketBuilder) -> PacketBuilder {
    packet.clone().macs(lan::MAC, lan::HOST_MAC).ttl(63)
}

impl Gateway {
    /// The packet goes from the LAN out by an uplink as it is.
    #[track_caller]
    pub(super) fn routes(&self, packet: &PacketBuilder, by: &Provider) {
        self.forwards_out(&packet.build(), by, &left(packet, by).build());
    }

    /// The packet comes in by an uplink and reaches the first host as it is.
    #[track_caller]
    pub(super) fn admits(&self, packet: &PacketBuilder, by: &Provider) {
        self.forwards_in(&packet.build(), by, &arrived(packet).build());
    }

    /// The packet from an uplink is dropped, and leaves no trace.
    #[track_caller]
    pub(super) fn turns_away(
        &self,
        packet: &PacketBuilder,
        by: &Provider,
        reason: pointsman_ebpf::verdict::DropReason,
    ) {
        let before = self.flows();
        self.drops(by.ifindex, &packet.build(), reason);
        assert_eq!(self.flows(), before, "{}", self.tables);
    }

    /// A connection of the host's to the server, which is answered.
    #[track_caller]
    pub(super) fn connect(&self, by: &Provider) {
        use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};
        self.routes(&segment(SYN), by);
        self.admits(&segment_back(SYN | ACK, by), by);
        self.routes(&segment(ACK), by);
        self.holds(Sizes { established: 2, ..Sizes::default() });
    }

    /// The side of an uplink by which it routes.
    pub(super) fn routed_side(&mut self, provider: &Provider) -> &mut Uplink {
        &mut self.tables.uplinks[side(provider)]
    }

    /// Both entries of the only established flow: from the LAN, and to it. Neither changes anything.
    #[track_caller]
    pub(super) fn pair(&self, opener_end: SocketAddrV4) -> [Flow; 2] {
        [Direction::Out, Direction::In].map(|direction| {
            let (key, flow) = self.entry(FlowTable::Established, direction);
            let own = if direction == Direction::Out { key.from() } else { key.to() };
            assert_eq!((flow.address, flow.port), own);
            assert_eq!(flow.address.octets(), opener_end.ip().octets());
            flow
        })
    }

    /// The packet from one LAN host reaches the one with this MAC.
    #[track_caller]
    pub(super) fn crosses(&self, packet: &PacketBuilder, mac: [u8; 6]) {
        let output = packet.clone().macs(lan::MAC, mac).ttl(63).build();
        self.expect(lan::IFINDEX, &packet.build(), Verdict::Lan { egress: lan::EGRESS }, &output);
    }
}

/// An address that the prefix has not.
pub(super) const PRIVATE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 2), 5000);
