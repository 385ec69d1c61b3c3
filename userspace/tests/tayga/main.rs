//! What the stateless translation of headers makes of packets (RFC 7915), beside what TAYGA makes of
//! them: both must be the same, byte for byte, but for what the RFC leaves open, and for what TAYGA 0.9.2,
//! which is older than it and follows RFC 6145, does in another way. Each of these is a test of its own.

mod deviations;
mod errors;
mod oracle;
mod packets;

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::Nat64;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::A;
use pointsman_ebpf::memory::site64;

use oracle::Tayga;
use packets::{
    DONT_FRAGMENT, OWN, ROUTER, coming, gateway, incoming, outgoing, payload, same_frame_in,
    same_in, same_out, sent,
};

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
