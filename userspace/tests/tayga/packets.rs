//! Ends and packets, and that both make the same of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Ipv4, Nat64};
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, Prefix, entry, within};
use pointsman_ebpf::memory::{Body6, End6, MemoryTables, PacketBuilder, PacketBuilder6, site64};
use pointsman_ebpf::verdict::Verdict;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use crate::oracle::Tayga;

/// The host's end of all flows.
pub(crate) const HOST: End6 = (within(INTERNAL, site6::HOST), 5000);

/// How it appears.
pub(crate) const PUBLIC: SocketAddrV4 = SocketAddrV4::new(A.address, HOST.1);

/// The server, whose address may stand in the well-known prefix also by TAYGA's account, which allows none
/// of those that are for documentation.
pub(crate) const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 443);

/// A router on the way.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(4, 4, 4, 4);

/// DF (RFC 791 section 3.1).
pub(crate) const DONT_FRAGMENT: u16 = 0x4000;

/// How large a packet of IPv4 may be that routers may fragment (RFC 7915 section 5.1).
pub(crate) const FRAGMENTABLE_MAX: usize = 1260;

/// The address that stands for an IPv4 one in a prefix.
pub(crate) fn embedded((prefix, length): Prefix, address: Ipv4Addr) -> Ipv6Addr {
    let nat64 = Nat64::new(entry(prefix), length).unwrap();
    nat64.embed(Ipv4::new(address.octets())).octets().into()
}

pub(crate) fn server6(prefix: Prefix) -> End6 {
    (embedded(prefix, *SERVER.ip()), SERVER.port())
}

/// A packet from an uplink.
pub(crate) fn coming(packet: PacketBuilder) -> PacketBuilder {
    packet.macs(A.gateway_mac, A.mac)
}

/// The gateway, whose host has a flow of UDP, of TCP and of echoes to the server.
pub(crate) fn gateway(prefix: Prefix) -> MemoryTables {
    let tables = site64::gateway(site::prefer_a, [Carriage::None; 2], prefix);
    let server = server6(prefix);
    for (out, back) in [
        (PacketBuilder6::udp(HOST, server), PacketBuilder::udp(SERVER, PUBLIC)),
        (PacketBuilder6::tcp(HOST, server, SYN), PacketBuilder::tcp(SERVER, PUBLIC, SYN | ACK)),
        (
            PacketBuilder6::new(HOST, server, Body6::Echo { reply: false }),
            PacketBuilder::echo_reply(*SERVER.ip(), PUBLIC),
        ),
    ] {
        for (mut frame, ifindex) in [(out.build(), lan::IFINDEX), (coming(back).build(), A.ifindex)]
        {
            let verdict = tables.run(&mut frame, ifindex);
            assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
        }
    }
    tables
}

/// What becomes of a frame that comes in by this interface: the packet that it carries then.
pub(crate) fn ours(tables: &MemoryTables, ifindex: u32, frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    let verdict = tables.run(&mut frame, ifindex);
    matches!(verdict, Verdict::Forward { .. }).then(|| frame.split_off(14))
}

/// Checks that TAYGA makes the same of what comes from the LAN.
#[track_caller]
pub(crate) fn same_out(tayga: &Tayga, tables: &MemoryTables, frame: &[u8]) {
    let ours = ours(tables, lan::IFINDEX, frame);
    let theirs = tayga.translate(&frame[14..]);
    let ours: Vec<_> = ours.map(as_tayga_identifies).into_iter().collect();
    assert_eq!(ours, theirs, "\n  of {:02x?}\nours {ours:02x?}\nits  {theirs:02x?}", &frame[14..]);
}

/// What may be fragmented, with DF and without an identification instead: RFC 7915 section 5.1 has DF
/// clear up to 1260 bytes, RFC 6145 section 5.1 leaves that open.
pub(crate) fn as_tayga_identifies(mut packet: Vec<u8>) -> Vec<u8> {
    let flags = u16::from_be_bytes([packet[6], packet[7]]);
    if packet.len() > FRAGMENTABLE_MAX {
        assert_eq!((flags, &packet[4..6]), (DONT_FRAGMENT, &[0; 2][..]), "{packet:02x?}");
    } else if flags == 0 {
        packet[4..6].fill(0);
        packet[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        packet[10..12].fill(0);
        let sum: u32 = packet[..20]
            .as_chunks::<2>()
            .0
            .iter()
            .map(|word| u32::from(u16::from_be_bytes(*word)))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    }
    packet
}

/// Checks that TAYGA makes the same of what comes by an uplink.
#[track_caller]
pub(crate) fn same_in(tayga: &Tayga, tables: &MemoryTables, packet: PacketBuilder) {
    let frame = coming(packet).build();
    same_frame_in(tayga, tables, &frame);
}

#[track_caller]
pub(crate) fn same_frame_in(tayga: &Tayga, tables: &MemoryTables, frame: &[u8]) {
    let ours: Vec<_> = ours(tables, A.ifindex, frame).into_iter().collect();
    let theirs = tayga.translate(&frame[14..]);
    assert_eq!(ours, theirs, "\n  of {:02x?}\nours {ours:02x?}\nits  {theirs:02x?}", &frame[14..]);
}

/// The packets of each protocol from the host to the server.
pub(crate) fn outgoing(prefix: Prefix) -> [PacketBuilder6; 3] {
    let server = server6(prefix);
    [
        PacketBuilder6::udp(HOST, server),
        PacketBuilder6::tcp(HOST, server, ACK),
        PacketBuilder6::new(HOST, server, Body6::Echo { reply: false }),
    ]
}

/// The packets of each protocol from the server to the host.
pub(crate) fn incoming() -> [PacketBuilder; 3] {
    [
        PacketBuilder::udp(SERVER, PUBLIC),
        PacketBuilder::tcp(SERVER, PUBLIC, ACK),
        PacketBuilder::echo_reply(*SERVER.ip(), PUBLIC),
    ]
}

/// The packets of each protocol as they are on the uplink, where the host has sent them.
pub(crate) fn sent() -> [PacketBuilder; 3] {
    [
        PacketBuilder::udp(PUBLIC, SERVER),
        PacketBuilder::tcp(PUBLIC, SERVER, ACK),
        PacketBuilder::echo_request(PUBLIC, *SERVER.ip()),
    ]
}

/// The prefix of a site's own that most tests are with.
pub(crate) const OWN: Prefix = (Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0), 96);

/// Noise of this length.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 167 + 13) as u8).collect()
}
