//! The fuzzer's sequences: the loaded object keeps its own state from packet to packet, as the host
//! does.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pointsman_ebpf::abi::Counter;
use pointsman_ebpf::memory::sequence::{Player, Profile, Sequence, generate};
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::{MemoryTables, Random};

use crate::kernel::{ENTRIES, Kernel, SHORTEST, action, since};
use crate::shrink::shrink;
use crate::tables::{Flows, Written};

/// How many steps are played, at least. A packet takes some 25 ms.
pub(crate) const STEPS: usize = 2000;

#[test]
fn the_kernel_does_what_the_host_does() {
    let mut kernel = Kernel::load(ENTRIES, ENTRIES);
    let mut written = Written::default();
    let mut play = |sequence: &Sequence| play(&mut kernel, &mut written, sequence);
    let (mut random, mut steps) = (Random::new(4), 0);
    while steps < STEPS {
        let sequence = generate(&mut random, Profile::Kernel);
        steps += sequence.steps.len();
        if play(&sequence).is_err() {
            let (sequence, (step, what)) = shrink(&sequence, play);
            panic!("at step {step}: {what}\nof\n{sequence:?}");
        }
    }
}

/// Plays a sequence to the host and to the loaded object, which gets the host's tables before.
///
/// # Errors
/// At which step, and how, what comes of it differs.
fn play(
    kernel: &mut Kernel,
    written: &mut Written,
    sequence: &Sequence,
) -> Result<(), (usize, String)> {
    let mut tables = sequence.setup.tables();
    // The clocks differ, and with them what a bucket of tokens holds.
    if let Some(settings) = &mut tables.settings {
        settings.icmp_burst = 0;
    }
    kernel.write(&tables, lan::IFINDEX, written);
    let counted = kernel.counters();
    let mut before = Flows::of(&tables);
    let mut player = Player::default();
    let tagging = sequence.setup.tagging;
    let is_played = |frame: &[u8]| frame.len() >= SHORTEST && tagging.is_neutral(frame);
    for (number, step) in sequence.steps.iter().enumerate() {
        let input = player.frame(step).filter(|(_, frame)| is_played(frame));
        let Some((came, frame)) = input else {
            player.played(None, None);
            // All that happens besides packets, in sequences for the kernel.
            step.apply(&mut tables, &sequence.setup);
            kernel.set("SWITCH", 0, tables.switch());
            continue;
        };
        before = Flows::of(&tables);
        let input = tagging.tagged(came, &frame);
        let mut expected = input.clone();
        let verdict = tables.run(&mut expected, came.ifindex());
        kernel.set_ingress(&tables, came.ifindex());
        let (action, output) = kernel.run(&input);
        if (action, &output) != (self::action(verdict), &expected) {
            let what = format!(
                "{input:02x?}\nby {came:?}: {verdict:?} on the host, with\n{expected:02x?}, and \
                 {action} in the kernel, with\n{output:02x?}\n{tables}"
            );
            return Err((number, what));
        }
        let left = tagging.untagged(came, verdict, expected).unwrap();
        player.played(Some((came, frame)), Some((verdict, &left)));
    }
    let counted = since(kernel.counters(), &counted);
    catch_unwind(AssertUnwindSafe(|| assert_same(kernel, &tables, &counted, &before)))
        .map_err(|panic| (sequence.steps.len() - 1, said(&*panic)))
}

/// Asserts that counters and tables are the host's.
pub(crate) fn assert_same(
    kernel: &mut Kernel,
    tables: &MemoryTables,
    counted: &BTreeMap<u32, Counter>,
    before: &Flows,
) {
    let counts: BTreeMap<u32, Counter> =
        tables.counts().iter().map(|(id, counter)| (id.index(), counter)).collect();
    assert_eq!(*counted, counts, "on the host:\n{}", tables.counts());
    kernel.assert_holds(tables, before);
}

/// What a panic says.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic, see above".to_owned())
}
