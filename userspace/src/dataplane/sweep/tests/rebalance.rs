//! Which flows are given back, in which order, and what is written.

use std::sync::Arc;

use ipnet::Ipv6Net;
use pointsman_ebpf::abi::{
    BUCKETS_PER_GROUP, Bucket, Group, Ipv6Mode, Placement, ROUTED_SIDE, SitePrefix, Sticky, Track,
    Uplink6,
};

use super::nat64::pair64;
use super::*;
use crate::dataplane::rebalance::{Progress, Rebalancing, Selection, Terms};

/// The uplink that all flows are on, and that which all are to take.
const B: u8 = 1;
const A: u8 = 2;

const BOTH: u64 = 1 << A | 1 << B;

/// Both uplinks are alive, and all prefer A.
fn selection(sticky: Sticky) -> Selection {
    let sides = [A, B, ROUTED_SIDE + A, ROUTED_SIDE + B];
    Selection {
        group: Group {
            preferred: BOTH,
            usable: BOTH,
            sticky: sticky as u8,
            on_failure: 0,
            reserved: [0; 6],
        },
        buckets: Arc::from([Bucket::new([A, B]); BUCKETS_PER_GROUP]),
        alive: BOTH,
        nat44: BOTH,
        generations: sides.map(|side| (side, 1)).into(),
        ..Selection::default()
    }
}

/// The same with the LAN hosts' addresses routed as they are.
fn routing() -> Selection {
    let host: Ipv6Net = "::ffff:10.1.0.2/128".parse().unwrap();
    let site_prefixes = [(host, SitePrefix { uplinks: BOTH, ..SitePrefix::default() })].into();
    Selection { site_prefixes, ..selection(Sticky::Source) }
}

/// Both entries of a flow of the host's port, on B, of which the last packets passed so many ticks ago from
/// the LAN, and to it.
fn flow(protocol: u8, port: u16, ages: [u32; 2]) -> [(FlowKey, Flow); 2] {
    let port = L4Port::from_host(port);
    let [(_, out), (_, back)] =
        pair(protocol, B, mark(ages[0], Mark::ANY), mark(ages[1], Mark::ANY));
    let out = Flow { generation: 1, port, ..out };
    let key = FlowKey::new((HOST, port), (SERVER, SERVICE), protocol, LAN_REALM);
    [(key, out), (key.peer(&out), Flow { generation: 1, port, ..back })]
}

fn tables(flows: impl IntoIterator<Item = [(FlowKey, Flow); 2]>) -> Fake {
    Fake::of_established(flows.into_iter().flatten())
}

fn begin(tables: &mut Fake, selection: &Selection, terms: Terms) -> Rebalancing {
    Rebalancing::begin(tables, selection, terms, NOW, &mut || ()).unwrap()
}

/// How many move, wait, and stay.
fn counts(tables: &mut Fake, selection: &Selection, terms: Terms) -> [usize; 3] {
    let Progress { moved, to_move, waiting, staying } = begin(tables, selection, terms).progress();
    assert_eq!(moved, 0);
    [to_move, waiting, staying]
}

/// The ports of the host's flows that were let go, in order.
fn released(tables: &Fake) -> Vec<u16> {
    for key in &tables.established.written {
        assert_eq!(tables.established.entries[key].generation, 0);
    }
    let written = tables.established.written.iter();
    written.map(|key| key.source_port().to_host()).collect()
}

#[test]
fn a_call_waits_and_what_is_silent_moves() {
    for (ages, expected) in [
        ([0, 0], [0, 1, 0]),
        ([100, 0], [0, 1, 0]),
        ([0, 100], [0, 1, 0]),
        // Ten seconds, what a mark lags behind, and no less.
        ([12, 12], [0, 1, 0]),
        ([13, 13], [1, 0, 0]),
    ] {
        let mut tables = tables([flow(UDP, 1, ages)]);
        let selection = selection(Sticky::Flow);
        assert_eq!(counts(&mut tables, &selection, Terms::GENTLE), expected, "{ages:?}");
        assert_eq!(counts(&mut tables, &selection, Terms::ALL), [1, 0, 0]);
    }
}

/// SIP, which is silent, waits with its RTP where a host's flows keep together.
#[test]
fn what_belongs_together_waits_together() {
    let flows = [flow(UDP, 5060, [60, 60]), flow(UDP, 16_384, [0, 0])];
    for (sticky, expected) in [
        (Sticky::Source, [0, 2, 0]),
        (Sticky::SourceDestination, [0, 2, 0]),
        (Sticky::Flow, [1, 1, 0]),
    ] {
        let found = counts(&mut tables(flows), &selection(sticky), Terms::GENTLE);
        assert_eq!(found, expected, "{sticky:?}");
    }
}

#[test]
fn connections_that_break_stay_unless_asked() {
    let flows = [flow(TCP, 1, [600, 600]), flow(UDP, 2, [60, 60])];
    for (terms, expected) in [
        (Terms::GENTLE, [1, 0, 1]),
        (Terms::ALL, [2, 0, 0]),
        (Terms { gently: 0, entirely: 1 << B }, [2, 0, 0]),
        (Terms { gently: u64::MAX, entirely: 1 << A }, [1, 0, 1]),
        (Terms { gently: 1 << A, entirely: 0 }, [0, 0, 0]),
    ] {
        let found = counts(&mut tables(flows), &selection(Sticky::Flow), terms);
        assert_eq!(found, expected, "{terms:?}");
    }
}

/// Nobody outside sees where they leave.
#[test]
fn what_is_routed_moves_at_once() {
    for (protocol, opener) in [(UDP, Opener::Lan), (TCP, Opener::Lan), (TCP, Opener::Remote)] {
        let routed = flow(protocol, 1, [0, 0]).map(|(key, flow)| {
            let uplink = ROUTED_SIDE + B;
            (key, Flow { uplink, address: HOST, opener: opener as u8, ..flow })
        });
        let mut tables = tables([routed]);
        assert_eq!(counts(&mut tables, &routing(), Terms::GENTLE), [1, 0, 0], "{opener:?}");
    }
}

#[test]
fn nothing_moves_that_cannot_or_need_not() {
    let silent = flow(UDP, 1, [60, 60]);
    let with = |change: fn(&mut Flow)| {
        silent.map(|(key, mut flow)| {
            change(&mut flow);
            (key, flow)
        })
    };
    // From beyond the uplink; of an address that is gone, or already let go; where it belongs.
    for entries in [
        with(|flow| flow.opener = Opener::Remote as u8),
        with(|flow| flow.generation = 0),
        with(|flow| flow.uplink = A),
    ] {
        let mut tables = tables([entries]);
        assert_eq!(counts(&mut tables, &selection(Sticky::Flow), Terms::ALL), [0; 3]);
    }
    // To an uplink that is dead, takes no new flows, is worse, does not translate, or is not ready.
    let changes: [fn(&mut Selection); 6] = [
        |selection| selection.alive = 1 << B,
        |selection| selection.group.usable = 1 << B,
        |selection| selection.group.preferred = 1 << B,
        |selection| selection.nat44 = 1 << B,
        |selection| {
            selection.generations.remove(&A);
        },
        // From one that is dead, flows move by themselves.
        |selection| selection.alive = 1 << A,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut selection = selection(Sticky::Flow);
        change(&mut selection);
        assert_eq!(counts(&mut tables([silent]), &selection, Terms::ALL), [0; 3], "{number}");
    }
}

#[test]
fn the_idlest_go_first_and_no_more_than_are_asked_for() {
    let ages = [30, 500, 13, 90];
    let mut tables = tables((1..).zip(ages).map(|(port, age)| flow(UDP, port, [age, age])));
    let selection = selection(Sticky::Flow);
    let mut rebalancing = begin(&mut tables, &selection, Terms::GENTLE);
    rebalancing.step(&mut tables, &selection, 3).unwrap();
    assert_eq!(released(&tables), [2, 4, 1]);
    let left = Progress { moved: 3, to_move: 1, ..Progress::default() };
    assert_eq!(rebalancing.progress(), left);
    rebalancing.step(&mut tables, &selection, 3).unwrap();
    assert_eq!(released(&tables), [2, 4, 1, 3]);
    assert!(rebalancing.progress().is_done());
    // All that came in comes in still, and what was let go is not looked at again.
    assert!(tables.established.entries.len() == 8 && tables.established.removed.is_empty());
    assert_eq!(counts(&mut tables, &selection, Terms::ALL), [0; 3]);
}

/// What has gone meanwhile, or moved by itself, is left alone.
#[test]
fn what_has_changed_meanwhile_is_left_alone() {
    let changes: [fn(&mut Flow); 2] = [|flow| flow.uplink = A, |flow| flow.generation = 9];
    for change in changes {
        let [out, back] = flow(UDP, 1, [60, 60]);
        let mut tables = tables([[out, back]]);
        let selection = selection(Sticky::Flow);
        let mut rebalancing = begin(&mut tables, &selection, Terms::GENTLE);
        change(tables.established.entries.get_mut(&out.0).unwrap());
        rebalancing.step(&mut tables, &selection, 9).unwrap();
        assert!(tables.established.written.is_empty());
        assert_eq!(rebalancing.progress(), Progress::default());
    }
    let mut tables = tables([flow(UDP, 1, [60, 60])]);
    let selection = selection(Sticky::Flow);
    let mut rebalancing = begin(&mut tables, &selection, Terms::GENTLE);
    tables.established.entries.clear();
    rebalancing.step(&mut tables, &selection, 9).unwrap();
    assert!(tables.established.entries.is_empty());
}

/// A host whose flows move opens the next ones elsewhere, also where its connections stay; one that has a
/// call does not.
#[test]
fn a_host_goes_with_its_flows() {
    for (flows, placed, kept) in [
        (vec![flow(UDP, 1, [60, 60])], B, false),
        (vec![flow(TCP, 1, [0, 0])], B, false),
        (vec![flow(UDP, 1, [0, 0]), flow(TCP, 2, [60, 60])], B, true),
        (vec![flow(UDP, 1, [60, 60])], A, true),
    ] {
        let mut tables = tables(flows.clone());
        let host = Host { mappings: 1, unreplied: 2, placement: Placement::new(placed, 7).0 };
        tables.hosts.entries.extend([(HOST, host)]);
        let selection = selection(Sticky::Source);
        begin(&mut tables, &selection, Terms::GENTLE).step(&mut tables, &selection, 9).unwrap();
        let placement = if kept { host.placement } else { 0 };
        assert_eq!(tables.hosts.entries[&HOST], Host { placement, ..host }, "{flows:?}");
    }
}

/// Those that waited move when they are silent.
#[test]
fn what_waits_is_looked_at_again() {
    let mut tables = tables([flow(UDP, 1, [0, 0])]);
    let selection = selection(Sticky::Source);
    let mut rebalancing = begin(&mut tables, &selection, Terms::GENTLE);
    rebalancing.look_again(&mut tables, &selection, NOW + 12, &mut || ()).unwrap();
    assert_eq!((rebalancing.progress().to_move, rebalancing.progress().waiting), (0, 1));
    rebalancing.look_again(&mut tables, &selection, NOW + 13, &mut || ()).unwrap();
    rebalancing.step(&mut tables, &selection, 9).unwrap();
    assert_eq!(rebalancing.progress(), Progress { moved: 1, ..Progress::default() });
}

/// Through NAT64, only the entry from the uplink has the addresses, and that from the LAN is written.
#[test]
fn flows_through_nat64_move() {
    let [out, back] = pair64(UDP, mark(60, 1), mark(60, 1))
        .map(|(key, flow)| (key, Flow { generation: 1, ..flow }));
    let prefix =
        pointsman_ebpf::abi::Ipv6::new([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let nat64 = pointsman_ebpf::abi::Nat64::new(prefix, 96).unwrap();
    let selection = Selection { nat64, ..selection(Sticky::Source) };
    let mut tables = tables([[out, back]]);
    let mut rebalancing = begin(&mut tables, &selection, Terms::GENTLE);
    rebalancing.step(&mut tables, &selection, 9).unwrap();
    assert_eq!(tables.established.entries[&out.0], Flow { generation: 0, ..out.1 });
    assert_eq!(tables.established.entries[&back.0], back.1);
}

/// A flow of IPv6, which appears outside by another prefix where that is translated.
#[test]
fn flows_of_ipv6_move() {
    let octets = |last| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let [inside, outside] = [1, 2].map(|last| pointsman_ebpf::abi::Ipv6::new(octets(last)));
    let site: Ipv6Net = "2001:db8::/64".parse().unwrap();
    for (mode, protocol, age, expected) in [
        (Ipv6Mode::Routed, TCP, 0, [1, 0, 0]),
        (Ipv6Mode::Nptv6, TCP, 60, [0, 0, 1]),
        (Ipv6Mode::Nptv6, UDP, 0, [0, 1, 0]),
        (Ipv6Mode::Nptv6, UDP, 60, [1, 0, 0]),
    ] {
        let track = Track { mark: mark(age, 1).0, progress: 0 };
        let pin = Pin { inside, outside, generation: 1, uplink: B, out: track, ..Pin::default() };
        let key = FlowKey::pinned(&DIGESTS, (inside, PORT), (outside, SERVICE), protocol);
        let uplink = Uplink6 { generation: 1, mode: mode as u8, ..Uplink6::default() };
        let selection = Selection {
            uplinks6: [(A, uplink), (B, uplink)].into(),
            site_prefixes: [(site, SitePrefix { uplinks: BOTH, ..SitePrefix::default() })].into(),
            ..selection(Sticky::Source)
        };
        let mut tables = Fake::default();
        tables.pins.entries.extend([(key, pin)]);
        let found = counts(&mut tables, &selection, Terms::GENTLE);
        assert_eq!(found, expected, "{mode:?} {protocol} {age}");
        let mut rebalancing = begin(&mut tables, &selection, Terms::ALL);
        rebalancing.step(&mut tables, &selection, 9).unwrap();
        assert_eq!(tables.pins.entries[&key], Pin { generation: 0, ..pin });
    }
}
