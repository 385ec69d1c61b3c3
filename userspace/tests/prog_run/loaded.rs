//! What the loaded object does with the packets of a case.

use std::collections::BTreeMap;
use std::sync::Mutex;

use pointsman_ebpf::abi::Counter;
use pointsman_ebpf::memory::{Counts, Liveness, MemoryTables, Random};
use pointsman_ebpf::verdict::Verdict;

use crate::cases::Room;
use crate::handshakes::Counted;
use crate::kernel::{ENTRIES, Kernel, SHORTEST, action, since};
use crate::tables::{Flows, Written};

/// Objects that no packet runs through at present: as many as threads run cases. Every packet finds
/// the tables that its case has, whichever it gets.
static IDLE: Mutex<Vec<Object>> = Mutex::new(Vec::new());

/// A loaded object.
struct Object {
    kernel: Kernel,
    room: Room,
    written: Written,
}

/// What the loaded object has done with a packet.
pub(crate) struct Loaded {
    /// Nothing where it cannot run.
    outcome: Option<Outcome>,
    input_len: usize,
    before: (Flows, Liveness),
    handshakes: Counted,
    random: Random,
}

struct Outcome {
    action: u32,
    output: Vec<u8>,
    counted: BTreeMap<u32, Counter>,
    /// What handshakes had been counted before it.
    timed: Counted,
    /// Where it has left its traces.
    object: Object,
}

impl Loaded {
    /// Whether a packet takes long.
    pub(crate) const IS_SLOW: bool = true;

    /// Before the packet runs on the host: the loaded object gets the same tables, and the packet.
    pub(crate) fn run(tables: &MemoryTables, room: Room, ifindex: u32, input: &[u8]) -> Self {
        // The kernel has no map without room.
        let can_run = input.len() >= SHORTEST && room.established != 0 && room.bindings != 0;
        let outcome = can_run.then(|| Outcome::of(tables, room, ifindex, input));
        Self {
            outcome,
            input_len: input.len(),
            before: (Flows::of(tables), Liveness::of(tables)),
            handshakes: Counted::on_host(tables),
            random: tables.random_state(),
        }
    }

    /// After it has: all that became of it must be the same. Nothing can be said of a packet for
    /// which random numbers were drawn.
    pub(crate) fn check(self, tables: &MemoryTables, verdict: Verdict, output: &[u8]) {
        let Some(mut outcome) = self.outcome else { return };
        if self.random == tables.random_state() {
            assert_eq!(outcome.action, action(verdict), "in the kernel, of {verdict:?}\n{tables}");
            let got = &outcome.output;
            let frames = format!("in the kernel {got:02x?}\n on the host {output:02x?}");
            assert_eq!(got, output, "\n {frames}\n{tables}");
            let counts = Counts::of(verdict, self.input_len);
            let wanted: BTreeMap<u32, Counter> =
                counts.iter().map(|(id, counter)| (id.index(), counter)).collect();
            assert_eq!(outcome.counted, wanted, "in the kernel, of {verdict:?}\n{tables}");
            let (flows, liveness) = &self.before;
            outcome.object.kernel.assert_holds(tables, flows);
            outcome.object.kernel.assert_hears(tables, liveness);
        }
        // Whatever else was drawn, it is the same handshake.
        let Object { kernel, written, .. } = &mut outcome.object;
        written.attempts.extend(tables.attempts().into_keys());
        kernel.assert_times(tables, written, &self.handshakes, &outcome.timed);
        // One in which something has failed is not used again.
        IDLE.lock().unwrap().push(outcome.object);
    }
}

impl Outcome {
    /// What becomes of a packet that finds these tables.
    fn of(tables: &MemoryTables, room: Room, ifindex: u32, input: &[u8]) -> Self {
        let mut object = Object::take(room);
        let Object { kernel, written, .. } = &mut object;
        kernel.write(tables, ifindex, written);
        let timed = kernel.write_attempts(tables, written);
        let earlier = kernel.counters();
        let (action, output) = kernel.run(input);
        let counted = since(kernel.counters(), &earlier);
        Self { action, output, counted, timed, object }
    }
}

impl Object {
    /// An idle one with this room, or a new one.
    fn take(room: Room) -> Self {
        let mut idle = IDLE.lock().unwrap();
        if let Some(place) = idle.iter().position(|object| object.room == room) {
            return idle.swap_remove(place);
        }
        drop(idle);
        let kernel = Kernel::load(room.established.min(ENTRIES), room.bindings.min(ENTRIES));
        Self { kernel, room, written: Written::default() }
    }
}
