//! From one LAN host to another, with nothing translated; and hosts that are elsewhere than they were.

use pointsman_ebpf::abi::SitePrefix;
use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, within};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, OTHER, TRANSLATED, answer, coming, gateway, leaving, reaching, request,
};

/// On the host only: in the kernel its own routes and neighbours decide.
fn routing() -> Gateway {
    gateway([Carriage::Nptv6(48), Carriage::Source]).only_on_host()
}

/// The packet from the host arrives as it is, one hop further.
#[track_caller]
fn crosses(gateway: &Gateway, packet: &PacketBuilder6) {
    let output = packet.clone().macs(lan::MAC, lan::OTHER_MAC).hop_limit(63).build();
    let verdict = Verdict::Lan { egress: lan::EGRESS };
    gateway.expect(lan::IFINDEX, &packet.build(), verdict, &output);
}

#[test]
fn whatever_it_is_it_crosses() {
    let gateway = routing();
    crosses(&gateway, &PacketBuilder6::udp(HOST, OTHER).payload(b"hello"));
    for flags in [SYN, ACK, RST] {
        crosses(&gateway, &PacketBuilder6::tcp(HOST, OTHER, flags));
    }
    for fragment in
        PacketBuilder6::udp(HOST, OTHER).payload(&[0x5a; 2000]).fragments(2).iter().rev()
    {
        let mut output = fragment.clone();
        output[..12].copy_from_slice(&[lan::OTHER_MAC, lan::MAC].concat());
        output[21] -= 1;
        gateway.expect(lan::IFINDEX, fragment, Verdict::Lan { egress: lan::EGRESS }, &output);
    }
}

/// What is on the LAN's link, and no uplink's, crosses as well, and leaves by none.
#[test]
fn a_prefix_that_no_uplink_carries() {
    let mut gateway = routing();
    let foreign = SitePrefix { is_foreign: 1, ..SitePrefix::default() };
    let host = "2001:db8:bad::2".parse().unwrap();
    gateway.tables.ipv6.prefixes.insert((site6::entry(host), 64), foreign);
    crosses(&gateway, &PacketBuilder6::udp(HOST, OTHER).from_address(host));
    gateway.refuses6(lan::IFINDEX, &request().from_address(host), DropReason::ForeignSource);
}

#[test]
fn who_has_no_way_does_not_cross() {
    let unknown = request().to_address(within(INTERNAL, [0xffff; 5]));
    gateway([Carriage::Nptv6(48), Carriage::Source]).refuses6(
        lan::IFINDEX,
        &unknown,
        DropReason::LanToLan,
    );
    let silent = PacketBuilder6::udp(HOST, OTHER).to_address(within(INTERNAL, site6::SILENT));
    routing().passes(lan::IFINDEX, &silent.build(), PassReason::LanNeighbour);
}

#[test]
fn what_comes_in_by_an_uplink_does_not_cross() {
    let gateway = gateway(TRANSLATED);
    let packet = coming(PacketBuilder6::udp(OTHER, HOST), &B);
    gateway.refuses6(B.ifindex, &packet, DropReason::Martian);
}

const NEW_MAC: [u8; 6] = [2, 0, 0, 1, 0, 77];

/// The host has another MAC: what comes for it follows it, whether the flow was answered or not.
#[test]
fn a_flow_follows_its_host() {
    for answered in [false, true] {
        let gateway = gateway(TRANSLATED);
        gateway.sends6(&request(), &A, HOST_A);
        let answer = answer(HOST_A, &A);
        if answered {
            gateway.forwards_in(&answer.build(), &A, &reaching(&answer, HOST.0).build());
        }
        let moved = request().macs(NEW_MAC, lan::MAC);
        gateway.forwards_out(&moved.build(), &A, &leaving(&moved, &A, HOST_A).build());
        let output = reaching(&answer, HOST.0).macs(lan::MAC, NEW_MAC);
        gateway.forwards_in(&answer.build(), &A, &output.build());
    }
}
