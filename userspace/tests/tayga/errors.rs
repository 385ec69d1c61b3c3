//! ICMP errors, and what they quote.

use pointsman_ebpf::memory::site::A;
use pointsman_ebpf::memory::{Body6, PacketBuilder, PacketBuilder6};
use pointsman_ebpf::wire::tcp_flags::ACK;

use crate::oracle::Tayga;
use crate::packets::{
    DONT_FRAGMENT, HOST, OWN, ROUTER, gateway, payload, same_in, same_out, sent, server6,
};

/// An error of a router on the way, about what was `quote` on the uplink.
pub(crate) fn error_in(type_and_code: [u8; 2], rest: [u8; 4], quote: &[u8]) -> PacketBuilder {
    PacketBuilder::icmp_error(ROUTER, A.address, type_and_code, rest, quote).fragment(DONT_FRAGMENT)
}

/// An error of the host's, about what was `quote` in the LAN.
pub(crate) fn error_out(type_and_code: [u8; 2], rest: [u8; 4], quote: &[u8]) -> PacketBuilder6 {
    PacketBuilder6::error(HOST.0, server6(OWN).0, type_and_code, rest, quote)
}

/// The packets of each protocol as the host receives them from the server.
pub(crate) fn received() -> [PacketBuilder6; 3] {
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
