//! Plays a sequence of NAT64 to the path and to the model.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::catch_unwind;

use pointsman_ebpf::abi::{FlowKey, HostDigest, Ipv4, Ipv6, L4Port};
use pointsman_ebpf::memory::sequence::{End, Tagging};
use pointsman_ebpf::memory::sequence64::{Player64, Sequence64, Step64};
use pointsman_ebpf::memory::{Counts, DIGEST_KEY, MemoryTables, verify, verify6};
use pointsman_ebpf::path::{FlowTable, Tables as _};
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::model::Choices;
use super::model::inbound::is_of_ipv6;
use super::model::packet::UDP;
use super::model::site::Id;
use super::model::state::MappingKey;
use super::model64::{Hosts, Model64};
use super::run::{Difference, Played, is_same, watch_buckets};

/// What has become of packets: of this version, of this protocol, in one piece or the first of several or
/// a later one.
pub(crate) type Kind = (u8, u8, &'static str);

/// What packets that were translated were like, and why others, by version, were not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) translated: BTreeSet<Kind>,
    pub(crate) refused: BTreeSet<(u8, bool, DropReason)>,
}

/// What the gateway under test has done with the last packet.
struct Observed<'a> {
    tables: &'a MemoryTables,
    hosts: Hosts,
    ranking: Option<[Id; 2]>,
    verdict: Verdict,
}

impl Choices for Observed<'_> {
    fn ranking(&self) -> Option<[Id; 2]> {
        self.ranking
    }

    fn public(&self, mapping: &MappingKey, generation: u32) -> Option<End> {
        let MappingKey { uplink, protocol, host, remote } = *mapping;
        let (address, remote) = if is_of_ipv6(host) {
            let inside = Ipv6::new(self.hosts.of(host.0).to_be_bytes());
            let digest = HostDigest::new(&DIGEST_KEY, inside);
            (digest.account(), digest.rest())
        } else {
            (Ipv4::new(host.0), Ipv4::new(remote))
        };
        let end = (address, L4Port::from_host(host.1));
        let binding = self.tables.binding(&FlowKey::internal(end, remote, protocol, uplink))?;
        let public = (binding.address.octets(), binding.port.to_host());
        (binding.generation == generation).then_some(public)
    }

    fn reason(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Drop(reason) | Verdict::Answer { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// Plays the sequence; a panic is a difference too. What was seen goes to `seen`.
pub(crate) fn run(sequence: &Sequence64, seen: &RefCell<Seen>) -> Result<Played, Difference> {
    let play = || {
        let mut all = Seen::default();
        play_all(sequence, &mut all).map(|played| (played, all))
    };
    match catch_unwind(play) {
        Ok(Ok((played, all))) => {
            let mut seen = seen.borrow_mut();
            seen.translated.extend(all.translated);
            seen.refused.extend(all.refused);
            Ok(played)
        }
        Ok(Err(difference)) => Err(difference),
        Err(_) => {
            let step = sequence.steps.len() - 1;
            Err(Difference { step, what: "a panic, see above".to_owned(), tables: String::new() })
        }
    }
}

fn play_all(sequence: &Sequence64, seen: &mut Seen) -> Result<Played, Difference> {
    let mut tables = sequence.setup.tables();
    let ranking = watch_buckets(&mut tables);
    let mut model = Model64::new(&sequence.setup);
    let mut player = Player64::default();
    for (number, step) in sequence.steps.iter().enumerate() {
        let result = play(step, &mut tables, &mut model, &mut player, sequence, &ranking, seen);
        let result = result.and_then(|()| compare_state(&tables, &model));
        result.map_err(|what| Difference { step: number, what, tables: tables.to_string() })?;
    }
    Ok(Played { counts: tables.counts() })
}

fn play(
    step: &Step64,
    tables: &mut MemoryTables,
    model: &mut Model64,
    player: &mut Player64,
    sequence: &Sequence64,
    ranking: &Cell<Option<[Id; 2]>>,
    seen: &mut Seen,
) -> Result<(), String> {
    let tagging: Tagging = sequence.setup.four.tagging;
    let input = player.frame(step);
    let input =
        input.filter(|(came, frame)| tagging.is_neutral(frame) && model.knows(*came, frame));
    let Some((came, frame)) = input else {
        player.played(None, None);
        if let Step64::Four(step) = step {
            step.apply(tables, &sequence.setup.four);
        }
        model.apply(step);
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
    let observed = Observed { tables, hosts: model.hosts.clone(), ranking: ranking.get(), verdict };
    let outcome = model.packet(came, &frame, &observed);
    let mut wrong = std::mem::take(&mut model.four.faults);
    if verdict != outcome.verdict {
        wrong.push(format!("the path says {verdict:?}, the model {:?}", outcome.verdict));
    } else if !is_same(&output, &outcome) {
        wrong.push(format!(
            "{verdict:?}: the path's frame, then the model's\n   {output:02x?}\n   {:02x?}",
            outcome.frame
        ));
    }
    wrong.extend(check_sums(&frame, verdict, &output).err());
    let counted = tables.counts().since(&before);
    if counted != Counts::of(verdict, len) {
        wrong.push(format!("{verdict:?} is counted as\n{counted}"));
    }
    if !wrong.is_empty() {
        return Err(format!("{}\n   of {frame:02x?} by {came:?}", wrong.join("\n")));
    }
    note(seen, &frame, verdict, &output);
    player.played(Some((came, frame)), Some((verdict, &output)));
    Ok(())
}

/// The version of a frame's packet.
fn version(frame: &[u8]) -> u8 {
    match frame.get(12..14) {
        Some([8, 0]) => 4,
        Some([0x86, 0xdd]) => 6,
        _ => 0,
    }
}

/// Whether a packet of IPv4 is an error.
fn is_error(frame: &[u8]) -> bool {
    let transport = 14 + usize::from(frame[14] & 15) * 4;
    frame[23] == 1 && matches!(frame[transport], 3 | 11 | 12)
}

/// Checks of a packet what holds whatever the model says: whatever was right stays right.
fn check_sums(frame: &[u8], verdict: Verdict, output: &[u8]) -> Result<(), String> {
    match (verdict, version(frame), version(output)) {
        // What a fragment was that is quoted shows no more.
        // A datagram of UDP has a length of its own, which may be another than the packet's.
        (Verdict::Forward { .. }, 4, 6)
            if verify(frame).is_ok() && !is_error(frame) && frame[23] != UDP =>
        {
            verify6(output)
        }
        (Verdict::Forward { .. }, 6, 4) if verify6(frame).is_ok() && output[23] != UDP => {
            verify(output)
        }
        (Verdict::Pass(_) | Verdict::Drop(_), ..) if frame != output => {
            Err(format!("{verdict:?} and changed"))
        }
        _ => Ok(()),
    }
}

fn note(seen: &mut Seen, frame: &[u8], verdict: Verdict, output: &[u8]) {
    match verdict {
        Verdict::Forward { .. } if version(frame) != version(output) => {
            // What is of IPv4 has its fragment in one place.
            let is_out = version(output) == 4;
            let header = &(if is_out { output } else { frame })[14..];
            let kind = match u16::from_be_bytes([header[6], header[7]]) & 0x3fff {
                0 if is_error(if is_out { output } else { frame }) => "error",
                0 => "whole",
                0x2000 => "first",
                _ => "later",
            };
            seen.translated.insert((version(frame), header[9], kind));
        }
        Verdict::Drop(reason) => {
            seen.refused.insert((version(frame), false, reason));
        }
        Verdict::Answer { reason, .. } => {
            seen.refused.insert((version(frame), true, reason));
        }
        _ => {}
    }
}

/// Compares how much both remember.
fn compare_state(tables: &MemoryTables, model: &Model64) -> Result<(), String> {
    let state = &model.four.state;
    let mut wrong = Vec::new();
    let mut same = |name: &str, path: usize, wanted: usize| {
        if path != wanted {
            wrong.push(format!("{name}: the path has {path}, the model {wanted}"));
        }
    };
    same("established", tables.flow_count(FlowTable::Established), state.established.len());
    same("unreplied", tables.flow_count(FlowTable::Unreplied), state.unreplied.len());
    same("invited", tables.flow_count(FlowTable::Invited), state.invited.len());
    let fragments = state.datagrams.len() + model.fragments.len();
    same("fragments", tables.flow_count(FlowTable::Fragments), fragments);
    let mappings = state.mappings.len() + state.publics.len() + state.permissions.len();
    same("mappings", tables.bindings().len(), mappings);
    let mut path: Vec<_> =
        tables.hosts().iter().map(|(_, host)| (host.mappings, host.unreplied)).collect();
    let mut wanted: Vec<_> =
        state.hosts.values().map(|host| (host.mappings, host.unreplied)).collect();
    for hosts in [&mut path, &mut wanted] {
        hosts.retain(|host| *host != (0, 0));
        hosts.sort_unstable();
    }
    if path != wanted {
        wrong.push(format!("hosts: the path has {path:?}, the model {wanted:?}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
