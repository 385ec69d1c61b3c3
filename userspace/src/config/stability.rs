use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;

use super::diagnostic::Report;
use super::section::{Field, Section};
use crate::uplink::{Dampening, Stability};

const DAMPENING: &str = "write a table such as { half_life = \"30s\" }, or {} for the defaults";
const HOLD_DOWN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
const HALF_LIFE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const MAX_SUPPRESS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const DEFAULT_HALF_LIFE: Duration = Duration::from_secs(30);
/// As many half-lives as routers have by default.
const DEFAULT_MAX_SUPPRESS: u32 = 4;
const DEFAULT_SUPPRESS: u32 = 2500;
const DEFAULT_REUSE: u32 = 750;
/// Twenty flaps.
const LARGEST_PENALTY: u32 = 20_000;

/// Reads what an uplink's `health` asks for so that one that was lost is believed again.
pub(super) fn read(report: &mut Report<'_>, health: &Section<'_>) -> Stability {
    let hold_down = health.get("hold_down").and_then(|field| field.duration(report, HOLD_DOWN));
    Stability {
        hold_down: hold_down.unwrap_or_default(),
        dampening: health.get("dampening").and_then(|field| read_dampening(report, &field)),
    }
}

/// Whether `health` asks for that: it is of use without probes too.
pub(super) fn is_given(health: &Section<'_>) -> bool {
    ["hold_down", "dampening"].iter().any(|key| health.get(key).is_some())
}

fn read_dampening(report: &mut Report<'_>, field: &Field<'_>) -> Option<Dampening> {
    let section = field.table(report, DAMPENING)?;
    section.expect_keys(report, &["half_life", "suppress", "reuse", "max_suppress"], &[]);
    let mut penalty = |key, default| {
        let field = section.get(key)?;
        let why = format!(" of penalty, of which a flap adds 1000; the default is {default}");
        field.integer(report, 1..=LARGEST_PENALTY, &why)
    };
    let suppress = penalty("suppress", DEFAULT_SUPPRESS).unwrap_or(DEFAULT_SUPPRESS);
    let reuse = penalty("reuse", DEFAULT_REUSE).unwrap_or(DEFAULT_REUSE);
    let half_life = section.get("half_life").and_then(|field| field.duration(report, HALF_LIFE));
    let half_life = half_life.unwrap_or(DEFAULT_HALF_LIFE);
    let longest = section.get("max_suppress");
    let max_suppress = longest.as_ref().and_then(|field| field.duration(report, MAX_SUPPRESS));
    let max_suppress = max_suppress.unwrap_or(half_life * DEFAULT_MAX_SUPPRESS);
    let dampening = Dampening { half_life, suppress, reuse, max_suppress };
    if reuse >= suppress {
        field.error(
            report,
            format_args!("has a reuse of {reuse}, not less than suppress, {suppress}; give less"),
        );
    } else if dampening.ceiling() <= f64::from(suppress) {
        let least = dampening.decay_time(suppress.into(), reuse.into());
        let least = format_duration(Duration::from_secs(least.as_secs() + 1));
        longest.as_ref().unwrap_or(field).error(
            report,
            format_args!(
                "never suppresses anything: in \"{}\", no penalty of more than {suppress} decays to \
                 {reuse}; give a max_suppress of \"{least}\" or more",
                format_duration(max_suppress)
            ),
        );
    }
    Some(dampening)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    fn stability(keys: &str) -> Stability {
        let config = config_with(&format!("[uplink.health]\n{keys}"));
        config.uplinks[1].health.as_ref().expect("it is given").requirements.stability
    }

    #[test]
    fn nothing_is_held_back_unless_asked_for() {
        let probes = "probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }]";
        assert_eq!(stability(probes), Stability::default());
        let five_seconds = Stability { hold_down: Duration::from_secs(5), dampening: None };
        assert_eq!(stability(&format!("{probes}\nhold_down = \"5s\"")), five_seconds);
    }

    #[test]
    fn it_needs_no_probes() {
        let config = config_with("health.hold_down = \"0s\"");
        assert_eq!(config.uplinks[1].health.as_ref().expect("it is given").probes.len(), 0);
        assert!(stability("dampening = {}").dampening.is_some());
    }

    #[test]
    fn the_longest_suppression_follows_the_half_life() {
        let defaults = Dampening {
            half_life: Duration::from_secs(30),
            suppress: 2500,
            reuse: 750,
            max_suppress: Duration::from_secs(120),
        };
        assert_eq!(stability("dampening = {}").dampening, Some(defaults));
        let half_life = Duration::from_secs(900);
        let max_suppress = Duration::from_secs(3600);
        let slow = Dampening { half_life, max_suppress, ..defaults };
        assert_eq!(stability("dampening = { half_life = \"15m\" }").dampening, Some(slow));
        let all =
            "dampening = { half_life = \"1s\", suppress = 2, reuse = 1, max_suppress = \"2s\" }";
        let all = stability(all).dampening.expect("it is given");
        assert_eq!((all.suppress, all.reuse), (2, 1));
        assert_eq!([all.half_life, all.max_suppress], [1, 2].map(Duration::from_secs));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let penalty = "of penalty, of which a flap adds 1000; the default is";
        for (keys, found) in [
            (
                "hold_down = \"61m\"",
                "10:13: hold_down is \"61m\"; give a duration, \"0s\" to \"1h\"",
            ),
            ("hold_down = 5", "10:13: hold_down is a number; give a duration, \"0s\" to \"1h\""),
            (
                "dampening = true",
                "10:13: dampening is true; write a table such as { half_life = \"30s\" }, or {} for \
                 the defaults",
            ),
            (
                "dampening.halflife = \"1m\"",
                "10:11: dampening.halflife is not a known key; did you mean half_life?",
            ),
            (
                "dampening.half_life = \"500ms\"",
                "10:23: dampening.half_life is \"500ms\"; give a duration, \"1s\" to \"1h\"",
            ),
            (
                "dampening.max_suppress = \"2days\"",
                "10:26: dampening.max_suppress is \"2days\"; give a duration, \"1s\" to \"1day\"",
            ),
            (
                "dampening.suppress = 20001",
                &format!("10:22: dampening.suppress is 20001; give 1 to 20000 {penalty} 2500"),
            ),
            (
                "dampening.reuse = 0",
                &format!("10:19: dampening.reuse is 0; give 1 to 20000 {penalty} 750"),
            ),
            (
                "dampening = { suppress = 750 }",
                "10:13: dampening has a reuse of 750, not less than suppress, 750; give less",
            ),
            (
                "dampening = { max_suppress = \"52s\" }",
                "10:30: dampening.max_suppress never suppresses anything: in \"52s\", no penalty of \
                 more than 2500 decays to 750; give a max_suppress of \"53s\" or more",
            ),
            (
                "dampening = { reuse = 1, suppress = 16 }",
                "10:13: dampening never suppresses anything: in \"2m\", no penalty of more than 16 \
                 decays to 1; give a max_suppress of \"2m 1s\" or more",
            ),
        ] {
            let (place, complaint) = found.split_once(": ").expect("a place comes first");
            let expected = format!("{place}: uplink \"cable\": health.{complaint}");
            assert_eq!(complaints(&format!("[uplink.health]\n{keys}")), [expected]);
        }
        let longer = "dampening = { max_suppress = \"53s\" }";
        assert!(stability(longer).dampening.is_some(), "what is proposed is right");
    }
}
