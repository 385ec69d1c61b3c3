use std::collections::HashMap;

use pointsman_ebpf::abi::{Epoch, Ipv4, L4Port, LAN_REALM};

use super::*;

const UDP: u8 = 17;
const NOW: u32 = 100_000;
const IDLE: IdleTicks =
    IdleTicks { udp: 120, tcp_established: 7440, tcp_transitory: 240, icmp: 60 };
const HOST: Ipv4 = Ipv4::new([10, 1, 0, 2]);
const SERVER: Ipv4 = Ipv4::new([192, 0, 2, 53]);

#[derive(Default)]
struct Table(HashMap<FlowKey, Flow>);

impl FlowTable for Table {
    fn keys(&self) -> impl Iterator<Item = Result<FlowKey, TableError>> {
        self.0.keys().copied().map(Ok)
    }

    fn get(&self, key: &FlowKey) -> Result<Option<Flow>, TableError> {
        Ok(self.0.get(key).copied())
    }

    fn remove(&mut self, key: &FlowKey) -> Result<(), TableError> {
        self.0.remove(key);
        Ok(())
    }
}

fn mark(age: u32, seen: u32) -> Mark {
    Mark::new(NOW - age, Epoch::default(), seen)
}

/// The entries of a flow through this uplink, last seen so long ago.
fn pair(protocol: u8, uplink: u8, out: Mark, back: Mark) -> [(FlowKey, Flow); 2] {
    let public = Ipv4::new([203, 0, 113, uplink]);
    let (port, service) = (L4Port::from_host(5000), L4Port::from_host(80));
    let key = FlowKey::new((HOST, port), (SERVER, service), protocol, LAN_REALM);
    let flow = Flow {
        mark: out.0,
        address: public,
        port,
        uplink,
        direction: Direction::Out as u8,
        ..Flow::default()
    };
    let reply = Flow {
        mark: back.0,
        address: HOST,
        port,
        uplink,
        direction: Direction::In as u8,
        ..Flow::default()
    };
    [(key, flow), (key.peer(&flow), reply)]
}

fn sweep_all(table: &mut Table) -> usize {
    sweep(table, NOW, &IDLE, || ()).expect("the table has no errors")
}

#[test]
fn a_flow_goes_when_both_directions_are_idle() {
    for (out, back, left) in [(121, 121, 0), (121, 120, 2), (120, 121, 2), (5, 90_000, 2)] {
        let mut table = Table(pair(UDP, 1, mark(out, 1), mark(back, 1)).into());
        assert_eq!(sweep_all(&mut table), left, "{out} and {back}");
        assert_eq!(table.0.len(), left);
    }
}

#[test]
fn tcp_has_two_timers() {
    let ack = Mark::ACK;
    for (out, back, timer) in [
        (ack, ack, IDLE.tcp_established),
        (0, ack, IDLE.tcp_transitory),
        (ack, 0, IDLE.tcp_transitory),
        (ack | Mark::FIN, ack, IDLE.tcp_established),
        (ack | Mark::FIN, ack | Mark::FIN, IDLE.tcp_transitory),
        (ack, ack | Mark::RST, IDLE.tcp_transitory),
    ] {
        for (age, left) in [(timer, 2), (timer + 1, 0)] {
            let mut table = Table(pair(TCP, 1, mark(age, out), mark(age, back)).into());
            assert_eq!(sweep_all(&mut table), left, "{out:b}, {back:b} after {age}");
        }
    }
}

#[test]
fn icmp_has_its_own_timer() {
    for (age, left) in [(60, 2), (61, 0)] {
        let mut table = Table(pair(ICMP, 1, mark(age, 1), mark(age, 1)).into());
        assert_eq!(sweep_all(&mut table), left);
    }
}

#[test]
fn what_a_moved_flow_left_behind_goes_by_itself() {
    let seen = Mark::ACK;
    let before = pair(TCP, 1, mark(300, seen), mark(300, seen));
    let after = pair(TCP, 2, mark(5, seen), mark(5, seen));
    let mut table = Table(before.into_iter().chain(after).collect());
    assert_eq!(table.0.len(), 3);
    assert_eq!(sweep_all(&mut table), 2);
    assert!(!table.0.contains_key(&before[1].0));
}

#[test]
fn half_a_flow_goes_after_the_shorter_time() {
    for half in [0, 1] {
        let entry = pair(TCP, 1, mark(241, Mark::ACK), mark(241, Mark::ACK))[half];
        assert_eq!(sweep_all(&mut Table([entry].into())), 0);
    }
}

#[test]
fn a_flow_that_is_used_while_it_is_removed_stays() {
    let entries = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let victim = |table: &Table| judge(table, &entries[0].0, NOW, &IDLE).unwrap().unwrap();
    for (used, left) in [(0, 2), (1, 1)] {
        let mut table = Table(entries.into());
        let victim = victim(&table);
        table.0.get_mut(&entries[used].0).unwrap().mark = mark(0, 1).0;
        remove(&mut table, &victim).unwrap();
        assert_eq!(table.0.len(), left);
        assert!(table.0.contains_key(&entries[1].0));
    }
}

/// A table in which a packet makes the outward entry again when the inward one is about to go, and
/// another packet perhaps the whole flow right after that.
struct Reopened {
    table: Table,
    entries: [(FlowKey, Flow); 2],
    wholly: bool,
}

impl FlowTable for Reopened {
    fn keys(&self) -> impl Iterator<Item = Result<FlowKey, TableError>> {
        self.table.keys()
    }

    fn get(&self, key: &FlowKey) -> Result<Option<Flow>, TableError> {
        self.table.get(key)
    }

    fn remove(&mut self, key: &FlowKey) -> Result<(), TableError> {
        self.table.remove(key)?;
        let [out, back] = self.entries;
        if *key == back.0 {
            self.table.0.extend([out]);
            if self.wholly {
                self.table.0.extend([back]);
            }
        }
        Ok(())
    }
}

#[test]
fn a_flow_that_is_reopened_while_it_is_removed_is_whole_or_gone() {
    let idle = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let entries = pair(UDP, 1, mark(0, 1), mark(0, 1));
    for (wholly, left) in [(false, 0), (true, 2)] {
        let mut table = Reopened { table: Table(idle.into()), entries, wholly };
        sweep(&mut table, NOW, &IDLE, || ()).unwrap();
        assert_eq!(table.table.0.len(), left);
    }
}

#[test]
fn a_flow_that_has_moved_stays_when_its_old_reservation_goes() {
    let [_, old] = pair(UDP, 1, mark(500, 1), mark(500, 1));
    let entries = pair(UDP, 2, mark(0, 1), mark(0, 1));
    let mut table = Table(entries.into_iter().chain([old]).collect());
    assert_eq!(sweep_all(&mut table), 2);
    assert!(entries.iter().all(|(key, _)| table.0.contains_key(key)));
}

#[test]
fn a_data_plane_that_is_a_tick_ahead_does_no_harm() {
    let ahead = Mark::new(NOW + 1, Epoch::default(), 1);
    let mut table = Table(pair(UDP, 1, ahead, ahead).into());
    assert_eq!(sweep_all(&mut table), 2);
}

#[test]
fn parts_of_a_second_are_not_cut_off() {
    let timers = Timers {
        udp: std::time::Duration::from_millis(1500),
        tcp_established: std::time::Duration::from_secs(7440),
        tcp_transitory: std::time::Duration::from_secs(240),
        icmp: std::time::Duration::from_secs(60),
    };
    let idle = IdleTicks::from(&timers);
    assert_eq!(idle.udp, seconds_to_ticks(2) + MARK_LAG);
    assert_eq!(idle.icmp, seconds_to_ticks(60) + MARK_LAG);
}

#[test]
fn the_work_is_done_in_slices() {
    let entries = (0..3000_u16).map(|port| {
        let [(_, flow), _] = pair(UDP, 1, mark(500, 1), mark(500, 1));
        let (from, to) = ((HOST, L4Port::from_host(port)), (SERVER, L4Port::from_host(80)));
        (FlowKey::new(from, to, UDP, LAN_REALM), flow)
    });
    let mut table = Table(entries.collect());
    let mut pauses = 0;
    assert_eq!(sweep(&mut table, NOW, &IDLE, || pauses += 1).unwrap(), 0);
    assert_eq!(pauses, 4);
}
