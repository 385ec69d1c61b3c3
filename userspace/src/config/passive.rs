//! `health.passive`: what traffic shows by itself.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::Report;
use super::section::{Field, Section};
use crate::uplink::{Listening, Suspicion};

const PASSIVE: &str =
    "write a table such as { action = \"down\", window = \"2s\" }, or {} for the defaults";

const WINDOW: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(600);
const DEFAULT_WINDOW: Duration = Duration::from_secs(2);
const MOST_PACKETS: u32 = 1_000_000;
const DEFAULT_PACKETS: u32 = 10;
const RETRY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const DEFAULT_RETRY: Duration = Duration::from_secs(30);

/// What an uplink's `health` asks for.
pub(super) fn read(report: &mut Report<'_>, health: &Section<'_>) -> Listening {
    let default = Listening {
        window: DEFAULT_WINDOW,
        packets: DEFAULT_PACKETS.into(),
        action: Suspicion::Probed,
    };
    let read = health.get("passive").and_then(|field| read_table(report, &field, default));
    read.unwrap_or(default)
}

/// Whether `health` asks for what is of use without probes too.
pub(super) fn is_given(health: &Section<'_>) -> bool {
    health.get("passive").is_some()
}

fn read_table(report: &mut Report<'_>, field: &Field<'_>, default: Listening) -> Option<Listening> {
    let section = field.table(report, PASSIVE)?;
    section.expect_keys(report, &["action", "window", "packets", "retry"], &[]);
    let window = section.get("window").and_then(|field| field.duration(report, WINDOW));
    let packets = section.get("packets").and_then(|field| {
        let why = " packets sent, and none received";
        field.integer(report, 1..=MOST_PACKETS, why)
    });
    let retry = section.get("retry");
    let time = retry.as_ref().and_then(|field| field.duration(report, RETRY));
    let believed = Suspicion::Believed(time.unwrap_or(DEFAULT_RETRY));
    let actions = [("probe", Suspicion::Probed), ("down", believed), ("none", Suspicion::Ignored)];
    let action = section.get("action").and_then(|field| field.choice(report, &actions, &[]));
    let action = action.unwrap_or(default.action);
    if let Some(field) = retry.filter(|_| action != believed) {
        field.error(report, "is of use with action = \"down\" only; leave it out, or give that");
    }
    Some(Listening {
        window: window.unwrap_or(default.window),
        packets: packets.map_or(default.packets, u64::from),
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    fn listening(keys: &str) -> Listening {
        let config = config_with(&format!("health = {{ {keys} }}"));
        config.uplinks[1].health.clone().unwrap().listening
    }

    fn complaint(keys: &str) -> String {
        let complaints = complaints(&format!("health = {{ passive = {{ {keys} }} }}"));
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        complaints[0].clone()
    }

    #[test]
    fn it_is_on_where_health_is_watched_at_all() {
        let plain =
            Listening { window: Duration::from_secs(2), packets: 10, action: Suspicion::Probed };
        assert_eq!(listening("hold_down = \"1s\""), plain);
        assert_eq!(listening("passive = {}"), plain);
        assert_eq!(
            listening("passive = { action = \"none\" }"),
            Listening { action: Suspicion::Ignored, ..plain }
        );
        let believed = Suspicion::Believed(Duration::from_secs(30));
        assert_eq!(
            listening("passive = { action = \"down\" }"),
            Listening { action: believed, ..plain }
        );
        assert_eq!(
            listening(
                "passive = { action = \"down\", window = \"500ms\", packets = 3, retry = \"5s\" }"
            ),
            Listening {
                window: Duration::from_millis(500),
                packets: 3,
                action: Suspicion::Believed(Duration::from_secs(5)),
            }
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (keys, end) in [
            ("window = \"100ms\"", "is \"100ms\"; give a duration, \"500ms\" to \"10m\""),
            ("packets = 0", "is 0; give 1 to 1000000 packets sent, and none received"),
            ("retry = \"5s\"", "is of use with action = \"down\" only; leave it out, or give that"),
            ("action = \"up\"", "is \"up\"; give \"probe\", \"down\" or \"none\""),
        ] {
            let complaint = complaint(keys);
            assert!(complaint.ends_with(end), "{complaint}");
        }
    }
}
