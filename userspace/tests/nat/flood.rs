//! Floods of random packets: what they may take of the tables, and what they may not.
//!
//! That established flows also keep their pace is measured by the benchmark, not here.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};

use pointsman_lab::Nic;
use pointsman_lab::plan::{NEIGHBOUR, SERVER};

use crate::hosts::{SERVICE, connect, exchange, receive, site, talk, udp};
use crate::support::Gateway;
use crate::tables::Entries;
use crate::wire::Wire;

/// Packets of a flood.
const FLOOD: u32 = 300_000;

/// Established TCP connections.
const CONNECTIONS: usize = 1000;

/// Ethernet, IPv4 and UDP headers.
const FRAME: usize = 14 + 20 + 8;

/// Random packets, the same in every run.
struct Random(u64);

impl Random {
    /// SplitMix64.
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u32
    }

    /// An address that is nobody's (RFC 2544).
    fn stranger(&mut self) -> Ipv4Addr {
        Ipv4Addr::from(0xc612_0000 | (self.word() & 0x1_ffff))
    }

    fn port(&mut self) -> u16 {
        self.word() as u16 | 1
    }
}

/// A frame with a datagram of UDP without a checksum, or with the SYN of a connection.
fn frame(
    (to, from): (&Nic, &Nic),
    syn: bool,
    source: SocketAddrV4,
    destination: SocketAddrV4,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME + 12);
    frame.extend(to.mac().0);
    frame.extend(from.mac().0);
    frame.extend([8, 0]);
    let transport = if syn { 20 } else { 8 };
    let (length, protocol) = (20 + transport as u8, if syn { 6 } else { 17 });
    let mut header = vec![0x45, 0, 0, length, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend(source.ip().octets());
    header.extend(destination.ip().octets());
    let checksum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&checksum);
    frame.extend(header);
    frame.extend(source.port().to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    if syn {
        // The gateway leaves the checksum to the receiver, which there is none of.
        frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    } else {
        frame.extend([0, 8, 0, 0]);
    }
    frame
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header.as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sends random packets from a LAN host, or from all addresses of the LAN.
fn flood_from_lan(gateway: &Gateway, host: Option<Ipv4Addr>) {
    let client = &gateway.site.client_nic;
    let wire = Wire::new(client);
    let mut random = Random(1);
    for number in 0..FLOOD {
        let address =
            host.unwrap_or_else(|| Ipv4Addr::from(0x0a01_8000 | (random.word() & 0x3fff)));
        let source = SocketAddrV4::new(address, random.port());
        let destination = SocketAddrV4::new(random.stranger(), random.port());
        let macs = (gateway.site.lan.near(), client);
        wire.send(&frame(macs, number % 2 == 0, source, destination));
    }
}

/// Sends random packets to the public addresses, from beyond.
fn flood_from_outside(gateway: &Gateway) {
    let mut random = Random(2);
    for uplink in &gateway.site.uplinks {
        let (near, far) = (uplink.access.near(), uplink.access.far());
        let wire = Wire::new(far);
        for number in 0..FLOOD / 2 {
            let source = SocketAddrV4::new(random.stranger(), random.port());
            let destination = SocketAddrV4::new(uplink.gateway_address, random.port());
            wire.send(&frame((near, far), number % 2 == 0, source, destination));
        }
    }
}

/// Established connections of the client, each with its peer.
fn establish(gateway: &Gateway) -> Vec<(TcpStream, TcpStream)> {
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let addresses: Vec<_> = gateway.site.client_addresses().collect();
    let to = SocketAddrV4::new(SERVER, 80);
    let connect = |number| {
        let from = addresses[number % addresses.len()];
        let connection = connect(&gateway.site.client, from, to, &listener);
        talk(&connection, b"hello");
        connection
    };
    (0..CONNECTIONS).map(connect).collect()
}

/// How a new flow of a host appears to the server.
fn new_flow(gateway: &Gateway, socket: &UdpSocket) -> SocketAddrV4 {
    exchange(socket, &udp(&gateway.site.server, SERVICE), b"a new flow")
}

#[test]
fn a_flood_from_the_lan_evicts_no_established_flow() {
    let gateway = Gateway::of(site(), "");
    let connections = establish(&gateway);
    let before = gateway.entries();
    assert!(before["FLOWS"] >= 2 * CONNECTIONS, "{before:?}");
    let flooder = Ipv4Addr::new(10, 1, 200, 1);
    flood_from_lan(&gateway, Some(flooder));

    // A connection whose translation changed would be reset by the server.
    for connection in &connections {
        talk(connection, b"after the flood");
    }
    let after = gateway.entries();
    assert!(after["FLOWS"] >= before["FLOWS"], "{before:?} became {after:?}");
    let neighbour = gateway.site.neighbour.as_ref().unwrap();
    for _ in 0..100 {
        new_flow(&gateway, &udp(neighbour, (NEIGHBOUR, 0)));
    }
}

#[test]
fn a_flood_by_all_addresses_evicts_no_established_flow() {
    let gateway = Gateway::of(site(), "");
    let connections = establish(&gateway);
    flood_from_lan(&gateway, None);
    for connection in &connections {
        talk(connection, b"after the flood");
    }
}

/// The entries once every packet of a flood is dropped, and before it.
fn entries_beside_outside_flood(gateway: &Gateway) -> [Entries; 2] {
    let before = gateway.entries();
    flood_from_outside(gateway);
    [before, gateway.entries()]
}

#[test]
fn a_flood_from_outside_makes_no_state() {
    let gateway = Gateway::of(site(), "[nat]\nfiltering = \"address-and-port\"\n");
    let connections = establish(&gateway);
    let [before, after] = entries_beside_outside_flood(&gateway);
    assert_eq!(after, before);
    for connection in &connections {
        talk(connection, b"after the flood");
    }
}

#[test]
fn a_flood_from_outside_leaves_invitations_to_mappings_only() {
    let gateway = Gateway::of(site(), "");
    let client = udp(&gateway.site.client, (gateway.address_by(0), 0));
    let public = new_flow(&gateway, &client);
    let [before, mut after] = entries_beside_outside_flood(&gateway);
    // What came to a mapping waits for the host's answer, which takes nothing of what others have.
    let invited = after["INVITED"];
    after.insert("INVITED", before["INVITED"]);
    assert_eq!(after, before, "{invited} invited");

    let server = udp(&gateway.site.server, SERVICE);
    server.send_to(b"still here?", public).unwrap();
    // The flood may have met the mapping, which lets it in.
    let received = (0..=FLOOD).map(|_| receive(&client)).find(|(_, from)| *from == SERVICE);
    assert_eq!(received, Some((b"still here?".to_vec(), SERVICE)));
}
