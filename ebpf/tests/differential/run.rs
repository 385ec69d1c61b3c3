//! Plays a sequence to the path and to the model.

use std::cell::Cell;
use std::fmt::{Debug, Write as _};
use std::panic::catch_unwind;
use std::rc::Rc;

use pointsman_ebpf::memory::sequence::{End, Interface, Player, Sequence, Step};
use pointsman_ebpf::memory::{Counts, MemoryTables};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::invariants;
use super::model::site::{Id, Site};
use super::model::state::{Flow, MappingKey, State, Traffic};
use super::model::{Choices, Model, Outcome};
use super::plain;

/// Where path and model differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The step's index.
    pub(crate) step: usize,
    /// What differs.
    pub(crate) what: String,
    /// What the path's tables hold.
    pub(crate) tables: String,
}

/// What was played without a difference.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) counts: Counts,
}

/// What the gateway under test has done with the last packet.
struct Observed<'a> {
    tables: &'a MemoryTables,
    ranking: Option<[Id; 2]>,
    verdict: Verdict,
}

impl Choices for Observed<'_> {
    fn ranking(&self) -> Option<[Id; 2]> {
        self.ranking
    }

    fn public(&self, mapping: &MappingKey, generation: u32) -> Option<End> {
        let binding = self.tables.binding(&plain::inner_key(mapping))?;
        let is_new = binding.generation == generation;
        is_new.then(|| plain::end((binding.address, binding.port)))
    }

    fn reason(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Drop(reason) | Verdict::Answer { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// Plays the sequence; a panic is a difference too. `thorough` compares all that both remember after every step, else after the
/// last one.
pub(crate) fn run(sequence: &Sequence, thorough: bool) -> Result<Played, Difference> {
    catch_unwind(|| play_all(sequence, thorough)).unwrap_or_else(|_| {
        let step = sequence.steps.len() - 1;
        Err(Difference { step, what: "a panic, see above".to_owned(), tables: String::new() })
    })
}

fn play_all(sequence: &Sequence, thorough: bool) -> Result<Played, Difference> {
    let mut tables = sequence.setup.tables();
    let ranking = watch_buckets(&mut tables);
    let mut model = Model::new(Site::new(&sequence.setup));
    let mut player = Player::default();
    let last = sequence.steps.len() - 1;
    for (number, step) in sequence.steps.iter().enumerate() {
        let result = play(step, &mut tables, &mut model, &mut player, sequence, &ranking);
        let result = result.and_then(|()| {
            if thorough || number == last { compare_state(&tables, &model) } else { Ok(()) }
        });
        result.map_err(|what| Difference { step: number, what, tables: tables.to_string() })?;
    }
    Ok(Played { counts: tables.counts() })
}

/// Has the last bucket that is looked up noted: of two uplinks, in their order.
pub(crate) fn watch_buckets(tables: &mut MemoryTables) -> Rc<Cell<Option<[Id; 2]>>> {
    let noted = Rc::new(Cell::new(None));
    let note = Rc::clone(&noted);
    let bucket = std::mem::replace(&mut tables.bucket, Box::new(|_| unreachable!()));
    tables.bucket = Box::new(move |index| {
        let bucket = bucket(index);
        let mut ranking = bucket.ranking();
        note.set(ranking.next().zip(ranking.next()).map(|(first, second)| [first, second]));
        bucket
    });
    noted
}

fn play(
    step: &Step,
    tables: &mut MemoryTables,
    model: &mut Model,
    player: &mut Player,
    sequence: &Sequence,
    ranking: &Cell<Option<[Id; 2]>>,
) -> Result<(), String> {
    let tagging = sequence.setup.tagging;
    let input = player.frame(step).filter(|(_, frame)| tagging.is_neutral(frame));
    let Some((came, frame)) = input else {
        player.played(None, None);
        step.apply(tables, &sequence.setup);
        model.apply(step);
        if let Step::Sweep(salt) = step {
            let swept = model.sweep(*salt);
            plain::sweep(tables, &swept, &model.state);
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
    let observed = Observed { tables, ranking: ranking.get(), verdict };
    let outcome = model.packet(came, &frame, &observed);
    compare(came, &frame, verdict, &output, &outcome, model)?;
    invariants::check(came, &frame, verdict, &output, model)?;
    let counted = tables.counts().since(&before);
    if counted != Counts::of(verdict, len) {
        return Err(format!("{verdict:?} is counted as\n{counted}"));
    }
    player.played(Some((came, frame)), Some((verdict, &output)));
    Ok(())
}

fn compare(
    came: Interface,
    frame: &[u8],
    verdict: Verdict,
    output: &[u8],
    outcome: &Outcome,
    model: &mut Model,
) -> Result<(), String> {
    let mut wrong = std::mem::take(&mut model.faults);
    if verdict != outcome.verdict {
        wrong.push(format!("the path says {verdict:?}, the model {:?}", outcome.verdict));
    } else if !is_same(output, outcome) {
        wrong.push(format!(
            "{verdict:?}: the path's frame, then the model's\n   {output:02x?}\n   {:02x?}",
            outcome.frame
        ));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n   of {frame:02x?} by {came:?}", wrong.join("\n")))
}

pub(crate) fn is_same(output: &[u8], outcome: &Outcome) -> bool {
    let mut output = output.to_vec();
    for at in &outcome.loose {
        let both = (output.get(*at..at + 2), outcome.frame.get(*at..at + 2));
        if let (Some([0, 0] | [0xff, 0xff]), Some(want @ ([0, 0] | [0xff, 0xff]))) = both {
            output[*at..at + 2].copy_from_slice(want);
        }
    }
    output == outcome.frame
}

/// Compares all that both remember.
fn compare_state(tables: &MemoryTables, model: &Model) -> Result<(), String> {
    let (mut path, mut wanted) = (plain::state(tables), model.state.clone());
    for datagram in wanted.datagrams.values_mut().chain(path.datagrams.values_mut()) {
        // Who opened the flow and what passed before says nothing of fragments.
        datagram.flow = Flow { by_lan: true, traffic: Traffic::default(), ..datagram.flow };
    }
    wanted.hosts.retain(|_, host| *host != Default::default());
    let State { established, unreplied, invited, datagrams, .. } = &path;
    let State { mappings, publics, permissions, hosts, .. } = &path;
    let mut text = String::new();
    differ(&mut text, "established", established, &wanted.established);
    differ(&mut text, "unreplied", unreplied, &wanted.unreplied);
    differ(&mut text, "invited", invited, &wanted.invited);
    differ(&mut text, "datagrams", datagrams, &wanted.datagrams);
    differ(&mut text, "mappings", mappings, &wanted.mappings);
    differ(&mut text, "publics", publics, &wanted.publics);
    differ(&mut text, "permissions", permissions, &wanted.permissions);
    differ(&mut text, "hosts", hosts, &wanted.hosts);
    if text.is_empty() { Ok(()) } else { Err(text) }
}

type Map<K, V> = std::collections::BTreeMap<K, V>;

pub(crate) fn differ<K: Ord + Debug, V: PartialEq + Debug>(
    text: &mut String,
    name: &str,
    path: &Map<K, V>,
    model: &Map<K, V>,
) {
    let keys: std::collections::BTreeSet<_> = path.keys().chain(model.keys()).collect();
    for key in keys {
        let (a, b) = (path.get(key), model.get(key));
        if a != b {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} {key:?}:\n   path  {a:?}\n   model {b:?}");
        }
    }
}
