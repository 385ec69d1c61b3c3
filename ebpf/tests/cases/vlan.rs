//! Frames with VLAN tags (IEEE 802.1Q, and within service tags, 802.1ad): which port they are of, and the
//! tags that they leave with.

use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{Direction, Mac, OnFailure, Port, Vlan};
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::{
    CUSTOMER_TAG as CUSTOMER, PacketBuilder, SERVICE_TAG as SERVICE, Tag, tagged, vlan_of,
};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::handshakes::at_once;
use super::harness::{
    Gateway, HOST, OTHER, SERVER, answer, from_other, leaving, public, reaching, request, segment,
    segment_back,
};

/// The tags of a frame, the outer one first.
pub(super) type Tags<'a> = &'a [Tag];

pub(super) const NONE: Tags<'static> = &[];

/// What the tables have for frames with these tags.
fn vlan(tags: Tags<'_>) -> Vlan {
    vlan_of(tags).expect("there is such a VLAN")
}

/// Has the interface of this index serve a VLAN, and nothing else.
pub(super) fn serve(gateway: &mut Gateway, ifindex: u32, tags: Tags<'_>) {
    let port = gateway.tables.ports.get_mut(&ifindex).unwrap();
    port.vlan = vlan(tags);
    gateway.tables.vlans.insert(port.egress, port.vlan);
}

/// With these tags in the LAN, and at the uplink A.
fn gateway(lan: Tags<'_>, uplink: Tags<'_>) -> Gateway {
    let mut gateway = Gateway::new();
    serve(&mut gateway, lan::IFINDEX, lan);
    serve(&mut gateway, A.ifindex, uplink);
    gateway
}

/// A UDP flow by the uplink A, and more of it: of all stages that a flow goes through.
fn talk(gateway: &Gateway, lan: Tags<'_>, uplink: Tags<'_>) {
    for _ in 0..2 {
        let sent = request();
        let output = tagged(&leaving(&sent, &A, HOST.port()).build(), uplink);
        gateway.forwards_out(&tagged(&sent.build(), lan), &A, &output);
        let back = answer(&A, HOST.port());
        let output = tagged(&reaching(&back, HOST).build(), lan);
        gateway.forwards_in(&tagged(&back.build(), uplink), &A, &output);
    }
    for flags in [SYN, ACK] {
        let sent = segment(flags);
        let output = tagged(&leaving(&sent, &A, HOST.port()).build(), uplink);
        gateway.forwards_out(&tagged(&sent.build(), lan), &A, &output);
        let back = segment_back(flags | ACK, &A);
        let output = tagged(&reaching(&back, HOST).build(), lan);
        gateway.forwards_in(&tagged(&back.build(), uplink), &A, &output);
    }
}

/// One tag, and two, of either type, and none.
pub(super) const KINDS: [Tags<'static>; 5] = [
    NONE,
    &[(CUSTOMER, 35)],
    &[(SERVICE, 4094)],
    &[(SERVICE, 100), (CUSTOMER, 35)],
    &[(CUSTOMER, 7), (CUSTOMER, 8)],
];

#[test]
fn any_tags_to_any() {
    for lan in KINDS {
        for uplink in KINDS {
            let gateway = gateway(lan, uplink);
            talk(&gateway, lan, uplink);
            gateway.has_timed(&A, &at_once());
        }
    }
}

/// Priority and drop eligibility, which are the network's to honour, stay.
#[test]
fn the_priority_is_kept() {
    const OUTER: u16 = 0xb000;
    const INNER: u16 = 0x7000;
    let [one, two] = [(CUSTOMER, 35), (CUSTOMER, 36)];
    let with = |(kind, id): (u16, u16), priority: u16| (kind, id | priority);
    let cases: [(Tags<'_>, Tags<'_>); 6] = [
        (&[with(one, OUTER)], &[with(two, OUTER)]),
        (&[with(one, OUTER)], &[with(one, OUTER), with(two, OUTER)]),
        (&[with(one, OUTER), with(two, INNER)], &[with(two, OUTER)]),
        (&[with(one, OUTER), with(two, INNER)], &[with(two, OUTER), with(one, INNER)]),
        (&[with(one, OUTER), with(two, INNER)], NONE),
        (NONE, &[one, two]),
    ];
    for (lan, uplink) in cases {
        let gateway = gateway(lan, uplink);
        for _ in 0..2 {
            let output = tagged(&leaving(&request(), &A, HOST.port()).build(), uplink);
            gateway.forwards_out(&tagged(&request().build(), lan), &A, &output);
            let id = |tags: Tags<'_>| -> Vec<_> {
                tags.iter().map(|(kind, tag)| (*kind, tag & 0xfff)).collect()
            };
            let back = answer(&A, HOST.port());
            let output = tagged(&reaching(&back, HOST).build(), &id(lan));
            gateway.forwards_in(&tagged(&back.build(), &id(uplink)), &A, &output);
        }
    }
}

/// Two providers by one NIC: each has a VLAN, and the MAC that it knows the gateway by.
#[test]
fn two_uplinks_on_one_interface() {
    let [of_a, of_b]: [Tags<'_>; 2] = [&[(CUSTOMER, 35)], &[(CUSTOMER, 36)]];
    let mut gateway = gateway(NONE, of_a);
    serve(&mut gateway, B.ifindex, of_b);
    gateway.tables.ports.get_mut(&B.ifindex).unwrap().ifindex = A.ifindex;
    let by_a = Provider { ifindex: A.ifindex, ..B };
    for (by, tags, alive) in [(A, of_a, A.bit()), (by_a, of_b, B.bit())] {
        gateway.tables.set_alive(alive);
        for _ in 0..2 {
            let output = tagged(&leaving(&request(), &by, HOST.port()).build(), tags);
            gateway.forwards_out(&request().build(), &by, &output);
            let back = answer(&by, HOST.port());
            let input = tagged(&back.build(), tags);
            gateway.forwards_in(&input, &by, &reaching(&back, HOST).build());
        }
    }
    // The MAC of one with the tag of the other.
    let crossed = tagged(&answer(&A, HOST.port()).build(), of_b);
    gateway.passes(A.ifindex, &crossed, PassReason::NotForUs);
}

/// An interface that serves frames without tags besides, by another MAC.
#[test]
fn a_vlan_besides_untagged_frames() {
    let tags: Tags<'_> = &[(CUSTOMER, 35)];
    let mut gateway = gateway(tags, NONE);
    let besides = Port {
        vlan: Vlan::NONE,
        mac: Mac::new(lan::OTHER_MAC),
        ..gateway.tables.ports[&lan::IFINDEX]
    };
    gateway.tables.ports.insert(99, besides);
    talk(&gateway, tags, NONE);
    let untagged = request().macs(lan::HOST_MAC, lan::OTHER_MAC);
    let output = leaving(&untagged, &A, HOST.port()).build();
    gateway.forwards_out(&untagged.build(), &A, &output);
    gateway.passes(lan::IFINDEX, &request().build(), PassReason::NotForUs);
}

/// Whatever is of no VLAN that is served is the kernel's.
#[test]
fn unknown_vlans() {
    let known: [(u16, u16); 2] = [(SERVICE, 100), (CUSTOMER, 35)];
    let [outer, inner] = known;
    let mut gateway = gateway(NONE, NONE);
    let served = Port { vlan: vlan(&known), ..gateway.tables.ports[&lan::IFINDEX] };
    gateway.tables.ports.insert(99, served);
    let cases: [Tags<'_>; 8] = [
        &[(CUSTOMER, 35)],
        &[outer],
        &[inner],
        &[(CUSTOMER, 100), inner],
        &[outer, (SERVICE, 35)],
        &[outer, (CUSTOMER, 36)],
        &[inner, outer],
        &[outer, inner, (CUSTOMER, 36)],
    ];
    for tags in cases {
        let frame = tagged(&request().build(), tags);
        gateway.passes(lan::IFINDEX, &frame, PassReason::Vlan);
        let broadcast = tagged(&request().macs(lan::HOST_MAC, [0xff; 6]).build(), tags);
        gateway.passes(lan::IFINDEX, &broadcast, PassReason::NotForUs);
        let other = Gateway::new();
        other.passes(99, &frame, PassReason::UnknownPort);
    }
    let output = leaving(&request(), &A, HOST.port()).build();
    gateway.forwards_out(&tagged(&request().build(), &known), &A, &output);
    let broadcast = tagged(&request().macs(lan::HOST_MAC, [0xff; 6]).build(), &known);
    gateway.passes(lan::IFINDEX, &broadcast, PassReason::NotForUs);
}

/// A tag that names no VLAN, within those of a port: the kernel would take it for none.
#[test]
fn priority_tags_within_a_vlan() {
    for tags in [KINDS[1], KINDS[3]] {
        let gateway = gateway(tags, NONE);
        for priority in [0, 0xe000] {
            let within = [tags, &[(CUSTOMER, priority)]].concat();
            let frame = tagged(&request().build(), &within);
            gateway.drops(lan::IFINDEX, &frame, DropReason::PriorityTag);
        }
        // Where no frames without tags are served, one with a priority only is nobody's.
        let alone = tagged(&request().build(), &[(CUSTOMER, 0xe000)]);
        gateway.passes(lan::IFINDEX, &alone, PassReason::UnknownPort);
    }
}

/// Frames that end within their tags, or soon after. A tag that is not there whole does not count.
#[test]
fn frames_cut_short() {
    let truncated = Verdict::Drop(DropReason::Truncated);
    let unknown = Verdict::Pass(PassReason::UnknownPort);
    for (tags, tagless) in [(KINDS[1], 14..16), (KINDS[3], 14..20)] {
        let gateway = gateway(tags, NONE);
        let whole = tagged(&request().build(), tags);
        for len in 14..whole.len() {
            let frame = &whole[..len];
            let verdict = if tagless.contains(&len) { unknown } else { truncated };
            gateway.expect(lan::IFINDEX, frame, verdict, frame);
        }
    }
    let untagged = Gateway::new();
    let whole = tagged(&request().build(), KINDS[3]);
    for len in 14..whole.len() {
        let frame = &whole[..len];
        let verdict = if len < 16 { truncated } else { Verdict::Pass(PassReason::Vlan) };
        untagged.expect(lan::IFINDEX, frame, verdict, frame);
    }
}

/// What the gateway does not send stays as it came in, at whatever stage that shows.
#[test]
fn what_is_not_sent_is_not_changed() {
    for tags in KINDS {
        let gateway = gateway(tags, tags);
        let frame = |packet: &PacketBuilder| tagged(&packet.build(), tags);
        let local = PacketBuilder::udp(HOST, SocketAddrV4::new(lan::GATEWAY, 53));
        gateway.passes(lan::IFINDEX, &frame(&local), PassReason::Local);
        let own = PacketBuilder::udp(SERVER, public(&A, 53)).macs(A.gateway_mac, A.mac);
        gateway.passes(A.ifindex, &frame(&own), PassReason::Local);
        let inside = PacketBuilder::udp(HOST, OTHER);
        gateway.drops(lan::IFINDEX, &frame(&inside), DropReason::LanToLan);
        let arp = tagged(&arp(), tags);
        gateway.passes(lan::IFINDEX, &arp, PassReason::NotIp);
        gateway.holds_nothing();
    }
}

/// An ARP request to the gateway's MAC.
fn arp() -> Vec<u8> {
    [&lan::MAC[..], &lan::HOST_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat()
}

/// A message of the gateway's own goes back by the VLAN that the packet came from.
#[test]
fn messages_of_the_gateway() {
    for tags in KINDS {
        let gateway = gateway(tags, KINDS[1]);
        let packet = request().ttl(1);
        let message = PacketBuilder::icmp_error(
            lan::GATEWAY,
            *HOST.ip(),
            [11, 0],
            [0; 4],
            &packet.quoted(576),
        )
        .macs(lan::MAC, lan::HOST_MAC)
        .type_of_service(0xc0)
        .identification(0)
        .fragment(0x4000);
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::TtlExceeded };
        let output = tagged(&message.build(), tags);
        gateway.expect(lan::IFINDEX, &tagged(&packet.build(), tags), verdict, &output);
    }
}

/// So does a reset.
#[test]
fn resets_of_the_gateway() {
    for tags in KINDS {
        let mut gateway = gateway(tags, KINDS[1]);
        if let Some(group) = &mut gateway.tables.group {
            group.on_failure = OnFailure::Reset as u8;
        }
        let syn = segment(SYN);
        let output = tagged(&leaving(&syn, &A, HOST.port()).build(), KINDS[1]);
        gateway.forwards_out(&tagged(&syn.build(), tags), &A, &output);
        let accepted = segment_back(SYN | ACK, &A);
        let output = tagged(&reaching(&accepted, HOST).build(), tags);
        gateway.forwards_in(&tagged(&accepted.build(), KINDS[1]), &A, &output);
        gateway.tables.set_alive(B.bit());
        let reset = PacketBuilder::tcp(SERVER, HOST, RST)
            .macs(lan::MAC, lan::HOST_MAC)
            .sequence(9)
            .acknowledgment(0)
            .window(0)
            .identification(0)
            .fragment(0x4000)
            .payload(&[]);
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::Reset };
        let input = tagged(&segment(ACK).acknowledgment(9).build(), tags);
        gateway.expect(lan::IFINDEX, &input, verdict, &tagged(&reset.build(), tags));
    }
}

/// What fits is what the packet takes, not its frame.
#[test]
fn tags_are_none_of_the_mtu() {
    for tags in KINDS {
        let gateway = gateway(tags, KINDS[3]);
        let packet = request().payload(&[7; 1472]);
        let output = tagged(&leaving(&packet, &A, HOST.port()).build(), KINDS[3]);
        gateway.forwards_out(&tagged(&packet.build(), tags), &A, &output);
    }
}

/// All fragments of a datagram, and padding behind a short one.
#[test]
fn fragments() {
    for (lan, uplink) in [(KINDS[1], KINDS[3]), (KINDS[3], NONE)] {
        let gateway = gateway(lan, uplink);
        let packet = request().payload(&[7; 100]);
        let left = leaving(&packet, &A, HOST.port());
        for (input, output) in packet.fragments(3).iter().zip(left.fragments(3)) {
            gateway.forwards_out(&tagged(input, lan), &A, &tagged(&output, uplink));
        }
        let padded = request().padding(6);
        let output = tagged(&leaving(&padded, &A, HOST.port()).build(), uplink);
        gateway.forwards_out(&tagged(&padded.build(), lan), &A, &output);
    }
}

/// From the LAN back to it.
#[test]
fn hairpin() {
    for tags in KINDS {
        let mut gateway = Gateway::new();
        serve(&mut gateway, lan::IFINDEX, tags);
        serve(&mut gateway, A.ifindex, KINDS[1]);
        let peer = SocketAddrV4::new(lan::OTHER, 6000);
        let sent = from_other(PacketBuilder::udp(peer, SERVER));
        let output = tagged(&leaving(&sent, &A, peer.port()).build(), KINDS[1]);
        gateway.forwards_out(&tagged(&sent.build(), tags), &A, &output);
        let call = PacketBuilder::udp(HOST, public(&A, peer.port()));
        let output = reaching(&call, peer).from(public(&A, HOST.port()));
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: A.id, direction: Direction::Hairpin };
        for _ in 0..2 {
            let input = tagged(&call.build(), tags);
            gateway.expect(lan::IFINDEX, &input, verdict, &tagged(&output.build(), tags));
        }
    }
}

/// An error from beyond the uplink about a packet of the LAN.
#[test]
fn errors_about_a_flow() {
    for (lan, uplink) in [(NONE, KINDS[1]), (KINDS[3], KINDS[2])] {
        let gateway = gateway(lan, uplink);
        let output = tagged(&leaving(&request(), &A, HOST.port()).build(), uplink);
        gateway.forwards_out(&tagged(&request().build(), lan), &A, &output);
        let error = |quote: &PacketBuilder, to: SocketAddrV4| {
            PacketBuilder::icmp_error(*SERVER.ip(), *to.ip(), [3, 1], [0; 4], &quote.quoted(28))
        };
        let left = leaving(&request(), &A, HOST.port());
        let input = error(&left, public(&A, 0)).macs(A.gateway_mac, A.mac);
        let output = error(&request().ttl(63), HOST).macs(lan::MAC, lan::HOST_MAC).ttl(63);
        gateway.forwards_in(&tagged(&input.build(), uplink), &A, &tagged(&output.build(), lan));
    }
}
