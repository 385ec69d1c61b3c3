//! How long a pass of the sweep takes over maps of the kernel with a million flows, as root:
//! `cargo bench --package pointsman --bench sweep`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::EbpfLoader;
use nix::time::{ClockId, clock_gettime};
use pointsman::config::{TableSizes, Timers};
use pointsman::dataplane::{
    Census, IdleTicks, Layout, OBJECT, SweptMaps, SweptTable, SweptTables as _, sweep,
};
use pointsman_ebpf::abi::{
    Binding, Direction, Epoch, Flow, FlowKey, Ipv4, L4Port, LAN_REALM, Mark,
};

const FLOWS: u32 = 1_000_000;
const UNREPLIED: u32 = 65_536;
const TCP: u8 = 6;
/// The time of the pass, in ticks.
const NOW: u32 = 1_000_000;
/// When everything was used last: too long ago for a mapping without a flow, and for a connection
/// that is not established.
const USED: u32 = NOW - 1000;
const PUBLIC_ADDRESSES: u32 = 16;
const TIMERS: Timers = Timers {
    udp: Duration::from_secs(120),
    tcp_established: Duration::from_secs(7440),
    tcp_transitory: Duration::from_secs(240),
    icmp: Duration::from_secs(60),
};

fn main() -> Result<()> {
    println!("{:34} {:>9} {:>9} {:>9} {:>9}", "one pass", "entries", "CPU s", "wall s", "peak MB");
    for (name, per_mapping, seen) in [
        ("1,000,000 flows, a mapping each", 1, Mark::ACK),
        ("1,000,000 flows, 100 a mapping", 100, Mark::ACK),
        ("1,000,000 flows, all to be removed", 1, Mark::ANY),
    ] {
        let mut tables = load()?;
        fill(&mut tables, per_mapping, seen)?;
        measure(name, &mut tables, per_mapping, seen)?;
    }
    Ok(())
}

fn load() -> Result<SweptMaps> {
    let layout = Layout::new(&TableSizes {
        flows: 2 * FLOWS,
        unreplied: UNREPLIED,
        invited: 16_384,
        mappings: FLOWS,
        hosts: 4096,
        fragments: 4096,
        pins: FLOWS,
        unreplied_pins: 1024,
        invited_pins: 1024,
    });
    let mut loader = EbpfLoader::new();
    layout.apply(&mut loader);
    let mut object =
        loader.load(OBJECT).context("the maps need root, and memory for a million flows")?;
    Ok(SweptMaps::take(&mut object, layout.hash_key, layout.digest_key)?)
}

/// The LAN's end of a flow, and its public one.
fn ends(mapping: u32) -> ((Ipv4, L4Port), (Ipv4, L4Port)) {
    let port = L4Port::from_host((1024 + mapping / PUBLIC_ADDRESSES % 64_000) as u16);
    let host = Ipv4::new((0x0a00_0000 + mapping % PUBLIC_ADDRESSES).to_be_bytes());
    let public = Ipv4::new((0xcb00_7100 + mapping % PUBLIC_ADDRESSES).to_be_bytes());
    ((host, port), (public, port))
}

fn remote(number: u32) -> (Ipv4, L4Port) {
    (Ipv4::new((0x5000_0000 + number).to_be_bytes()), L4Port::from_host(443))
}

fn outward(number: u32, per_mapping: u32, mark: Mark) -> (FlowKey, Flow) {
    let (host, (address, port)) = ends(number / per_mapping);
    let key = FlowKey::new(host, remote(number), TCP, LAN_REALM);
    let direction = Direction::Out as u8;
    (key, Flow { mark: mark.0, generation: 1, address, port, direction, ..Flow::default() })
}

fn fill(tables: &mut SweptMaps, per_mapping: u32, seen: u32) -> Result<()> {
    let mark = Mark::new(USED, Epoch::default(), seen);
    write(tables.established(), FLOWS, |number| {
        let (key, out) = outward(number, per_mapping, mark);
        let (address, port) = key.from();
        let back = Flow { address, port, direction: Direction::In as u8, ..out };
        [(key, out), (key.peer(&out), back)]
    })?;
    write(tables.bindings(), FLOWS / per_mapping, |number| {
        let (host, public) = ends(number);
        let side = |(address, port)| {
            let used = USED.into();
            Binding { used, generation: 1, address, port, ..Binding::default() }
        };
        let none = Ipv4::default();
        [
            (FlowKey::internal(host, none, TCP, 0), side(public)),
            (FlowKey::external(none, public, TCP, 0), side(host)),
        ]
    })?;
    write(tables.unreplied(), UNREPLIED, |number| {
        [outward(FLOWS + number, FLOWS, Mark::new(NOW, Epoch::default(), Mark::ANY))]
    })
}

fn write<K, V, const N: usize>(
    table: &mut dyn SweptTable<K, V>,
    count: u32,
    entries: impl Fn(u32) -> [(K, V); N],
) -> Result<()> {
    const BATCH: u32 = 10_000;
    for first in (0..count).step_by(BATCH as usize) {
        let numbers = first..count.min(first + BATCH);
        let (keys, values): (Vec<_>, Vec<_>) = numbers.flat_map(&entries).unzip();
        table.write(&keys, &values)?;
    }
    Ok(())
}

fn measure(name: &str, tables: &mut SweptMaps, per_mapping: u32, seen: u32) -> Result<()> {
    let idle = IdleTicks::from(&TIMERS);
    // As many as there was room for: each pushes out another of its set.
    let mut unreplied = 0;
    tables.unreplied().read(&mut |keys, _| unreplied += keys.len())?;
    ensure!(unreplied > UNREPLIED as usize * 9 / 10, "only {unreplied} flows are unanswered");
    let (cpu, wall) = (cpu_time()?, Instant::now());
    let census = sweep(tables, NOW, &idle, &mut || ())?;
    let (cpu, wall) = (cpu_time()? - cpu, wall.elapsed());
    let stays = usize::from(seen == Mark::ACK);
    let mappings = (FLOWS / per_mapping) as usize;
    let expected = Census {
        flows: census.flows,
        established: 2 * FLOWS as usize * stays,
        unreplied,
        invited: 0,
        // All unanswered flows are by one mapping.
        bindings: 2 * (mappings * stays).max(1),
        hosts: census.hosts,
        ..Census::default()
    };
    ensure!(census == expected, "the pass has left {census:?}, not {expected:?}");
    let entries = 2 * (FLOWS as usize + mappings) + unreplied;
    println!(
        "{name:34} {entries:>9} {:>9.3} {:>9.3} {:>9}",
        cpu.as_secs_f64(),
        wall.as_secs_f64(),
        peak_memory()? / 1_000_000,
    );
    Ok(())
}

fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The most memory that the process has had so far, in bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("/proc/self/status has no VmHWM")?.trim().parse::<u64>()? * 1000)
}
