//! What the stateless translation of headers makes of packets (RFC 7915), beside what TAYGA makes of
//! them: both must be the same, byte for byte, but for what the RFC leaves open, and for what TAYGA 0.9.2,
//! which is older than it and follows RFC 6145, does in another way. Each of these is a test of its own.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::process::{Child, Stdio};
use std::time::Duration;

use pointsman_ebpf::abi::{Ipv4, Nat64};
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, Prefix, entry, within};
use pointsman_ebpf::memory::{Body6, End6, MemoryTables, PacketBuilder, PacketBuilder6, site64};
use pointsman_ebpf::verdict::Verdict;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};
use pointsman_lab::{Namespace, wait_until};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use tempfile::TempDir;

/// How long anything may take that happens at once.
const BOUND: Duration = Duration::from_secs(20);

/// The host's end of all flows.
const HOST: End6 = (within(INTERNAL, site6::HOST), 5000);

/// How it appears.
const PUBLIC: SocketAddrV4 = SocketAddrV4::new(A.address, HOST.1);

/// The server, whose address may stand in the well-known prefix also by TAYGA's account, which allows none
/// of those that are for documentation.
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 443);

/// A router on the way.
const ROUTER: Ipv4Addr = Ipv4Addr::new(4, 4, 4, 4);

/// DF (RFC 791 section 3.1).
const DONT_FRAGMENT: u16 = 0x4000;

/// How large a packet of IPv4 may be that routers may fragment (RFC 7915 section 5.1).
const FRAGMENTABLE_MAX: usize = 1260;

/// What ends the answer to a packet: a datagram that is translated after it.
const LAST: &[u8] = b"that was all";

/// TAYGA at work, and the packets that go into its device and come out.
struct Tayga {
    process: Child,
    device: Socket,
    to: [SockAddr; 2],
    prefix: Prefix,
    _host: Namespace,
    _directory: TempDir,
}

impl Tayga {
    /// With this prefix, and the LAN's host for the gateway's public address.
    fn start(prefix: Prefix) -> Self {
        let host = Namespace::new("tayga").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tayga.conf");
        let (network, length) = prefix;
        let configuration = format!(
            "tun-device nat64\n\
             ipv4-addr 192.88.99.1\n\
             ipv6-addr fd00:64::1\n\
             prefix {network}/{length}\n\
             map {} {}\n",
            A.address, HOST.0
        );
        fs::write(&file, configuration).unwrap();
        let process = host
            .command("tayga")
            .args(["--nodetach", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut index = 0;
        wait_until("TAYGA has its device", BOUND, || {
            let found = host.run(|| nix::net::if_::if_nametoindex("nat64"));
            index = found.unwrap_or_default();
            Ok(index != 0)
        })
        .unwrap();
        host.ip("link set nat64 up mtu 1500").unwrap();
        // All protocols.
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(all)));
        let device = host.run(open).unwrap();
        device.set_read_timeout(Some(BOUND)).unwrap();
        device.bind(&address(index, libc::ETH_P_ALL)).unwrap();
        let to = [libc::ETH_P_IP, libc::ETH_P_IPV6].map(|protocol| address(index, protocol));
        Self { process, device, to, prefix, _host: host, _directory: directory }
    }

    fn send(&self, packet: &[u8]) {
        let version = packet[0] >> 4;
        let sent = self.device.send_to(packet, &self.to[usize::from(version == 6)]).unwrap();
        assert_eq!(sent, packet.len());
    }

    /// What becomes of a packet: none, one, or several.
    fn translate(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.send(packet);
        let last = PacketBuilder6::udp(HOST, server6(self.prefix)).payload(LAST).build();
        self.send(&last[14..]);
        let mut packets = Vec::new();
        loop {
            let packet = self.receive().unwrap();
            if packet.ends_with(LAST) {
                return packets;
            }
            packets.push(packet);
        }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        loop {
            let (len, from) = self.device.recv_from(&mut buffer)?;
            // What others send is no answer: the kernel may have something to say to the device.
            if kind(&from) == libc::PACKET_OUTGOING {
                continue;
            }
            // SAFETY: the kernel has written as many bytes.
            return Ok(buffer[..len].iter().map(|byte| unsafe { byte.assume_init() }).collect());
        }
    }
}

impl Drop for Tayga {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The link-layer address of packets of a protocol that go into an interface.
fn address(index: u32, protocol: i32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: every address of the kernel's fits the storage, and zeros are one.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: what was written is of this length, and says which family it is of.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) }
}

/// Whether a packet came from the device, or from this host to it.
fn kind(address: &SockAddr) -> u8 {
    assert_eq!(address.family(), libc::AF_PACKET as u16);
    // SAFETY: the kernel has written an address of this family.
    unsafe { (*address.as_ptr().cast::<libc::sockaddr_ll>()).sll_pkttype }
}

/// The address that stands for an IPv4 one in a prefix.
fn embedded((prefix, length): Prefix, address: Ipv4Addr) -> Ipv6Addr {
    let nat64 = Nat64::new(entry(prefix), length).unwrap();
    nat64.embed(Ipv4::new(address.octets())).octets().into()
}

fn server6(prefix: Prefix) -> End6 {
    (embedded(prefix, *SERVER.ip()), SERVER.port())
}

/// A packet from an uplink.
fn coming(packet: PacketBuilder) -> PacketBuilder {
    packet.macs(A.gateway_mac, A.mac)
}

/// The gateway, whose host has a flow of UDP, of TCP and of echoes to the server.
fn gateway(prefix: Prefix) -> MemoryTables {
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
fn ours(tables: &MemoryTables, ifindex: u32, frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    let verdict = tables.run(&mut frame, ifindex);
    matches!(verdict, Verdict::Forward { .. }).then(|| frame.split_off(14))
}

/// Checks that TAYGA makes the same of what comes from the LAN.
#[track_caller]
fn same_out(tayga: &Tayga, tables: &MemoryTables, frame: &[u8]) {
    let ours = ours(tables, lan::IFINDEX, frame);
    let theirs = tayga.translate(&frame[14..]);
    let ours: Vec<_> = ours.map(as_tayga_identifies).into_iter().collect();
    assert_eq!(ours, theirs, "\n  of {:02x?}\nours {ours:02x?}\nits  {theirs:02x?}", &frame[14..]);
}

/// What may be fragmented, with DF and without an identification instead: RFC 7915 section 5.1 has DF
/// clear up to 1260 bytes, RFC 6145 section 5.1 leaves that open.
fn as_tayga_identifies(mut packet: Vec<u8>) -> Vec<u8> {
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
fn same_in(tayga: &Tayga, tables: &MemoryTables, packet: PacketBuilder) {
    let frame = coming(packet).build();
    same_frame_in(tayga, tables, &frame);
}

#[track_caller]
fn same_frame_in(tayga: &Tayga, tables: &MemoryTables, frame: &[u8]) {
    let ours: Vec<_> = ours(tables, A.ifindex, frame).into_iter().collect();
    let theirs = tayga.translate(&frame[14..]);
    assert_eq!(ours, theirs, "\n  of {:02x?}\nours {ours:02x?}\nits  {theirs:02x?}", &frame[14..]);
}

/// The packets of each protocol from the host to the server.
fn outgoing(prefix: Prefix) -> [PacketBuilder6; 3] {
    let server = server6(prefix);
    [
        PacketBuilder6::udp(HOST, server),
        PacketBuilder6::tcp(HOST, server, ACK),
        PacketBuilder6::new(HOST, server, Body6::Echo { reply: false }),
    ]
}

/// The packets of each protocol from the server to the host.
fn incoming() -> [PacketBuilder; 3] {
    [
        PacketBuilder::udp(SERVER, PUBLIC),
        PacketBuilder::tcp(SERVER, PUBLIC, ACK),
        PacketBuilder::echo_reply(*SERVER.ip(), PUBLIC),
    ]
}

/// The packets of each protocol as they are on the uplink, where the host has sent them.
fn sent() -> [PacketBuilder; 3] {
    [
        PacketBuilder::udp(PUBLIC, SERVER),
        PacketBuilder::tcp(PUBLIC, SERVER, ACK),
        PacketBuilder::echo_request(PUBLIC, *SERVER.ip()),
    ]
}

/// The prefix of a site's own that most tests are with.
const OWN: Prefix = (Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0), 96);

/// Noise of this length.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 167 + 13) as u8).collect()
}

#[test]
fn addresses_in_prefixes_of_every_length() {
    let own = |length| (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), length);
    for prefix in [site64::WELL_KNOWN].into_iter().chain(Nat64::LENGTHS.map(own)) {
        let (tayga, tables) = (Tayga::start(prefix), gateway(prefix));
        for packet in outgoing(prefix) {
            same_out(&tayga, &tables, &packet.build());
        }
        for packet in incoming() {
            same_in(&tayga, &tables, packet.fragment(DONT_FRAGMENT));
        }
        let quote = sent()[0].quoted(usize::MAX);
        let error = PacketBuilder::icmp_error(ROUTER, A.address, [11, 0], [0; 4], &quote);
        same_in(&tayga, &tables, error);
    }
}

#[test]
fn from_the_lan() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in outgoing(OWN) {
        for len in [0, 1, 2, 7, 64, 501, 1199, 1200, 1232, 1233, 1240, 1241, 1300, 1440] {
            same_out(&tayga, &tables, &packet.clone().payload(&payload(len)).build());
        }
        for class in [1, 2, 3, 0x2e << 2, 0x0f, 0xf0, 0xff] {
            same_out(&tayga, &tables, &packet.clone().traffic_class(class).build());
        }
        for hop_limit in [2, 3, 128, 255] {
            same_out(&tayga, &tables, &packet.clone().hop_limit(hop_limit).build());
        }
        // A flow label has no place in IPv4.
        let mut labelled = packet.build();
        labelled[14 + 1..14 + 4].copy_from_slice(&[0x0c, 0xaf, 0xfe]);
        same_out(&tayga, &tables, &labelled);
        for extensions in [&[[0, 0]][..], &[[0, 1], [60, 0]], &[[60, 2]], &[[43, 0]]] {
            same_out(&tayga, &tables, &packet.clone().extensions(extensions).build());
        }
    }
}

#[test]
fn from_an_uplink() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in incoming() {
        let whole = packet.clone().fragment(DONT_FRAGMENT);
        for len in [0, 1, 2, 7, 64, 501, 1200, 1232, 1233, 1300, 1440] {
            same_in(&tayga, &tables, whole.clone().payload(&payload(len)));
        }
        for len in [0, 1, 500, 1200] {
            same_in(&tayga, &tables, packet.clone().payload(&payload(len)));
        }
        for class in [1, 2, 3, 0x2e << 2, 0x0f, 0xf0, 0xff] {
            same_in(&tayga, &tables, whole.clone().type_of_service(class));
        }
        for ttl in [2, 3, 128, 255] {
            same_in(&tayga, &tables, whole.clone().ttl(ttl));
        }
        // Record route, and padding.
        for options in [&[7, 7, 4, 0, 0, 0, 0, 0][..], &[1; 40], &[0; 4]] {
            same_in(&tayga, &tables, whole.clone().options(options));
        }
    }
}

#[test]
fn fragments_both_ways() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for count in [2, 3, 5] {
        for packet in outgoing(OWN).into_iter().take(2) {
            for frame in packet
                .payload(&payload(2300))
                .identification(0xdead_0000 + count)
                .fragments(count as usize)
            {
                same_out(&tayga, &tables, &frame);
            }
        }
        for packet in incoming().into_iter().take(2) {
            for frame in coming(packet.payload(&payload(2300)))
                .identification(0xbe00 + count as u16)
                .fragments(count as usize)
            {
                same_frame_in(&tayga, &tables, &frame);
            }
        }
    }
}

/// An error of a router on the way, about what was `quote` on the uplink.
fn error_in(type_and_code: [u8; 2], rest: [u8; 4], quote: &[u8]) -> PacketBuilder {
    PacketBuilder::icmp_error(ROUTER, A.address, type_and_code, rest, quote).fragment(DONT_FRAGMENT)
}

/// An error of the host's, about what was `quote` in the LAN.
fn error_out(type_and_code: [u8; 2], rest: [u8; 4], quote: &[u8]) -> PacketBuilder6 {
    PacketBuilder6::error(HOST.0, server6(OWN).0, type_and_code, rest, quote)
}

/// The packets of each protocol as the host receives them from the server.
fn received() -> [PacketBuilder6; 3] {
    let server = server6(OWN);
    [
        PacketBuilder6::udp(server, HOST),
        PacketBuilder6::tcp(server, HOST, ACK),
        PacketBuilder6::new((server.0, 0), HOST, Body6::Echo { reply: true }),
    ]
}

#[test]
fn errors_from_an_uplink() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in sent() {
        let quote = packet.quoted(usize::MAX);
        for code in (0..=16).filter(|code| *code != 4) {
            same_in(&tayga, &tables, error_in([3, code], [0; 4], &quote));
        }
        for code in [0, 1] {
            same_in(&tayga, &tables, error_in([11, code], [0; 4], &quote));
        }
        // Source quench, redirect, alternate address.
        for icmp_type in [4, 5, 6] {
            same_in(&tayga, &tables, error_in([icmp_type, 0], [0; 4], &quote));
        }
        // As little as routers quote of a whole header of TCP, and as much.
        for (len, kept) in [(64, 48), (500, 528), (1400, 576), (1400, 1228), (1400, 1300)] {
            let quote = packet.clone().payload(&payload(len)).fragment(DONT_FRAGMENT);
            let quote = quote.quoted(kept);
            same_in(&tayga, &tables, error_in([11, 0], [0; 4], &quote));
            same_in(&tayga, &tables, error_in([3, 3], [0; 4], &quote));
        }
        for mtu in [68_u32, 576, 1259, 1260, 1261, 1280, 1400, 1479, 1480, 1481, 1500, 9000, 65535]
        {
            let quote = packet.clone().payload(&payload(1400)).fragment(DONT_FRAGMENT).quoted(128);
            same_in(&tayga, &tables, error_in([3, 4], mtu.to_be_bytes(), &quote));
        }
        // Plateaus (RFC 1191 section 7.1).
        for len in [100, 600, 1100, 1300, 1400, 1440] {
            let quote = packet.clone().payload(&payload(len)).fragment(DONT_FRAGMENT).quoted(128);
            same_in(&tayga, &tables, error_in([3, 4], [0; 4], &quote));
        }
        for (class, ttl) in [(0xb8, 2), (0xff, 255)] {
            let quote = packet.clone().type_of_service(class).ttl(ttl).quoted(usize::MAX);
            let error = error_in([11, 0], [0; 4], &quote).type_of_service(class).ttl(ttl);
            same_in(&tayga, &tables, error);
        }
    }
}

#[test]
fn errors_from_the_lan() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in received().into_iter().take(2) {
        let quote = packet.quoted(usize::MAX);
        for code in (0..=7).filter(|code| *code != 3) {
            same_out(&tayga, &tables, &error_out([1, code], [0; 4], &quote).build());
        }
        for code in [0, 1] {
            same_out(&tayga, &tables, &error_out([3, code], [0; 4], &quote).build());
        }
        for code in [1, 2] {
            let rest = 6_u32.to_be_bytes();
            same_out(&tayga, &tables, &error_out([4, code], rest, &quote).build());
        }
        for mtu in [1280_u32, 1281, 1400, 1500, 1501, 9000, 0x0001_0000] {
            let rest = mtu.to_be_bytes();
            same_out(&tayga, &tables, &error_out([2, 0], rest, &quote).build());
        }
        for (len, kept) in [(0, 60), (64, 68), (500, 548), (1400, 568)] {
            let quote = packet.clone().payload(&payload(len)).quoted(kept);
            same_out(&tayga, &tables, &error_out([1, 4], [0; 4], &quote).build());
        }
        for (class, hop_limit) in [(0xb8, 2), (0xff, 255)] {
            let quote = packet.clone().traffic_class(class).hop_limit(hop_limit);
            let error = error_out([1, 4], [0; 4], &quote.quoted(usize::MAX));
            let error = error.traffic_class(class).hop_limit(hop_limit);
            same_out(&tayga, &tables, &error.build());
        }
    }
}

/// What comes in by this interface is translated here, and TAYGA drops it.
#[track_caller]
fn only_ours(tayga: &Tayga, tables: &MemoryTables, ifindex: u32, frame: &[u8]) -> Vec<u8> {
    let ours = ours(tables, ifindex, frame);
    assert!(tayga.translate(&frame[14..]).is_empty(), "TAYGA knows {:02x?}", &frame[14..]);
    ours.unwrap_or_else(|| panic!("not translated: {:02x?}", &frame[14..]))
}

/// RFC 7915 sections 4.2 and 5.2, figures 3 and 6, as RFC 6145 has them already.
#[test]
fn tayga_translates_no_pointer() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = sent()[0].quoted(usize::MAX);
    let error = coming(error_in([12, 0], [8, 0, 0, 0], &quote)).build();
    let packet = only_ours(&tayga, &tables, A.ifindex, &error);
    assert_eq!((&packet[40..42], &packet[44..48]), (&[4, 0][..], &[0, 0, 0, 7][..]));
    let quote = received()[0].quoted(usize::MAX);
    let error = error_out([4, 0], 7_u32.to_be_bytes(), &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!((&packet[20..22], &packet[24..28]), (&[12, 0][..], &[8, 0, 0, 0][..]));
}

/// RFC 7915 section 5.2, figure 5: it is host unreachable.
#[test]
fn tayga_does_not_know_an_unreachable_address() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = received()[0].quoted(usize::MAX);
    let error = error_out([1, 3], [0; 4], &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!(packet[20..22], [3, 1]);
}

/// RFC 7915 section 5.3 makes no difference between a request and a reply.
#[test]
fn tayga_translates_no_error_about_an_echo_reply() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = received()[2].quoted(usize::MAX);
    let error = error_out([1, 4], [0; 4], &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!((packet[20], packet[48]), (3, 0));
}

/// Routers may quote as little as eight bytes (RFC 792), which name the ports.
#[test]
fn tayga_wants_a_whole_header_of_tcp() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = sent()[1].quoted(28);
    let error = coming(error_in([11, 0], [0; 4], &quote)).build();
    assert_eq!(only_ours(&tayga, &tables, A.ifindex, &error).len(), 40 + 8 + 48);
    let error = error_out([1, 4], [0; 4], &received()[1].quoted(48)).build();
    assert_eq!(only_ours(&tayga, &tables, lan::IFINDEX, &error).len(), 20 + 8 + 28);
}

/// RFC 1812 section 4.3.2.3 has routers quote no more; RFC 7915 has translators keep what is there.
#[test]
fn tayga_cuts_errors_to_576_bytes() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in received().iter().take(2) {
        let quote = packet.clone().payload(&payload(1400)).quoted(1232);
        let error = error_out([1, 4], [0; 4], &quote).build();
        let ours = ours(&tables, lan::IFINDEX, &error).unwrap();
        let theirs = tayga.translate(&error[14..]).remove(0);
        assert_eq!((ours.len(), theirs.len()), (1240, 576));
        // But for lengths and checksums, one is the beginning of the other.
        assert_eq!(ours[24..576], theirs[24..]);
    }
}

/// RFC 7915 section 4.5 has two ways to choose from; RFC 6145 section 4.5 too.
#[test]
fn tayga_drops_udp_without_a_checksum() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let packet = PacketBuilder::udp(SERVER, PUBLIC).fragment(DONT_FRAGMENT);
    let ours =
        only_ours(&tayga, &tables, A.ifindex, &coming(packet.clone().without_checksum()).build());
    let [theirs] = &tayga.translate(&packet.build()[14..])[..] else { panic!("it has a checksum") };
    assert_eq!(&ours, theirs);
}

/// RFC 7915 section 4.1: what is longer than 1280 bytes, or than the network takes, and may be fragmented.
/// Here that is the MTU of the LAN's interface, and nothing is fragmented.
#[test]
fn tayga_fragments_above_1280_bytes() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let packet = PacketBuilder::udp(SERVER, PUBLIC).payload(&payload(1400));
    let ours = ours(&tables, A.ifindex, &coming(packet.clone()).build()).unwrap();
    let theirs = tayga.translate(&packet.build()[14..]);
    let carried: Vec<u8> = theirs.iter().flat_map(|packet| packet[48..].to_vec()).collect();
    assert_eq!((theirs.len(), &carried[..]), (2, &ours[40..]));
}

/// Sums that are all zeros and all ones in one version or the other are among these.
///
/// A sum of UDP's that comes to zero is written as all ones, for zero says that there is none (RFC 768),
/// which IPv6 does not allow (RFC 8200 section 8.1). TAYGA writes zero.
#[test]
fn checksums_of_every_value() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let [request, others @ ..] = outgoing(OWN);
    let [answer, other_answers @ ..] = incoming().map(|packet| packet.fragment(DONT_FRAGMENT));
    let mut sums_of_zero = 0;
    for word in 0..=u16::MAX {
        let payload = word.to_be_bytes();
        for packet in others.clone() {
            same_out(&tayga, &tables, &packet.payload(&payload).build());
        }
        for packet in other_answers.clone() {
            same_in(&tayga, &tables, packet.payload(&payload));
        }
        let request = request.clone().payload(&payload).build();
        let answer = coming(answer.clone().payload(&payload)).build();
        for (frame, ifindex, at) in [(request, lan::IFINDEX, 26), (answer, A.ifindex, 46)] {
            let ours = ours(&tables, ifindex, &frame).unwrap();
            let mut ours = if ours[0] >> 4 == 4 { as_tayga_identifies(ours) } else { ours };
            let theirs = tayga.translate(&frame[14..]);
            if theirs[0][at..at + 2] == [0; 2] {
                assert_eq!(ours[at..at + 2], [0xff; 2]);
                ours[at..at + 2].fill(0);
                sums_of_zero += 1;
            }
            assert_eq!([ours], theirs[..], "of {frame:02x?}");
        }
    }
    assert_eq!(sums_of_zero, 2);
}
