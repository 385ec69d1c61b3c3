//! A gateway under test, and what the cases share.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Flow, FlowKey, Ipv4};
use pointsman_ebpf::memory::site::{self, Provider, lan};
use pointsman_ebpf::memory::{Counts, MemoryTables, PacketBuilder};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

/// How far apart the values are that a case goes through: all of them, or few under Miri, which is
/// slow.
pub(crate) const STRIDE: usize = if cfg!(miri) { 13 } else { 1 };

/// The host's end of most flows.
pub(crate) const HOST: SocketAddrV4 = SocketAddrV4::new(lan::HOST, 5000);

/// The server's end of most flows.
pub(crate) const SERVER: SocketAddrV4 = SocketAddrV4::new(site::SERVER, 443);

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

fn mac_of(host: Ipv4Addr) -> [u8; 6] {
    if host == lan::OTHER { lan::OTHER_MAC } else { lan::HOST_MAC }
}

/// A UDP datagram from the host's usual end to the server's.
pub(crate) fn request() -> PacketBuilder {
    PacketBuilder::udp(HOST, SERVER)
}

/// The server's answer to `public`.
pub(crate) fn answer(by: &Provider, port: u16) -> PacketBuilder {
    coming(PacketBuilder::udp(SERVER, public(by, port)), by)
}

/// The gateway under test. Every packet that it is given is checked for its verdict, every byte of
/// what becomes of it, and the change of all counters.
pub(crate) struct Gateway {
    pub(crate) tables: MemoryTables,
}

impl Gateway {
    /// Both uplinks are alive, and A is preferred.
    pub(crate) fn new() -> Self {
        Self { tables: site::gateway(site::prefer_a) }
    }

    #[track_caller]
    pub(crate) fn expect(&self, ifindex: u32, input: &[u8], verdict: Verdict, output: &[u8]) {
        let before = self.tables.counts();
        let mut frame = input.to_vec();
        let got = self.tables.run(&mut frame, ifindex);
        let state = &self.tables;
        assert_eq!(got, verdict, "input {input:02x?}\n{state}");
        assert_eq!(frame, output, "\n  got {frame:02x?}\n want {output:02x?}\n{state}");
        let delta = self.tables.counts().since(&before);
        assert_eq!(delta, Counts::of(verdict, input.len()), "{state}");
    }

    /// The packet goes from the LAN out by an uplink, with this source port.
    #[track_caller]
    pub(crate) fn sends(&self, packet: &PacketBuilder, by: &Provider, port: u16) {
        let verdict =
            Verdict::Forward { egress: by.egress, uplink: by.id, direction: Direction::Out };
        let output = leaving(packet, by, port).build();
        self.expect(lan::IFINDEX, &packet.build(), verdict, &output);
    }

    /// The packet comes in by an uplink and reaches this host.
    #[track_caller]
    pub(crate) fn delivers(&self, packet: &PacketBuilder, by: &Provider, host: SocketAddrV4) {
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: by.id, direction: Direction::In };
        let output = reaching(packet, host).build();
        self.expect(by.ifindex, &packet.build(), verdict, &output);
    }

    /// The frame is dropped, and not a byte of it is changed.
    #[track_caller]
    pub(crate) fn drops(&self, ifindex: u32, frame: &[u8], reason: DropReason) {
        self.expect(ifindex, frame, Verdict::Drop(reason), frame);
    }

    /// The frame goes to the kernel as it came in.
    #[track_caller]
    pub(crate) fn passes(&self, ifindex: u32, frame: &[u8], reason: PassReason) {
        self.expect(ifindex, frame, Verdict::Pass(reason), frame);
    }

    /// The packet from the LAN is dropped, and leaves no trace in the table of flows.
    #[track_caller]
    pub(crate) fn refuses(&self, packet: &PacketBuilder, reason: DropReason) {
        let before = self.tables.flows();
        self.drops(lan::IFINDEX, &packet.build(), reason);
        assert_eq!(self.tables.flows(), before, "{}", self.tables);
    }

    /// The only entry of this direction.
    #[track_caller]
    pub(crate) fn entry(&self, direction: Direction) -> (FlowKey, Flow) {
        let flows = self.tables.flows();
        let mut found = flows.iter().filter(|(_, flow)| flow.direction == direction as u8);
        let entry = found.next().expect("no entry of this direction");
        assert_eq!(found.next(), None, "{}", self.tables);
        *entry
    }

    /// Gives an uplink another public address, as the daemon does.
    pub(crate) fn readdress(&mut self, provider: &Provider, address: Ipv4Addr) {
        let uplink = &mut self.tables.uplinks[usize::from(provider.id)];
        uplink.address = Ipv4::new(address.octets());
        uplink.generation += 1;
        let local = &mut self.tables.local;
        local.remove(&Ipv4::new(provider.address.octets()).into());
        local.insert(Ipv4::new(address.octets()).into());
    }
}
