use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use pointsman_ebpf::abi::{OnFailure, RANKS, Sticky};
use toml::de::DeValue;

use super::desired::{Group, LastResort};
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::{closest, quoted};
use super::uplink::Placed;

/// The only group there is.
const DEFAULT_NAME: &str = "default";
const KEYS: &[&str] = &["name", "uplinks", "sticky", "on_failure", "last_resort", "failback"];
const TABLES: &str = "write [[group]] above its keys, or leave it out to share among all uplinks";
const TIERS: &str = "give the names of uplinks, such as [\"fiber\", \"cable\"], or tiers of them, \
                     such as [[\"fiber\", \"cable\"], [\"lte\"]]";
const STICKY: &[(&str, Sticky)] = &[
    ("flow", Sticky::Flow),
    ("source", Sticky::Source),
    ("source-destination", Sticky::SourceDestination),
];

const FATES: &[(&str, OnFailure)] =
    &[("rehome", OnFailure::Rehome), ("reset", OnFailure::Reset), ("hold", OnFailure::Hold)];

const LAST_RESORTS: &[(&str, LastResort)] =
    &[("least-bad", LastResort::LeastBad), ("unreachable", LastResort::Unreachable)];

const FAILBACK: &str = "write { after = \"10m\" }, or leave it out to move new flows only";
const FAILBACK_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Reads `[[group]]`; without one, all uplinks are one tier.
pub(super) fn read(report: &mut Report<'_>, root: &Section<'_>, uplinks: &[Placed]) -> Group {
    let section = root.get("group").and_then(|field| {
        let groups = field.list(report, TABLES)?;
        if let Some(second) = groups.get(1) {
            second.error(report, "is a second group, which is not supported yet; keep one");
        }
        groups.first()?.table(report, TABLES)
    });
    let mut group = Group {
        name: DEFAULT_NAME.to_owned(),
        tiers: vec![(0..uplinks.len()).collect()],
        sticky: Sticky::Source,
        on_failure: OnFailure::default(),
        last_resort: LastResort::default(),
        failback: None,
    };
    if let Some(section) = section {
        read_into(report, section, uplinks, &mut group);
    } else {
        warn_of_unranked(report, &(0..0), "the group of all uplinks", uplinks.len());
    }
    group
}

fn read_into(report: &mut Report<'_>, section: Section<'_>, uplinks: &[Placed], group: &mut Group) {
    let name = section.require(report, "name", "write name = \"default\"");
    let name = name.and_then(|field| {
        let name = field.name(report)?;
        if name != DEFAULT_NAME {
            let shown = quoted(name);
            field.error(
                report,
                format_args!("{shown} is not supported yet; name the one group {DEFAULT_NAME:?}"),
            );
        }
        Some(name)
    });
    let label = format!("group {}", quoted(name.unwrap_or(DEFAULT_NAME)));
    let section = section.labelled(&label);
    section.expect_keys(report, KEYS, &[]);
    let on_failure = section.get("on_failure");
    if let Some(fate) = on_failure.and_then(|field| field.choice(report, FATES, &[])) {
        group.on_failure = fate;
    }
    if let Some(sticky) = section.get("sticky").and_then(|f| f.choice(report, STICKY, &[])) {
        group.sticky = sticky;
    }
    let last_resort = section.get("last_resort");
    if let Some(choice) = last_resort.and_then(|field| field.choice(report, LAST_RESORTS, &[])) {
        group.last_resort = choice;
    }
    group.failback = section.get("failback").and_then(|field| read_failback(report, &field));
    let tiers = section.get("uplinks");
    let span = tiers.as_ref().map_or(section.span.clone(), |field| field.span.clone());
    if let Some(tiers) = tiers.and_then(|field| read_tiers(report, &field, uplinks)) {
        warn_of_unused(report, &tiers, uplinks);
        group.tiers = tiers;
    }
    warn_of_unranked(report, &span, &label, group.tiers.iter().flatten().count());
}

/// Reads after how long flows are given back.
fn read_failback(report: &mut Report<'_>, field: &Field<'_>) -> Option<Duration> {
    let section = field.table(report, FAILBACK)?;
    section.expect_keys(report, &["after"], &[]);
    section.require(report, "after", FAILBACK)?.duration(report, FAILBACK_AFTER)
}

/// Reads tiers of names, or names that are one tier, as indices into `uplinks`; nothing, if any of
/// them is wrong.
fn read_tiers(
    report: &mut Report<'_>,
    field: &Field<'_>,
    uplinks: &[Placed],
) -> Option<Vec<Vec<usize>>> {
    let elements = field.list(report, TIERS)?;
    let mut seen = Vec::new();
    if elements.iter().all(|element| matches!(element.value, DeValue::String(_))) {
        return Some(vec![read_tier(report, &elements, uplinks, &mut seen)?]);
    }
    // Collected before it is judged, so that every tier is read.
    let tiers: Vec<Option<Vec<usize>>> = elements
        .iter()
        .map(|element| {
            let names = element.list(report, TIERS)?;
            read_tier(report, &names, uplinks, &mut seen)
        })
        .collect();
    tiers.into_iter().collect()
}

/// Reads the names of one tier; `seen` are the uplinks of the tiers so far.
fn read_tier(
    report: &mut Report<'_>,
    names: &[Field<'_>],
    uplinks: &[Placed],
    seen: &mut Vec<usize>,
) -> Option<Vec<usize>> {
    let tier: Vec<Option<usize>> =
        names.iter().map(|field| read_member(report, field, uplinks, seen, TIERS)).collect();
    tier.into_iter().collect()
}

/// Reads the name of an uplink that is not among those `seen`, and adds it; `fix` is for what is no
/// name.
pub(super) fn read_member(
    report: &mut Report<'_>,
    field: &Field<'_>,
    uplinks: &[Placed],
    seen: &mut Vec<usize>,
    fix: &str,
) -> Option<usize> {
    let name = field.string(report, fix)?;
    let shown = quoted(name);
    let Some(index) = uplinks.iter().position(|(uplink, _)| uplink.name == name) else {
        let known: Vec<&str> = uplinks.iter().map(|(uplink, _)| &*uplink.name).collect();
        let fix = closest(name, &known).map_or_else(
            || "give the name of an [[uplink]]".to_owned(),
            |meant| format!("did you mean {}?", quoted(meant)),
        );
        field.error(report, format_args!("is {shown}, which no uplink is called; {fix}"));
        return None;
    };
    if seen.contains(&index) {
        field.error(report, format_args!("is {shown} again; give each uplink once"));
        return None;
    }
    seen.push(index);
    Some(index)
}

fn warn_of_unused(report: &mut Report<'_>, tiers: &[Vec<usize>], uplinks: &[Placed]) {
    for (index, (uplink, span)) in uplinks.iter().enumerate() {
        if !tiers.iter().flatten().any(|used| *used == index) {
            let name = quoted(&uplink.name);
            report.warn(
                span,
                format!("uplink {name} is in no group and takes no flows; add it to a tier"),
            );
        }
    }
}

fn warn_of_unranked(report: &mut Report<'_>, span: &Range<usize>, label: &str, count: usize) {
    if count > RANKS {
        report.warn(
            span,
            format!(
                "{label} has {count} uplinks; a flow falls back among {RANKS} of them only, so it \
                 has none when those {RANKS} are down"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, complaints_about, config_with};
    use super::*;

    fn complaints_with(keys: &str) -> Vec<String> {
        complaints(&format!("[[group]]\nname = \"default\"\n{keys}"))
    }

    #[test]
    fn reads_tiers_and_flat_lists() {
        for (uplinks, tiers) in [
            ("[[\"cable\"], [\"fiber\"]]", vec![vec![1], vec![0]]),
            ("[[\"cable\", \"fiber\"]]", vec![vec![1, 0]]),
            ("[\"cable\", \"fiber\"]", vec![vec![1, 0]]),
        ] {
            let keys = format!("[[group]]\nname = \"default\"\nuplinks = {uplinks}");
            assert_eq!(config_with(&keys).group.tiers, tiers);
        }
        let group = config_with("[[group]]\nname = \"default\"\nsticky = \"flow\"").group;
        assert_eq!((group.sticky, group.tiers), (Sticky::Flow, vec![vec![0, 1]]));
    }

    #[test]
    fn reads_when_flows_are_given_back() {
        let group = "[[group]]\nname = \"default\"\n";
        let after = |keys: &str| config_with(&format!("{group}{keys}")).group.failback;
        assert_eq!(after(""), None);
        assert_eq!(after("failback = { after = \"10m\" }"), Some(Duration::from_secs(600)));
        for (keys, complaint) in [
            ("failback = {}", "failback.after is missing"),
            ("failback = true", "failback is true; write { after = \"10m\" }"),
            ("failback = { after = \"0s\" }", "failback.after is \"0s\"; give a duration"),
        ] {
            let found = complaints_with(keys);
            assert!(found.len() == 1 && found[0].contains(complaint), "{found:?}");
        }
    }

    #[test]
    fn uplinks_are_known_and_given_once() {
        assert_eq!(
            complaints_with("uplinks = [[\"fibre\", \"cable\"], [\"cable\", \"dsl\"]]"),
            [
                "11:13: group \"default\": uplinks[0][0] is \"fibre\", which no uplink is called; \
                 did you mean \"fiber\"?",
                "11:33: group \"default\": uplinks[1][0] is \"cable\" again; give each uplink once",
                "11:42: group \"default\": uplinks[1][1] is \"dsl\", which no uplink is called; \
                 give the name of an [[uplink]]",
            ]
        );
    }

    #[test]
    fn tiers_have_uplinks() {
        for (uplinks, found) in [
            ("[]", "11:11: group \"default\": uplinks is empty"),
            ("[[\"fiber\", \"cable\"], []]", "11:32: group \"default\": uplinks[1] is empty"),
            ("[[\"fiber\", \"cable\"], \"x\"]", "11:32: group \"default\": uplinks[1] is text"),
            ("[[\"fiber\", \"cable\", 1]]", "11:31: group \"default\": uplinks[0][2] is a number"),
            ("\"fiber\"", "11:11: group \"default\": uplinks is text"),
        ] {
            assert_eq!(
                complaints_with(&format!("uplinks = {uplinks}")),
                [format!("{found}; {TIERS}")]
            );
        }
    }

    #[test]
    fn an_uplink_left_out_is_warned_of() {
        assert_eq!(
            complaints_with("uplinks = [\"cable\"]"),
            ["3:1: warning: uplink \"fiber\" is in no group and takes no flows; add it to a tier"]
        );
    }

    #[test]
    fn more_uplinks_than_ranks_are_warned_of() {
        let site = |count: usize, group: &str| {
            let mut text = "[lan]\ninterfaces = [\"lan0\"]\n".to_owned();
            for index in 0..count {
                text += &format!("[[uplink]]\nname = \"u{index}\"\ninterface = \"wan{index}\"\n");
            }
            text + group
        };
        let group = "[[group]]\nname = \"default\"\n";
        let warning = "has 9 uplinks; a flow falls back among 8 of them only, so it has none when \
                       those 8 are down";
        assert_eq!(complaints_about(&site(8, group)), [""; 0]);
        assert_eq!(
            complaints_about(&site(9, "")),
            [format!("1:1: warning: the group of all uplinks {warning}")]
        );
        assert_eq!(
            complaints_about(&site(9, group)),
            [format!("30:1: warning: group \"default\" {warning}")]
        );
    }

    #[test]
    fn there_is_one_and_it_is_the_default() {
        assert_eq!(
            complaints("[[group]]\nname = \"voice\"\n[[group]]\nname = \"bulk\""),
            [
                "10:8: group[0].name \"voice\" is not supported yet; name the one group \
                 \"default\"",
                "11:1: group[1] is a second group, which is not supported yet; keep one",
            ]
        );
        assert_eq!(
            complaints("[[group]]\nsticky = \"flow\""),
            ["9:1: group[0].name is missing; write name = \"default\""]
        );
        assert_eq!(
            complaints("[group]\nname = \"default\""),
            ["9:1: group is a table; write [[group]] above its keys, or leave it out to share \
                 among all uplinks"]
        );
    }

    #[test]
    fn the_last_resort_is_of_the_known() {
        assert_eq!(config_with("").group.last_resort, LastResort::LeastBad);
        for (given, last_resort) in
            [("least-bad", LastResort::LeastBad), ("unreachable", LastResort::Unreachable)]
        {
            let lines = format!("[[group]]\nname = \"default\"\nlast_resort = \"{given}\"");
            assert_eq!(config_with(&lines).group.last_resort, last_resort);
        }
        assert_eq!(
            complaints_with("last_resort = \"unreachible\""),
            ["11:15: group \"default\": last_resort is \"unreachible\"; give \"least-bad\" or \
                 \"unreachable\" (did you mean \"unreachable\"?)"]
        );
    }

    #[test]
    fn sticky_and_on_failure_are_of_the_known() {
        assert_eq!(
            complaints_with("sticky = \"sauce\"\non_failure = \"resets\""),
            [
                "11:10: group \"default\": sticky is \"sauce\"; give \"flow\", \"source\" or \
                 \"source-destination\" (did you mean \"source\"?)",
                "12:14: group \"default\": on_failure is \"resets\"; give \"rehome\", \"reset\" or \
                 \"hold\" (did you mean \"reset\"?)",
            ]
        );
        assert_eq!(
            complaints_with("sticky = true\non_failure = \"drop\""),
            [
                "11:10: group \"default\": sticky is true; give \"flow\", \"source\" or \
                 \"source-destination\"",
                "12:14: group \"default\": on_failure is \"drop\"; give \"rehome\", \"reset\" or \
                 \"hold\"",
            ]
        );
    }

    #[test]
    fn reads_what_becomes_of_flows() {
        assert_eq!(config_with("").group.on_failure, OnFailure::Rehome);
        for (given, on_failure) in FATES {
            let lines = format!("[[group]]\nname = \"default\"\non_failure = \"{given}\"");
            assert_eq!(config_with(&lines).group.on_failure, *on_failure);
        }
    }
}
