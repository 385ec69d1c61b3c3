//! What holds for every packet.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{
    Bucket, Ipv4, L4Port, MAX_UPLINKS, PortRange, Sequence, SharedU64, Sticky, Watch,
};
use pointsman_ebpf::memory::site::{self, A, PROVIDERS, Provider, lan};
use pointsman_ebpf::memory::{
    FLOW_TABLES, Liveness, MemoryTables, PacketBuilder, answer_to, repair_checksums, verify,
    verify_quote,
};
use pointsman_ebpf::verdict::{PassReason, Verdict};
use pointsman_ebpf::wire::MemoryFrame;
use pointsman_ebpf::wire::checksum::{self, Delta};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Few under Miri, which is slow.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 1024 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A host of the LAN that is not the gateway.
fn host() -> impl Strategy<Value = Ipv4Addr> {
    (2_u16..).prop_map(|number| Ipv4Addr::from_bits(lan::NETWORK.to_bits() + u32::from(number)))
}

/// An address beyond the uplinks.
fn remote() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>()
        .prop_filter("of the LAN, the gateway's own or a martian", |[a, b, ..]| {
            !matches!(a, 0 | 10 | 127 | 198 | 203 | 224..) && (*a, *b) != (169, 254)
        })
        .prop_map(Ipv4Addr::from)
}

/// A packet that opens a flow.
fn opening() -> impl Strategy<Value = PacketBuilder> {
    let ends = ((host(), any::<u16>()), (remote(), any::<u16>()));
    let ends = ends.prop_map(|((host, port), (remote, remote_port))| {
        (SocketAddrV4::new(host, port), SocketAddrV4::new(remote, remote_port))
    });
    let transport = (ends, 0..4, any::<u8>()).prop_map(|((from, to), kind, flags)| match kind {
        0 => PacketBuilder::tcp(from, to, flags & !4),
        1 => PacketBuilder::udp(from, to),
        2 => PacketBuilder::udp(from, to).without_checksum(),
        _ => PacketBuilder::echo_request(from, *to.ip()),
    });
    let options = (0_usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4));
    (transport, options, vec(any::<u8>(), 0..80), 2_u8.., 0_usize..20).prop_map(
        |(packet, options, payload, ttl, padding)| {
            let packet = packet.options(&options).payload(&payload);
            packet.ttl(ttl).padding(padding)
        },
    )
}

/// Runs a frame from the LAN, which must be forwarded.
fn send(tables: &MemoryTables, packet: &PacketBuilder) -> (Provider, Vec<u8>) {
    let mut frame = packet.build();
    match tables.run(&mut frame, lan::IFINDEX) {
        Verdict::Forward { uplink, .. } => {
            let provider = PROVIDERS.into_iter().find(|provider| provider.id == uplink);
            (provider.expect("an uplink of the site"), frame)
        }
        verdict => panic!("{verdict:?} for {packet:?}\n{tables}"),
    }
}

fn transport_of(frame: &[u8]) -> usize {
    14 + usize::from(frame[14] & 15) * 4
}

/// The end that the host is at, of a packet from it or, with `reply`, to it.
fn host_end(frame: &[u8], reply: bool) -> [u8; 6] {
    let transport = transport_of(frame);
    let address = if reply { 30 } else { 26 };
    let port = match (frame[23], reply) {
        (1, _) => transport + 4,
        (_, true) => transport + 2,
        (_, false) => transport,
    };
    let mut end = [0; 6];
    end[..4].copy_from_slice(&frame[address..address + 4]);
    end[4..].copy_from_slice(&frame[port..port + 2]);
    end
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_answer_comes_back_to_who_asked(packets in vec(opening(), 1..6)) {
        let tables = site::gateway(site::share_evenly);
        let sent: Vec<_> = packets.iter().map(|packet| send(&tables, packet)).collect();
        for (packet, (provider, frame)) in packets.iter().zip(sent) {
            prop_assert_eq!(verify(&frame), Ok(()), "{:02x?}", frame);
            prop_assert_eq!(&frame[26..30], &provider.address.octets());
            let mut reply = answer_to(&frame);
            let verdict = tables.run(&mut reply, provider.ifindex);
            let forwarded = matches!(verdict, Verdict::Forward { egress: lan::EGRESS, .. });
            prop_assert!(forwarded, "{:?}\n{}", verdict, tables);
            prop_assert_eq!(verify(&reply), Ok(()), "{:02x?}", reply);
            prop_assert_eq!(host_end(&reply, true), host_end(&packet.build(), false));
            prop_assert_eq!(&reply[0..6], &lan::HOST_MAC);
        }
    }

    /// However much of the packet is quoted, whatever its options and payload.
    #[test]
    fn an_icmp_error_comes_back_to_who_asked_about_what_it_sent(
        packet in opening(), router in remote(), len in 28_usize..200, outer_ttl in 2_u8..,
        kind in prop_oneof![Just([3, 1]), Just([3, 4]), Just([11, 0]), Just([12, 0])],
        answered: bool,
    ) {
        let tables = site::gateway(site::share_evenly);
        let (provider, frame) = send(&tables, &packet);
        if answered {
            let mut reply = answer_to(&frame);
            let verdict = tables.run(&mut reply, provider.ifindex);
            let forwarded = matches!(verdict, Verdict::Forward { egress: lan::EGRESS, .. });
            prop_assert!(forwarded, "{:?}\n{}", verdict, tables);
        }
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        // As far as the identifier, at least, and not to the middle of a checksum.
        let header = transport_of(&frame) - 14;
        let len = len.max(header + 8).min(total);
        let len = if frame[23] == 6 && len == header + 17 { len - 1 } else { len };
        let error = |to, quote: &[u8]| {
            PacketBuilder::icmp_error(router, to, kind, [0, 0, 5, 0], quote)
        };
        let mut back = error(provider.address, &frame[14..14 + len])
            .macs(provider.gateway_mac, provider.mac)
            .ttl(outer_ttl)
            .build();
        let verdict = tables.run(&mut back, provider.ifindex);
        let forwarded = matches!(verdict, Verdict::Forward { egress: lan::EGRESS, .. });
        prop_assert!(forwarded, "{:?}\n{}", verdict, tables);
        // The packet as the host sent it, but for the TTL, which the gateway has decremented.
        let sent = packet.clone().ttl(frame[22]).build();
        let host = Ipv4Addr::new(sent[26], sent[27], sent[28], sent[29]);
        let want = error(host, &sent[14..14 + len]).macs(lan::MAC, lan::HOST_MAC).ttl(outer_ttl - 1);
        prop_assert_eq!(verify(&back), Ok(()), "{:02x?}", back);
        prop_assert_eq!(verify_quote(&back), Ok(()), "{:02x?}", back);
        prop_assert_eq!(back, want.build());
    }

    /// As many as there are, wherever they are cut: what arrives is the translated datagram.
    #[test]
    fn fragments_are_those_of_the_translated_datagram(
        packet in opening(), cuts in 2_usize..8, order in any::<u64>(),
    ) {
        let tables = site::gateway(site::prefer_a);
        let packet = packet.padding(0).payload(&[0x5a; 300]);
        let whole = site::gateway(site::prefer_a);
        let (_, translated) = send(&whole, &packet);
        let mut fragments = packet.fragments(cuts);
        let first = fragments.remove(0);
        // Those after the first in any order.
        fragments.sort_by_key(|frame| (u64::from(frame[21]) + 1).wrapping_mul(order | 1));
        let mut joined = vec![0; translated.len()];
        for mut frame in std::iter::once(first).chain(fragments) {
            let verdict = tables.run(&mut frame, lan::IFINDEX);
            let forwarded = matches!(verdict, Verdict::Forward { .. });
            prop_assert!(forwarded, "{:?}\n{}", verdict, tables);
            prop_assert_eq!(verify(&frame), Ok(()), "{:02x?}", frame);
            prop_assert_eq!(&frame[26..34], &translated[26..34]);
            let header = transport_of(&frame);
            let offset = usize::from(u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff) * 8;
            let at = header + offset;
            joined[at..at + frame.len() - header].copy_from_slice(&frame[header..]);
        }
        let body = transport_of(&translated);
        prop_assert_eq!(&joined[body..], &translated[body..]);
    }

    /// Whatever follows an Ethernet header that is for the gateway.
    #[test]
    fn what_is_not_forwarded_changes_nothing(
        body in vec(any::<u8>(), 0..80),
        ether_type in prop_oneof![Just([8, 0]), Just([0x86, 0xdd]), any::<[u8; 2]>()],
        version in prop_oneof![Just(0x45_u8), any::<u8>()],
        ifindex in 0_u32..5,
        repair: bool,
    ) {
        let tables = site::gateway(site::share_evenly);
        let mac = tables.ports.get(&ifindex).map_or([0; 6], |port| port.mac.octets());
        let mut frame = [&mac[..], &lan::HOST_MAC, &ether_type, &body].concat();
        if let Some(first) = frame.get_mut(14) {
            *first = version;
        }
        if repair {
            repair_checksums(&mut frame);
        }
        let before = frame.clone();
        let verdict = tables.run(&mut frame, ifindex);
        match verdict {
            Verdict::Forward { .. } => {}
            Verdict::Answer { .. } => {
                prop_assert_eq!(verify(&frame), Ok(()), "{:02x?}", frame);
                prop_assert!(frame.len() <= 14 + 576, "{:?}", verdict);
                let quote = &frame[14 + 28..];
                prop_assert_eq!(quote, &before[14..14 + quote.len()], "{:?}", verdict);
            }
            _ => prop_assert_eq!(&frame, &before, "{:?}", verdict),
        }
        if !matches!(verdict, Verdict::Forward { .. }) {
            for table in FLOW_TABLES {
                prop_assert_eq!(tables.flow_count(table), 0, "{:?}", verdict);
            }
            prop_assert_eq!(tables.bindings().len(), 0, "{:?}", verdict);
        }
        prop_assert_eq!(tables.counts().packets(), 1);
    }

    #[test]
    fn a_source_keeps_to_one_uplink(
        host in host(),
        others in vec((any::<u16>(), remote(), any::<u16>()), 2..8),
    ) {
        let mut tables = site::gateway(site::share_evenly);
        tables.group.as_mut().unwrap().sticky = Sticky::Source as u8;
        let uplinks = others.iter().map(|(port, remote, remote_port)| {
            let from = SocketAddrV4::new(host, *port);
            let to = SocketAddrV4::new(*remote, *remote_port);
            send(&tables, &PacketBuilder::udp(from, to)).0.id
        });
        let uplinks: Vec<u8> = uplinks.collect();
        prop_assert!(uplinks.iter().all(|uplink| *uplink == uplinks[0]), "{:?}", uplinks);
    }

    #[test]
    fn a_source_keeps_to_one_uplink_for_each_destination(
        host in host(), remote in remote(), ports in vec(any::<[u16; 2]>(), 2..8),
    ) {
        let mut tables = site::gateway(site::share_evenly);
        tables.group.as_mut().unwrap().sticky = Sticky::SourceDestination as u8;
        let uplinks = ports.iter().map(|[port, remote_port]| {
            let from = SocketAddrV4::new(host, *port);
            let to = SocketAddrV4::new(remote, *remote_port);
            send(&tables, &PacketBuilder::tcp(from, to, 2)).0.id
        });
        let uplinks: Vec<u8> = uplinks.collect();
        prop_assert!(uplinks.iter().all(|uplink| *uplink == uplinks[0]), "{:?}", uplinks);
    }

    #[test]
    fn a_bucket_chooses_the_first_that_is_preferred_then_usable(
        ranking in vec(prop_oneof![0..MAX_UPLINKS as u8, 0_u8..8], 0..=8),
        preferred: u64,
        usable in prop_oneof![Just(0_u64), any::<u64>(), (0..64).prop_map(|bit| 1_u64 << bit)],
    ) {
        let is_in = |mask: u64, uplink: u8| (mask >> uplink) & 1 == 1;
        let mut want = None;
        for uplink in ranking.iter().rev().filter(|uplink| is_in(usable, **uplink)) {
            want = Some(*uplink);
        }
        for uplink in ranking.iter().rev() {
            if is_in(usable, *uplink) && is_in(preferred, *uplink) {
                want = Some(*uplink);
            }
        }
        let bucket = Bucket::new(ranking.iter().copied());
        prop_assert_eq!(bucket.choose(preferred, usable), want);
        prop_assert_eq!(bucket.ranking().collect::<Vec<u8>>(), ranking);
    }

    #[test]
    fn a_port_is_picked_from_the_range(ends: [u16; 2], random: u32) {
        let range = PortRange { first: ends[0].min(ends[1]), last: ends[0].max(ends[1]) };
        let port = range.pick(random);
        prop_assert!(range.contains(port), "{:?} of {:?}", port, range);
        prop_assert_eq!(range.pick(0).to_host(), range.first);
        prop_assert_eq!(range.pick(u32::MAX).to_host(), range.last);
    }

    /// Whatever comes to the port of a BFD session puts off the deadline where it is what is expected, and
    /// nowhere else: random bytes, those of the session, and those with some of them changed.
    #[test]
    fn a_deadline_is_put_off_by_what_is_expected_only(
        control: [u8; 24], section in vec(any::<u8>(), 0..30), other in vec(any::<u8>(), 0..80),
        changes in vec((any::<Index>(), any::<u8>()), 0..3), random: bool,
    ) {
        const PORT: u16 = 3784;
        let control = without_poll(control);
        let mut tables = site::gateway(site::prefer_a);
        tables.keep_port(true, L4Port::from_host(PORT));
        let watch = Watch::new(PORT, 255, section.len() as u8, Sequence::None);
        expect_packets(&tables, watch, &control, &section);
        let mut payload = if random { other } else { [&control[..], &section].concat() };
        for (at, byte) in &changes {
            if let len @ 1.. = payload.len() {
                payload[at.index(len)] = *byte;
            }
        }
        let peer = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 49_152);
        let to = SocketAddrV4::new(A.address, PORT);
        let packet = PacketBuilder::udp(peer, to).macs(A.gateway_mac, A.mac).ttl(255);
        let before = Liveness::of(&tables);
        let verdict = tables.run(&mut packet.payload(&payload).build(), A.ifindex);
        let is_of_session = match payload.split_first_chunk() {
            Some((head, rest)) => {
                let is_same = |len| rest.get(..len) == section.get(..len);
                without_poll(*head) == control
                    && rest.len() == section.len()
                    && is_same(section.len().min(24))
            }
            None => false,
        };
        let put_off: Vec<u8> = Liveness::of(&tables).put_off_since(&before).into_keys().collect();
        prop_assert_eq!(put_off, if is_of_session { vec![A.id] } else { vec![] });
        let is_consumed = is_of_session
            && section.is_empty()
            && control[1] >> 6 == 3
            && payload.get(1) == control.get(1);
        let expected = if is_consumed { Verdict::Heard } else { Verdict::Pass(PassReason::Local) };
        prop_assert_eq!(verdict, expected);
    }

    #[test]
    fn folding_is_addition_modulo_all_ones(sum: u64) {
        let folded = u64::from(checksum::fold(sum));
        prop_assert_eq!(folded % 0xffff, sum % 0xffff);
        prop_assert_eq!(folded == 0, sum == 0);
    }

    /// Of a packet that is not all zero, as none with an address is (RFC 1624 section 3).
    #[test]
    fn an_updated_checksum_is_the_one_that_is_computed_anew(
        before: [u8; 4], after: [u8; 4], port: u16, new_port: u16, ttl in 1_u8..,
        rest in vec(any::<u8>(), 0..40),
    ) {
        let message = |address: [u8; 4], port: u16, ttl: u8| {
            [&[ttl, 6][..], &address, &port.to_be_bytes(), &rest].concat()
        };
        let old = message(before, port, ttl);
        let new = message(after, new_port, ttl - 1);
        let delta = Delta::NONE
            .address(Ipv4::new(before), Ipv4::new(after))
            .port(L4Port::from_host(port), L4Port::from_host(new_port))
            .ttl_decrement();
        let updated = checksum::update(plain_checksum(&old).to_be(), delta.fold());
        prop_assert_eq!(updated.to_ne_bytes(), plain_checksum(&new).to_be_bytes());
    }

    #[test]
    fn a_sum_over_bytes_is_the_plain_one(bytes in vec(any::<u8>(), 0..100)) {
        let mut copy = bytes.clone();
        let sum = checksum::sum_frame(&MemoryFrame::new(&mut copy), 0, bytes.len()).unwrap();
        prop_assert_eq!(checksum::fold(sum), checksum::fold(checksum::sum(&bytes, 0)));
        let sum = (!checksum::fold(sum)).to_ne_bytes();
        prop_assert_eq!(sum, plain_checksum(&bytes).to_be_bytes());
    }
}

/// A mandatory section of BFD without the bits of a Poll Sequence (RFC 5880 section 4.1).
fn without_poll(mut control: [u8; 24]) -> [u8; 24] {
    control[1] &= !0x30;
    control
}

/// Has the uplink A watched for such packets, all of whose first 48 bytes count.
fn expect_packets(tables: &MemoryTables, watch: Watch, control: &[u8; 24], section: &[u8]) {
    let monitor = &tables.monitors[usize::from(A.id)];
    let store = |words: &[SharedU64; 3], bytes: &[u8]| {
        let mut padded = [0; 24];
        let len = bytes.len().min(padded.len());
        padded[..len].copy_from_slice(&bytes[..len]);
        for (word, bytes) in words.iter().zip(padded.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes));
        }
    };
    store(&monitor.control, control);
    store(&monitor.section, section);
    store(&monitor.mask, &vec![0xff; section.len()]);
    monitor.detection.store(1);
    monitor.heard.store(1);
    monitor.silence.store(i64::MAX as u64);
    monitor.watch.store(watch.0);
}

/// The checksum as RFC 1071 defines it.
fn plain_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}
