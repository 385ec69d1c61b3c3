//! Frames of IPv6 with VLAN tags: that each stage sees them without, and sends them with those of the port.

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::site6;
use pointsman_ebpf::memory::{Body6, PacketBuilder6, tagged};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::super::vlan::{KINDS, NONE, Tags, serve};
use super::harness::{
    Gateway, HOST, HOST_A, OTHER, OTHER_A, SERVER, TRANSLATED, answer, from_other, gateway,
    leaving, reaching, request, segment, segment_back,
};

/// With these tags in the LAN, and at the uplink A.
fn tagging(lan: Tags<'_>, uplink: Tags<'_>) -> Gateway {
    let mut gateway = gateway(TRANSLATED);
    serve(&mut gateway, lan::IFINDEX, lan);
    serve(&mut gateway, A.ifindex, uplink);
    gateway
}

/// The packet leaves by A.
#[track_caller]
fn leaves(gateway: &Gateway, packet: &PacketBuilder6, lan: Tags<'_>, uplink: Tags<'_>) {
    let output = tagged(&leaving(packet, &A, HOST_A).build(), uplink);
    gateway.forwards_out(&tagged(&packet.build(), lan), &A, &output);
}

/// The packet from A reaches the host.
#[track_caller]
fn arrives(gateway: &Gateway, packet: &PacketBuilder6, lan: Tags<'_>, uplink: Tags<'_>) {
    let output = tagged(&reaching(packet, HOST.0).build(), lan);
    gateway.forwards_in(&tagged(&packet.build(), uplink), &A, &output);
}

/// A flow that opens and is answered, and more of it; one of them has extension headers.
#[test]
fn any_tags_to_any() {
    for lan in KINDS {
        for uplink in KINDS {
            let gateway = tagging(lan, uplink);
            for headers in [&[][..], &[[0, 0], [43, 0]]] {
                for _ in 0..2 {
                    leaves(&gateway, &request().extensions(headers), lan, uplink);
                    arrives(&gateway, &answer(HOST_A, &A).extensions(headers), lan, uplink);
                }
            }
            for flags in [SYN, ACK] {
                leaves(&gateway, &segment(flags), lan, uplink);
                arrives(&gateway, &segment_back(flags | ACK, HOST_A, &A), lan, uplink);
            }
            gateway.holds6([2, 0, 0]);
        }
    }
}

/// What the gateway does not send stays as it came in, at whatever stage that shows.
#[test]
fn what_is_not_sent_is_not_changed() {
    for tags in KINDS {
        let gateway = tagging(tags, tags);
        let frame = |packet: PacketBuilder6| tagged(&packet.build(), tags);
        let solicitation = Body6::Message([135, 0], [0; 4]);
        let discovery = PacketBuilder6::new(HOST, (site6::GATEWAY, 0), solicitation).hop_limit(255);
        gateway.passes(lan::IFINDEX, &frame(discovery), PassReason::Local);
        let local = PacketBuilder6::udp(HOST, (site6::GATEWAY, 53));
        gateway.passes(lan::IFINDEX, &frame(local), PassReason::Local);
        let foreign = request().from_address("2001:db8:bad::2".parse().unwrap());
        gateway.drops(lan::IFINDEX, &frame(foreign), DropReason::ForeignSource);
        let unasked = answer(HOST_A, &A);
        gateway.drops(A.ifindex, &frame(unasked), DropReason::Filtered);
        gateway.holds6([0; 3]);
    }
}

/// A message of the gateway's own goes back by the VLAN that the packet came from.
#[test]
fn messages_of_the_gateway() {
    for tags in KINDS {
        let gateway = tagging(tags, KINDS[1]);
        let packet = request().hop_limit(1);
        let code = [3, 0];
        let message =
            PacketBuilder6::error(site6::GATEWAY, HOST.0, code, [0; 4], &packet.quoted(1232))
                .macs(lan::MAC, lan::HOST_MAC)
                .traffic_class(0xc0);
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::TtlExceeded };
        let output = tagged(&message.build(), tags);
        gateway.expect(lan::IFINDEX, &tagged(&packet.build(), tags), verdict, &output);
    }
}

/// What fits is what the packet takes, not its frame.
#[test]
fn tags_are_none_of_the_mtu() {
    for tags in KINDS {
        leaves(&tagging(tags, KINDS[3]), &request().payload(&[7; 1452]), tags, KINDS[3]);
    }
}

#[test]
fn fragments() {
    for (lan, uplink) in [(KINDS[1], KINDS[3]), (KINDS[3], NONE)] {
        let gateway = tagging(lan, uplink);
        let packet = request().payload(&[7; 100]);
        let left = leaving(&packet, &A, HOST_A);
        for (input, output) in packet.fragments(3).iter().zip(left.fragments(3)) {
            gateway.forwards_out(&tagged(input, lan), &A, &tagged(&output, uplink));
        }
    }
}

/// From the LAN back to it.
#[test]
fn hairpin() {
    for tags in KINDS {
        let gateway = tagging(tags, KINDS[1]);
        let packet = from_other(PacketBuilder6::udp(OTHER, (HOST_A, 53)));
        let output = packet.clone().from_address(OTHER_A).to_address(HOST.0);
        let output = output.macs(lan::MAC, lan::HOST_MAC).hop_limit(63).build();
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: A.id, direction: Direction::Hairpin };
        let input = tagged(&packet.build(), tags);
        gateway.expect(lan::IFINDEX, &input, verdict, &tagged(&output, tags));
    }
}

/// An error from beyond the uplink about a packet of the LAN.
#[test]
fn errors_about_a_flow() {
    for (lan, uplink) in [(NONE, KINDS[1]), (KINDS[3], KINDS[2])] {
        let gateway = tagging(lan, uplink);
        leaves(&gateway, &request(), lan, uplink);
        let error = |quote: &PacketBuilder6, to| {
            PacketBuilder6::error(SERVER.0, to, [1, 4], [0; 4], &quote.quoted(64))
        };
        let left = leaving(&request(), &A, HOST_A);
        let input = error(&left, HOST_A).macs(A.gateway_mac, A.mac);
        let output = error(&request().hop_limit(63), HOST.0).macs(lan::MAC, lan::HOST_MAC);
        let output = tagged(&output.hop_limit(63).build(), lan);
        gateway.forwards_in(&tagged(&input.build(), uplink), &A, &output);
    }
}
