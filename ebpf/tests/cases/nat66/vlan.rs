//! Frames with VLAN tags: each stage sees them without, and they leave with those of the port.

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::site6::own;
use pointsman_ebpf::memory::{PacketBuilder6, tagged};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::super::vlan::{KINDS, NONE, Tags, serve};
use super::harness::{
    Gateway, HOST, SERVER, answer, echo, gateway, leaving, public, reaching, reply, request,
    segment, segment_back, unasked,
};

/// With these tags in the LAN, and at the uplink A.
fn tagging(lan: Tags<'_>, uplink: Tags<'_>) -> Gateway {
    let mut gateway = gateway();
    serve(&mut gateway, lan::IFINDEX, lan);
    serve(&mut gateway, A.ifindex, uplink);
    gateway
}

/// The packet leaves by A.
#[track_caller]
fn leaves(gateway: &Gateway, packet: &PacketBuilder6, lan: Tags<'_>, uplink: Tags<'_>) {
    let output = tagged(&leaving(packet, &A, HOST.1).build(), uplink);
    gateway.forwards_out(&tagged(&packet.build(), lan), &A, &output);
}

/// The packet from A reaches the host.
#[track_caller]
fn arrives(gateway: &Gateway, packet: &PacketBuilder6, lan: Tags<'_>, uplink: Tags<'_>) {
    let output = tagged(&reaching(packet, HOST).build(), lan);
    gateway.forwards_in(&tagged(&packet.build(), uplink), &A, &output);
}

/// Flows that open and are answered, and more of them; some with extension headers; and one from outside.
#[test]
fn any_tags_to_any() {
    for lan in KINDS {
        for uplink in KINDS {
            let gateway = tagging(lan, uplink);
            for headers in [&[][..], &[[0, 0], [43, 0]]] {
                for _ in 0..2 {
                    leaves(&gateway, &request().extensions(headers), lan, uplink);
                    arrives(&gateway, &answer(&A).extensions(headers), lan, uplink);
                }
            }
            for flags in [SYN, ACK] {
                leaves(&gateway, &segment(flags), lan, uplink);
                arrives(&gateway, &segment_back(flags | ACK, &A), lan, uplink);
            }
            leaves(&gateway, &echo(), lan, uplink);
            arrives(&gateway, &reply(&A), lan, uplink);
            arrives(&gateway, &unasked(&A), lan, uplink);
            gateway.holds66([6, 0, 1], 6);
        }
    }
}

/// What the gateway does not send stays as it came in.
#[test]
fn what_is_not_sent_is_not_changed() {
    for tags in KINDS {
        let gateway = tagging(tags, tags);
        let frame = |packet: PacketBuilder6| tagged(&packet.build(), tags);
        let local = frame(answer(&A).to((own(&A), 53)));
        gateway.passes(A.ifindex, &local, PassReason::Local);
        gateway.drops(A.ifindex, &frame(answer(&A)), DropReason::Unsolicited);
        let to_public = frame(request().to(public(&A, HOST.1)));
        gateway.passes(lan::IFINDEX, &to_public, PassReason::Local);
        gateway.holds66([0; 3], 0);
    }
}

#[test]
fn fragments() {
    for (lan, uplink) in [(KINDS[1], KINDS[3]), (KINDS[3], NONE)] {
        let gateway = tagging(lan, uplink);
        let packet = request().payload(&[7; 100]);
        let left = leaving(&packet, &A, HOST.1);
        for (input, output) in packet.fragments(3).iter().zip(left.fragments(3)) {
            gateway.forwards_out(&tagged(input, lan), &A, &tagged(&output, uplink));
        }
        let packet = answer(&A).payload(&[7; 100]);
        let reached = reaching(&packet, HOST);
        for (input, output) in packet.fragments(3).iter().zip(reached.fragments(3)) {
            gateway.forwards_in(&tagged(input, uplink), &A, &tagged(&output, lan));
        }
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
        let left = leaving(&request(), &A, HOST.1);
        let input = error(&left, own(&A)).macs(A.gateway_mac, A.mac);
        let output = error(&request().hop_limit(63), HOST.0).macs(lan::MAC, lan::HOST_MAC);
        let output = tagged(&output.hop_limit(63).build(), lan);
        gateway.forwards_in(&tagged(&input.build(), uplink), &A, &output);
    }
}
