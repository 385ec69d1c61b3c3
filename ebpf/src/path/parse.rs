//! 1 and 2. From bytes to what the path decides by.

use super::{Stop, Tables};
use crate::abi::{FlowKey, L4Port, LAN_REALM, LocalAddress, Mac, Mark, Port, PortRole};
use crate::verdict::{DropReason, PassReason};
use crate::wire::{
    ETHERNET_LEN, Echo, EtherType, Ethernet, Frame, IPV4_LEN, IPV6_DESTINATION, Ipv4Header,
    Protocol, Tcp, Udp, icmp_type, tcp_flags,
};

/// A packet that is well formed: what the path decides by.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Packet {
    /// Its flow key.
    pub(super) key: FlowKey,
    /// What it can do for a flow.
    pub(super) kind: Kind,
    /// Time to live, as it came in.
    pub(super) ttl: u8,
    /// The IPv4 header's checksum, as it came in.
    pub(super) header_checksum: [u8; 2],
    /// Where the transport header starts in the frame.
    pub(super) transport: usize,
    /// The transport header's checksum, as it came in.
    pub(super) transport_checksum: [u8; 2],
    /// The bits of [`Mark`] that it sets.
    pub(super) seen: u32,
    /// The sender's MAC.
    pub(super) source_mac: Mac,
}

/// What a packet can do for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Opens a flow, or belongs to one.
    Opens,
    /// Belongs to a flow, but opens none.
    Continues,
    /// A fragment: no ports to find a flow by.
    Fragment,
    /// Of a protocol that is not translated.
    Untranslatable,
}

/// Parses a frame that came in on `port`.
#[inline(always)]
pub(super) fn packet<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    port: &Port,
) -> Result<Packet, Stop> {
    let ethernet: Ethernet = frame.read(0).ok_or(DropReason::Truncated)?;
    if ethernet.destination() != port.mac {
        return Err(PassReason::NotForUs.into());
    }
    if ethernet.ether_type != EtherType::IPV4 {
        return Err(not_ipv4(frame, tables, ethernet.ether_type));
    }
    let header: Ipv4Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    let header_len = header.header_len();
    if header.version() != 4 || header_len < IPV4_LEN || header.total_len() < header_len {
        return Err(DropReason::BadHeader.into());
    }
    if frame.len() < ETHERNET_LEN + header.total_len() {
        return Err(DropReason::Truncated.into());
    }
    match header.verify(frame, ETHERNET_LEN) {
        Some(true) => {}
        Some(false) => return Err(DropReason::BadChecksum.into()),
        None => return Err(DropReason::Truncated.into()),
    }
    let mut packet = Packet {
        key: FlowKey {
            source: header.source(),
            destination: header.destination(),
            source_port: L4Port::default(),
            destination_port: L4Port::default(),
            protocol: header.protocol,
            realm: if port.role == PortRole::Lan as u8 { LAN_REALM } else { port.uplink + 1 },
            reserved: 0,
        },
        kind: Kind::Untranslatable,
        ttl: header.ttl,
        header_checksum: header.checksum,
        transport: ETHERNET_LEN + header_len,
        transport_checksum: [0; 2],
        seen: Mark::ANY,
        source_mac: ethernet.source(),
    };
    if header.is_fragment() {
        packet.kind = Kind::Fragment;
    } else {
        transport(frame, header.total_len() - header_len, &mut packet)?;
    }
    Ok(packet)
}

/// 2. A frame of another protocol. IPv6 is not routed, so only what is addressed to the gateway
/// reaches the kernel, which might route the rest behind our back.
fn not_ipv4<F: Frame, T: Tables>(frame: &F, tables: &T, ether_type: [u8; 2]) -> Stop {
    match ether_type {
        EtherType::VLAN | EtherType::SERVICE_VLAN => PassReason::Vlan.into(),
        EtherType::IPV6 => match frame.read::<[u8; 16]>(ETHERNET_LEN + IPV6_DESTINATION) {
            Some(destination) if is_link_local(destination) => PassReason::Local.into(),
            Some(destination) if tables.is_local(&LocalAddress(destination)) => {
                PassReason::Local.into()
            }
            Some(_) => DropReason::Ipv6.into(),
            None => DropReason::Truncated.into(),
        },
        _ => PassReason::NotIp.into(),
    }
}

/// Whether an IPv6 address is in fe80::/10 (RFC 4291 section 2.5.6).
#[inline(always)]
fn is_link_local(address: [u8; 16]) -> bool {
    address[0] == 0xfe && address[1] & 0xc0 == 0x80
}

/// Reads the transport header, of which `room` bytes are in the packet: ports, or an echo's
/// identifier in the place of one.
#[inline(always)]
fn transport<F: Frame>(frame: &F, room: usize, packet: &mut Packet) -> Result<(), Stop> {
    let offset = packet.transport;
    match packet.key.protocol {
        Protocol::TCP if room >= size_of::<Tcp>() => {
            let tcp: Tcp = frame.read(offset).ok_or(DropReason::Truncated)?;
            packet.key.source_port = tcp.source();
            packet.key.destination_port = tcp.destination();
            packet.transport_checksum = tcp.checksum;
            packet.seen = seen(tcp.flags);
            // A segment in mid-stream opens a flow too: it is how a connection whose uplink died
            // goes on, or learns from its peer's reset that it cannot.
            packet.kind =
                if tcp.flags & tcp_flags::RST == 0 { Kind::Opens } else { Kind::Continues };
        }
        Protocol::UDP if room >= size_of::<Udp>() => {
            let udp: Udp = frame.read(offset).ok_or(DropReason::Truncated)?;
            packet.key.source_port = udp.source();
            packet.key.destination_port = udp.destination();
            packet.transport_checksum = udp.checksum;
            packet.kind = Kind::Opens;
        }
        Protocol::ICMP if room >= size_of::<Echo>() => {
            let echo: Echo = frame.read(offset).ok_or(DropReason::Truncated)?;
            packet.transport_checksum = echo.checksum;
            if echo.icmp_type == icmp_type::ECHO_REQUEST && echo.code == 0 {
                packet.key.source_port = echo.identifier();
                packet.kind = Kind::Opens;
            } else if echo.icmp_type == icmp_type::ECHO_REPLY && echo.code == 0 {
                packet.key.destination_port = echo.identifier();
                packet.kind = Kind::Continues;
            }
        }
        Protocol::TCP | Protocol::UDP | Protocol::ICMP => return Err(DropReason::Truncated.into()),
        _ => {}
    }
    Ok(())
}

#[inline(always)]
fn seen(flags: u8) -> u32 {
    let mut seen = Mark::ANY;
    if flags & (tcp_flags::ACK | tcp_flags::SYN) == tcp_flags::ACK {
        seen |= Mark::ACK;
    }
    if flags & tcp_flags::FIN != 0 {
        seen |= Mark::FIN;
    }
    if flags & tcp_flags::RST != 0 {
        seen |= Mark::RST;
    }
    seen
}
