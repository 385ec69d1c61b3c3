//! Plays a sequence of IPv6 to the path and to the model.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::catch_unwind;

use pointsman_ebpf::abi::FlowKey;
use pointsman_ebpf::memory::sequence::{Interface, Tagging};
use pointsman_ebpf::memory::sequence6::{Player6, Sequence6, Step6};
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::{Counts, MemoryTables, PIN_TABLES, verify6};
use pointsman_ebpf::verdict::Verdict;

use super::model6::Model6;
use super::model6::mapping::Observed;
use super::model6::packet;
use super::model6::site::Id;
use super::model6::state::First;
use super::run::{Difference, Played, differ, is_same, watch_buckets};
use super::{bindings6, invariants6, plain6};

/// Plays the sequence; a panic is a difference too. `thorough` compares all that both remember after
/// every step, else after the last one.
pub(crate) fn run(sequence: &Sequence6, thorough: bool) -> Result<Played, Difference> {
    catch_unwind(|| play_all(sequence, thorough)).unwrap_or_else(|_| {
        let step = sequence.steps.len() - 1;
        Err(Difference { step, what: "a panic, see above".to_owned(), tables: String::new() })
    })
}

fn play_all(sequence: &Sequence6, thorough: bool) -> Result<Played, Difference> {
    let mut tables = sequence.setup.tables();
    let ranking = watch_buckets(&mut tables);
    let mut model = Model6::new(&sequence.setup);
    let mut player = Player6::default();
    let last = sequence.steps.len() - 1;
    for (number, step) in sequence.steps.iter().enumerate() {
        let tagging = sequence.setup.tagging;
        let result = play(step, &mut tables, &mut model, &mut player, tagging, &ranking);
        let result = result.and_then(|()| {
            if thorough || number == last { compare_state(&tables, &model) } else { Ok(()) }
        });
        result.map_err(|what| Difference {
            step: number,
            what,
            tables: format!("{tables}\n{:#?}", plain6::pins(&tables)),
        })?;
    }
    Ok(Played { counts: tables.counts() })
}

fn play(
    step: &Step6,
    tables: &mut MemoryTables,
    model: &mut Model6,
    player: &mut Player6,
    tagging: Tagging,
    ranking: &Cell<Option<[Id; 2]>>,
) -> Result<(), String> {
    let input = player.frame(step).filter(|(_, frame)| tagging.is_neutral(frame));
    let Some((came, frame)) = input else {
        player.played(None, None);
        step.apply(tables);
        model.apply(step);
        if let Step6::Sweep(salt) = step {
            let swept = model.sweep(*salt);
            bindings6::sweep(tables, &model.state.mappings);
            for (table, keys) in PIN_TABLES.into_iter().zip(swept) {
                for key in keys {
                    tables.ipv6.remove_pin(table, &plain6::pin_key(&key));
                }
            }
        }
        return Ok(());
    };
    ranking.set(None);
    let before = tables.counts();
    let mut output = tagging.tagged(came, &frame);
    let len = output.len();
    let verdict = tables.run(&mut output, came.ifindex());
    let output = tagging
        .untagged(came, verdict, output)
        .ok_or_else(|| format!("{verdict:?}: not with the tags of its interface: {frame:02x?}"))?;
    model.ranking = ranking.get();
    model.observed = observed(tables, came, &frame, verdict);
    let outcome = model.packet(came, &frame);
    let mut wrong = std::mem::take(&mut model.faults);
    if verdict != outcome.verdict {
        wrong.push(format!("the path says {verdict:?}, the model {:?}", outcome.verdict));
    } else if !is_same(&output, &outcome) {
        wrong.push(format!(
            "{verdict:?}: the path's frame, then the model's\n   {output:02x?}\n   {:02x?}",
            outcome.frame
        ));
    }
    wrong.extend(invariants6::check(came, &frame, verdict, &output, model).err());
    wrong.extend(check_sums(&frame, verdict, &output).err());
    let counted = tables.counts().since(&before);
    if counted != Counts::of(verdict, len) {
        wrong.push(format!("{verdict:?} is counted as\n{counted}"));
    }
    if !wrong.is_empty() {
        return Err(format!("{}\n   of {frame:02x?} by {came:?}", wrong.join("\n")));
    }
    player.played(Some((came, frame)), Some((verdict, &output)));
    Ok(())
}

/// What the gateway has made of a mapping for the packet.
fn observed(tables: &MemoryTables, came: Interface, frame: &[u8], verdict: Verdict) -> Observed {
    let reason = match verdict {
        Verdict::Drop(reason) | Verdict::Answer { reason, .. } => Some(reason),
        _ => None,
    };
    let packet = packet::read(frame, came, lan::MAC).ok();
    let ports = packet.map(|packet| bindings6::ports(tables, &packet)).unwrap_or_default();
    Observed { ports, reason }
}

/// Whatever was right stays right, and what the gateway says itself is right.
fn check_sums(frame: &[u8], verdict: Verdict, output: &[u8]) -> Result<(), String> {
    match verdict {
        Verdict::Forward { .. } if verify6(frame).is_ok() => verify6(output),
        // What it quotes may be as wrong as it came.
        Verdict::Answer { .. } if verify6(frame).is_ok() => verify6(output),
        _ => Ok(()),
    }
}

/// Compares all that both remember.
fn compare_state(tables: &MemoryTables, model: &Model6) -> Result<(), String> {
    let mut text = String::new();
    let names = ["established", "unreplied", "invited"];
    for ((name, path), table) in names.iter().zip(plain6::pins(tables)).zip(&model.state.pins) {
        differ(&mut text, name, &path, &table.all());
    }
    let wanted = model.state.fragments.iter();
    let wanted: BTreeMap<FlowKey, First> =
        wanted.map(|(key, first)| (plain6::fragment_key(key), *first)).collect();
    differ(&mut text, "fragments", &plain6::fragments(tables), &wanted);
    let mappings = &model.state.mappings;
    differ(&mut text, "mappings", &bindings6::entries(tables), &bindings6::wanted(mappings));
    differ(&mut text, "hosts", &bindings6::counts(tables), &bindings6::wanted_counts(mappings));
    if text.is_empty() { Ok(()) } else { Err(text) }
}
