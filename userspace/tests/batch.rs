//! Reading and changing maps of the kernel in batches, and the sweep over them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aya::EbpfLoader;
use aya::maps::{HashMap, MapData};
use pointsman::config::{TableSizes, Timers};
use pointsman::dataplane::{
    BatchMap, Census, IdleTicks, Layout, OBJECT, SweptMaps, SweptTable, SweptTables as _, sweep,
};
use pointsman_ebpf::abi::{
    Binding, Direction, Epoch, Flow, FlowKey, Host, Ipv4, L4Port, LAN_REALM, Mark,
};

const ENTRIES: u64 = 20_000;
const UDP: u8 = 17;
const NOW: u32 = 100_000;
const HOST: Ipv4 = Ipv4::new([10, 1, 0, 2]);
const PUBLIC: Ipv4 = Ipv4::new([203, 0, 113, 2]);
const SERVER: Ipv4 = Ipv4::new([192, 0, 2, 53]);

fn create() -> HashMap<MapData, u64, [u64; 3]> {
    HashMap::create(2 * ENTRIES as u32, 0).expect("root may create maps")
}

fn value(key: u64) -> [u64; 3] {
    [key, !key, key << 32]
}

fn fill(map: &mut BatchMap<u64, [u64; 3]>, keys: &[u64]) {
    let values: Vec<_> = keys.iter().copied().map(value).collect();
    map.write(keys, &values).unwrap();
}

/// What is read, how often each.
fn read<K: Copy + Ord, V: Copy + PartialEq>(
    table: &mut dyn SweptTable<K, V>,
) -> BTreeMap<K, (V, u32)> {
    let mut found = BTreeMap::new();
    table
        .read(&mut |keys, values| {
            assert_eq!(keys.len(), values.len());
            for (key, value) in keys.iter().zip(values) {
                found.entry(*key).or_insert((*value, 0)).1 += 1;
            }
        })
        .unwrap();
    found
}

#[test]
fn what_is_written_is_read_once_each() {
    let keys: Vec<_> = (0..ENTRIES).collect();
    let expected: BTreeMap<_, _> = keys.iter().map(|key| (*key, (value(*key), 1))).collect();
    // As it is used; one by one, so that most buckets hold more; and all at once.
    for batch in [None, Some(1), Some(2 * ENTRIES as usize)] {
        let map = BatchMap::new("test", create());
        let mut map = match batch {
            Some(entries) => map.in_batches_of(entries),
            None => map,
        };
        assert!(read(&mut map).is_empty());
        fill(&mut map, &keys);
        assert!(read(&mut map) == expected, "in batches of {batch:?}");
        assert_eq!(map.get(&7).unwrap(), Some(value(7)));
        assert_eq!(map.get(&ENTRIES).unwrap(), None);
    }
}

#[test]
fn what_is_written_again_is_replaced() {
    let mut map = BatchMap::new("test", create());
    fill(&mut map, &[1, 2]);
    map.write(&[2, 3], &[[9; 3]; 2]).unwrap();
    let expected = [(1, (value(1), 1)), (2, ([9; 3], 1)), (3, ([9; 3], 1))];
    assert_eq!(read(&mut map), expected.into());
    map.write(&[], &[]).unwrap();
    assert_eq!(read(&mut map), expected.into());
}

#[test]
fn what_is_removed_is_gone_and_what_was_not_there_does_no_harm() {
    let mut map = BatchMap::new("test", create());
    let keys: Vec<_> = (0..ENTRIES).collect();
    fill(&mut map, &keys);
    // Every other one is not there: first, in between, and last.
    let odd: Vec<_> = (0..2 * ENTRIES).filter(|key| key % 2 == 1).collect();
    map.remove(&[u64::MAX]).unwrap();
    map.remove(&odd).unwrap();
    map.remove(&odd).unwrap();
    map.remove(&[]).unwrap();
    let left: Vec<_> = read(&mut map).into_keys().collect();
    assert!(left == (0..ENTRIES).filter(|key| key % 2 == 0).collect::<Vec<_>>());
}

#[test]
fn more_than_there_is_room_for_is_an_error_that_names_the_map() {
    let mut map = BatchMap::new("test", HashMap::create(4, 0).expect("root may create maps"));
    let error = map.write(&[1_u64, 2, 3, 4, 5], &[[0_u64; 3]; 5]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the map test: "), "{error}");
    assert_eq!(read(&mut map).len(), 4);
}

#[test]
fn what_others_change_meanwhile_leaves_the_rest_whole() {
    let other = create();
    // A second descriptor of the same map.
    let id = map_id(&other);
    let mut map = BatchMap::new("test", other);
    let keys: Vec<_> = (0..ENTRIES / 2).collect();
    fill(&mut map, &keys);
    let stop = AtomicBool::new(false);
    let readings = thread::scope(|scope| {
        scope.spawn(|| {
            let data = MapData::from_id(id).unwrap();
            let map = aya::maps::Map::from_map_data(data).unwrap();
            let mut changing: HashMap<MapData, u64, [u64; 3]> = map.try_into().unwrap();
            while !stop.load(Ordering::Relaxed) {
                for key in ENTRIES..ENTRIES + 1000 {
                    changing.insert(key, value(key), 0).unwrap();
                }
                for key in ENTRIES..ENTRIES + 1000 {
                    changing.remove(&key).unwrap();
                }
            }
        });
        let readings: Vec<_> = (0..50).map(|_| read(&mut map)).collect();
        stop.store(true, Ordering::Relaxed);
        readings
    });
    for found in readings {
        let lost = keys.iter().find(|key| found.get(key) != Some(&(value(**key), 1)));
        assert_eq!(lost, None);
        let wrong = found.iter().find(|(key, found)| **found != (value(**key), 1));
        assert_eq!(wrong, None);
    }
}

fn map_id(map: &HashMap<MapData, u64, [u64; 3]>) -> u32 {
    use aya::maps::IterableMap as _;
    map.map().info().unwrap().id()
}

#[test]
fn the_sweep_leaves_in_the_kernel_what_is_in_use() {
    let layout = Layout::new(&TableSizes {
        flows: 100,
        unreplied: 100,
        invited: 100,
        mappings: 100,
        hosts: 100,
        fragments: 100,
        pins: 100,
        unreplied_pins: 100,
        invited_pins: 100,
    });
    let mut loader = EbpfLoader::new();
    layout.apply(&mut loader);
    let mut object = loader.load(OBJECT).expect("the object loads as root");
    let mut tables = SweptMaps::take(&mut object, layout.hash_key, layout.digest_key).unwrap();
    let ports = [(5000, 0), (5001, 500), (5002, 0), (5003, 500)];
    for (port, age) in ports {
        let port = L4Port::from_host(port);
        let (out_key, out) = outward(port, age);
        let back = Flow { address: HOST, direction: Direction::In as u8, ..out };
        tables.established().write(&[out_key, out_key.peer(&out)], &[out, back]).unwrap();
        let none = Ipv4::default();
        let inner = FlowKey::internal((HOST, port), none, UDP, 0);
        let outer = FlowKey::external(none, (PUBLIC, port), UDP, 0);
        let side = |address| Binding { address, port, ..Binding::default() };
        tables.bindings().write(&[inner, outer], &[side(PUBLIC), side(HOST)]).unwrap();
    }
    let (waiting, flow) = outward(L4Port::from_host(5000), 0);
    let elsewhere = FlowKey::new(waiting.from(), (HOST, L4Port::from_host(1)), UDP, LAN_REALM);
    let old = outward(L4Port::from_host(5000), 500).1;
    tables.unreplied().write(&[waiting, elsewhere], &[flow, old]).unwrap();
    tables.invited().write(&[waiting, elsewhere], &[flow, old]).unwrap();
    let gone = Ipv4::new([10, 1, 0, 9]);
    let wrong = Host { mappings: 7, unreplied: 7, placement: 0 };
    tables.hosts().write(&[HOST, gone], &[wrong, wrong]).unwrap();

    let second = Duration::from_secs(1);
    let timers = Timers {
        udp: 120 * second,
        tcp_established: 7440 * second,
        tcp_transitory: 240 * second,
        icmp: 60 * second,
    };
    let census = sweep(&mut tables, NOW, &IdleTicks::from(&timers), &mut || ()).unwrap();
    let expected = Census {
        flows: census.flows,
        established: 4,
        unreplied: 1,
        invited: 1,
        bindings: 4,
        hosts: 1,
        ..Census::default()
    };
    assert_eq!(census, expected);
    let ports = |table: &mut dyn SweptTable<FlowKey, Flow>| {
        let keys = read(table).into_keys().filter(|key| key.realm() == LAN_REALM);
        keys.map(|key| key.source_port().to_host()).collect::<Vec<_>>()
    };
    assert_eq!(ports(tables.established()), [5000, 5002]);
    assert_eq!(ports(tables.unreplied()), [5000]);
    assert_eq!(ports(tables.invited()), [5000]);
    assert_eq!(read(tables.bindings()).len(), 4);
    let counted = Host { mappings: 2, unreplied: 1, placement: 0 };
    assert_eq!(read(tables.hosts()), [(HOST, (counted, 1))].into());
}

/// The outward entry of the host's flow from this port, last used so many ticks ago.
fn outward(port: L4Port, age: u32) -> (FlowKey, Flow) {
    let key = FlowKey::new((HOST, port), (SERVER, L4Port::from_host(53)), UDP, LAN_REALM);
    let flow = Flow {
        mark: Mark::new(NOW - age, Epoch::default(), Mark::ANY).0,
        address: PUBLIC,
        port,
        direction: Direction::Out as u8,
        ..Flow::default()
    };
    (key, flow)
}
