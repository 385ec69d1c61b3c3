use std::cell::RefCell;
use std::collections::BTreeMap;

use pointsman_ebpf::abi::{Ipv4, L4Port, LAN_REALM, LanSide, Mac, MacPair, Progress, ROUTED_SIDE};

use super::*;

const HOST_MAC: [u8; 6] = [2, 0, 0, 1, 0, 2];
const MAC: [u8; 6] = [2, 0, 0, 1, 0, 1];
const LINK: Link = Link { ifindex: 3, vlan: Vlan::NONE };
const UDP: u8 = 17;

/// Both entries of a connection of the host's, that from the LAN first; the other one has noted this sequence
/// number.
fn connection(uplink: u8, sequence: u32) -> [(FlowKey, Flow); 2] {
    let (host, server) = (Ipv4::new([10, 1, 0, 2]), Ipv4::new([192, 0, 2, 53]));
    let end = |address, port| (address, L4Port::from_host(port));
    let key = FlowKey::new(end(host, 5000), end(server, 443), Protocol::TCP, LAN_REALM);
    let out = Flow {
        address: Ipv4::new([203, 0, 113, 2]),
        port: L4Port::from_host(6000),
        uplink,
        lan: LanSide::new(MacPair::new(Mac::new(HOST_MAC), Mac::new(MAC)), 10, 1500),
        ..Flow::default()
    };
    let into = Flow {
        address: host,
        port: L4Port::from_host(5000),
        direction: Direction::In as u8,
        progress: Progress::new(sequence).0,
        ..out
    };
    [(key, out), (key.peer(&out), into)]
}

/// A table that is only read.
struct Entries(Vec<(FlowKey, Flow)>);

impl SweptTable<FlowKey, Flow> for Entries {
    fn read(&mut self, each: &mut dyn FnMut(&[FlowKey], &[Flow])) -> Result<(), TableError> {
        let (keys, flows): (Vec<_>, Vec<_>) = self.0.iter().copied().unzip();
        each(&keys, &flows);
        Ok(())
    }

    fn get(&self, _key: &FlowKey) -> Result<Option<Flow>, TableError> {
        unreachable!("nothing is judged")
    }

    fn remove(&mut self, _keys: &[FlowKey]) -> Result<(), TableError> {
        unreachable!("nothing goes")
    }

    fn write(&mut self, _keys: &[FlowKey], _flows: &[Flow]) -> Result<(), TableError> {
        unreachable!("nothing changes")
    }
}

/// What is done of these, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Sent(u32, Vec<u8>),
    Rested,
}

fn prompted(entries: impl IntoIterator<Item = (FlowKey, Flow)>, link: Link) -> Vec<Done> {
    let order = Prompt { uplinks: 1 << 4, links: BTreeMap::from([(10, link)]) };
    let done = RefCell::new(Vec::new());
    prompt(
        &mut Entries(entries.into_iter().collect()),
        &order,
        &mut |interface, frame| done.borrow_mut().push(Done::Sent(interface, frame.to_vec())),
        &mut || done.borrow_mut().push(Done::Rested),
    )
    .unwrap();
    done.into_inner()
}

#[rustfmt::skip]
const PACKET: [u8; 42] = [
    8, 0,
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x6e, 0x98, 192, 0, 2, 53, 10, 1, 0, 2,
    0x01, 0xbb, 0x13, 0x88, 0x81, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0x4a, 0x53, 0, 0,
];

/// Byte for byte, the checksums by another implementation.
#[test]
fn one_segment_goes_to_the_host_of_a_connection() {
    let frame = [&HOST_MAC[..], &MAC, &PACKET].concat();
    assert_eq!(prompted(connection(4, 0x0102_0304), LINK), [Done::Sent(3, frame)]);
}

#[test]
fn its_frame_has_the_tags_of_the_interface() {
    let tag = Vlan::customer(35).unwrap();
    let both = tag.within(Vlan::service(4094).unwrap()).unwrap();
    for (vlan, tags) in
        [(tag, &[0x81, 0, 0, 35][..]), (both, &[0x88, 0xa8, 0x0f, 0xfe, 0x81, 0, 0, 35])]
    {
        let frame = [&HOST_MAC[..], &MAC, tags, &PACKET].concat();
        assert_eq!(
            prompted(connection(4, 0x0102_0304), Link { vlan, ..LINK }),
            [Done::Sent(3, frame)]
        );
    }
}

/// The number comes round.
#[test]
fn the_number_is_half_of_all_away() {
    let [Done::Sent(_, frame)] = &prompted(connection(4, 0xffff_fff0), LINK)[..] else { panic!() };
    assert_eq!(frame[38..42], [0x7f, 0xff, 0xff, 0xf0]);
}

#[test]
fn nobody_else_is_prompted() {
    let with = |change: fn(&mut Flow)| {
        connection(4, 1).map(|(key, mut flow)| {
            change(&mut flow);
            (key, flow)
        })
    };
    for entries in [
        connection(5, 1),
        with(|flow| flow.opener = Opener::Remote as u8),
        with(|flow| flow.uplink |= ROUTED_SIDE),
        with(|flow| flow.mark = Mark::RST.into()),
        with(|flow| flow.lan = LanSide::default()),
    ] {
        assert_eq!(prompted(entries, LINK), []);
    }
    let datagrams = connection(4, 1)
        .map(|(key, flow)| (FlowKey::new(key.from(), key.to(), UDP, key.realm()), flow));
    assert_eq!(prompted(datagrams, LINK), []);
}

/// A flood of segments, and of answers to them, would take the LAN's turn.
#[test]
fn many_are_prompted_a_few_at_a_time() {
    let many = (0..AT_ONCE as u16 * 2).map(|port| {
        let [_, (key, flow)] = connection(4, 1);
        let from = (key.source(), L4Port::from_host(port));
        (FlowKey::new(from, key.to(), key.protocol(), key.realm()), flow)
    });
    let done = prompted(many, LINK);
    let rested = done.iter().enumerate().filter(|(_, done)| **done == Done::Rested);
    let rested: Vec<_> = rested.map(|(at, _)| at).collect();
    assert_eq!(rested, [AT_ONCE, 2 * AT_ONCE + 1]);
}
