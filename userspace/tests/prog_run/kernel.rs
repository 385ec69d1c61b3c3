//! The loaded object, and packets run through it.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData, PerCpuArray, ProgramArray, xdp::DevMap};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use pointsman::config::TableSizes;
use pointsman::dataplane::{Frames, Layout, OBJECT, SweptMaps, load_stages};
use pointsman_ebpf::abi::{COUNTERS, Counter, PORT_SLOTS};
use pointsman_ebpf::memory::DIGEST_KEY;
use pointsman_ebpf::table::WAYS;
use pointsman_ebpf::verdict::Verdict;

use crate::hosts::HOSTS;

/// A test run comes in by the loopback interface.
pub(crate) const LOOPBACK: u32 = 1;

/// The shortest frame that a test run takes, in bytes: an Ethernet header.
pub(crate) const SHORTEST: usize = 14;

/// `xdp_action`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// Tables of flows and mappings are made this small: a case has few, and reads them all.
pub(crate) const ENTRIES: u32 = 4096;

/// The action of a verdict.
pub(crate) fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Forward { .. } | Verdict::Lan { .. } | Verdict::Answer { .. } => XDP_REDIRECT,
        Verdict::Pass(_) => XDP_PASS,
        Verdict::Drop(_) | Verdict::Heard => XDP_DROP,
    }
}

/// The loaded object.
pub(crate) struct Kernel {
    pub(crate) object: Ebpf,
    pub(crate) tables: SweptMaps,
    /// How many entries that are nobody's stand in the tables of established flows and of mappings.
    pub(crate) fillers: [u32; 2],
    /// Its entries live as long as somebody in userspace holds it.
    _stages: ProgramArray<MapData>,
}

impl Kernel {
    /// Loads the object, its tables empty, with room for so many entries of established flows and of
    /// mappings, and connects its stages. A set is the least that a table has; where there is to be
    /// room for less, the rest of it is filled.
    pub(crate) fn load(established: u32, bindings: u32) -> Self {
        let filler = |entries: u32| WAYS.saturating_sub(entries);
        let fillers = [filler(established), filler(bindings)];
        let mut layout = Layout::new(&TableSizes {
            flows: established,
            unreplied: ENTRIES,
            invited: ENTRIES,
            // Of two sides each.
            mappings: bindings.div_ceil(2),
            hosts: ENTRIES,
            fragments: ENTRIES,
            pins: ENTRIES,
            unreplied_pins: ENTRIES,
            invited_pins: ENTRIES,
        });
        layout.digest_key = DIGEST_KEY;
        let mut loader = EbpfLoader::new();
        layout.apply(&mut loader);
        let mut object = loader.load(OBJECT).expect("the object loads as root");
        let stages = load_stages(&mut object).expect("the verifier accepts every stage");
        let tables = SweptMaps::take(&mut object, layout.hash_key, layout.digest_key).unwrap();
        let egress = object.map_mut("EGRESS").unwrap();
        let mut egress = DevMap::<&mut MapData>::try_from(egress).unwrap();
        for slot in 0..PORT_SLOTS as u32 {
            // A test run redirects nothing; any interface will do.
            egress.set(slot, LOOPBACK, None, 0).unwrap();
        }
        Self { object, tables, fillers, _stages: stages }
    }

    /// Writes an element of an array.
    pub(crate) fn set<T: Pod>(&mut self, map: &str, index: u32, value: T) {
        let map = self.object.map_mut(map).unwrap();
        Array::<&mut MapData, T>::try_from(map).unwrap().set(index, value, 0).unwrap();
    }

    /// Runs a frame, of at least [`SHORTEST`] bytes: what the program returns, and the frame that it
    /// leaves.
    ///
    /// Either of the programs that are attached to interfaces must do with any frame. Which of them this one
    /// gets, its bytes decide, so that of all the frames there are each gets half.
    pub(crate) fn run(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        let choice = frame.iter().fold(0, |parity, byte| parity ^ byte) & 1;
        let first = Frames::ALL[usize::from(choice)].first();
        let program = program(&mut self.object, first.program());
        let mut output = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut output);
        let result = HOSTS.namespace.run(|| program.test_run(options)).unwrap();
        let length = result.data_size_out as usize;
        output.truncate(length);
        (result.return_value, output)
    }

    /// The counters that are not zero, by index, summed over the CPUs.
    pub(crate) fn counters(&self) -> BTreeMap<u32, Counter> {
        let map = self.object.map("COUNTER").unwrap();
        let counters = PerCpuArray::<&MapData, Counter>::try_from(map).unwrap();
        let add = |sum: Counter, counter: &Counter| Counter {
            packets: sum.packets + counter.packets,
            bytes: sum.bytes + counter.bytes,
        };
        (0..COUNTERS)
            .map(|index| {
                let values = counters.get(&index, 0).unwrap();
                (index, values.iter().fold(Counter::default(), add))
            })
            .filter(|(_, counter)| *counter != Counter::default())
            .collect()
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    let program = object.program_mut(name);
    program.unwrap_or_else(|| panic!("no program {name}")).try_into().unwrap()
}

/// What was counted since `earlier`.
pub(crate) fn since(
    now: BTreeMap<u32, Counter>,
    earlier: &BTreeMap<u32, Counter>,
) -> BTreeMap<u32, Counter> {
    let delta = now.into_iter().map(|(index, now)| {
        let then = earlier.get(&index).copied().unwrap_or_default();
        let counter =
            Counter { packets: now.packets - then.packets, bytes: now.bytes - then.bytes };
        (index, counter)
    });
    delta.filter(|(_, counter)| *counter != Counter::default()).collect()
}
