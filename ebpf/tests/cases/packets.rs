//! Ends and packets that the cases share.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Forward, Ipv4, LanSide, Mac, MacPair, PortRange};
use pointsman_ebpf::memory::site::{self, Provider, lan};
use pointsman_ebpf::memory::{PacketBuilder, answer_to};

/// The host's end of most flows.
pub(crate) const HOST: SocketAddrV4 = SocketAddrV4::new(lan::HOST, 5000);

/// Another host's end, with the same port.
pub(crate) const OTHER: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, HOST.port());

/// The server's end of most flows.
pub(crate) const SERVER: SocketAddrV4 = SocketAddrV4::new(site::SERVER, 443);

/// Another server's end, which no flow is to.
pub(crate) const STRANGER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 54), 999);

/// The host's port, or echo identifier, at an uplink's public address.
pub(crate) fn public(provider: &Provider, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(provider.address, port)
}

/// The same packet as it leaves by an uplink, its source translated.
pub(crate) fn leaving(packet: &PacketBuilder, by: &Provider, port: u16) -> PacketBuilder {
    let packet = packet.clone().from(public(by, port));
    packet.macs(by.mac, by.gateway_mac).ttl(63)
}

/// A packet as it comes in by an uplink.
pub(crate) fn coming(packet: PacketBuilder, by: &Provider) -> PacketBuilder {
    packet.macs(by.gateway_mac, by.mac)
}

/// The same packet as it reaches a host of the LAN, its destination translated.
pub(crate) fn reaching(packet: &PacketBuilder, host: SocketAddrV4) -> PacketBuilder {
    let packet = packet.clone().to(host).ttl(63);
    packet.macs(lan::MAC, mac_of(*host.ip()))
}

/// A packet as the other host sends it.
pub(crate) fn from_other(packet: PacketBuilder) -> PacketBuilder {
    packet.macs(lan::OTHER_MAC, lan::MAC)
}

fn mac_of(host: Ipv4Addr) -> [u8; 6] {
    if host == lan::OTHER { lan::OTHER_MAC } else { lan::HOST_MAC }
}

/// A UDP datagram from the host's usual end to the server's.
pub(crate) fn request() -> PacketBuilder {
    PacketBuilder::udp(HOST, SERVER)
}

/// The same from the other host.
pub(crate) fn other_request() -> PacketBuilder {
    from_other(PacketBuilder::udp(OTHER, SERVER))
}

/// The server's answer to `public`.
pub(crate) fn answer(by: &Provider, port: u16) -> PacketBuilder {
    coming(PacketBuilder::udp(SERVER, public(by, port)), by)
}

/// The answer to a packet of the host's, of any protocol, that has left by an uplink.
pub(crate) fn answer_to_sent(sent: &PacketBuilder, by: &Provider) -> Vec<u8> {
    const GRE: u8 = 47;
    let frame = leaving(sent, by, HOST.port()).build();
    match frame[23] {
        GRE => coming(PacketBuilder::other(GRE, *SERVER.ip(), by.address), by).build(),
        _ => answer_to(&frame),
    }
}

/// A TCP segment from the host's usual end to the server's.
pub(crate) fn segment(flags: u8) -> PacketBuilder {
    PacketBuilder::tcp(HOST, SERVER, flags)
}

/// A TCP segment back, by an uplink.
pub(crate) fn segment_back(flags: u8, by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::tcp(SERVER, public(by, HOST.port()), flags), by)
}

/// A forward by both uplinks to a LAN host.
pub(crate) fn forward(protocol: u8, first: u16, last: u16, to: SocketAddrV4) -> Forward {
    Forward {
        uplinks: site::A.bit() | site::B.bit(),
        address: Ipv4::new(to.ip().octets()),
        ports: PortRange { first, last },
        port: to.port(),
        protocol,
        lan: LanSide::new(
            MacPair::new(Mac::new(mac_of(*to.ip())), Mac::new(lan::MAC)),
            lan::EGRESS,
            site::MTU,
        ),
        ..Forward::default()
    }
}
