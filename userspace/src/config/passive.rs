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

/// What an uplink's `health` asks for. What answers packets that are routed as they are may come in by another
/// uplink.
pub(super) fn read(report: &mut Report<'_>, health: &Section<'_>, routes: bool) -> Listening {
    let action = if routes { Suspicion::Ignored } else { Suspicion::Probed };
    let default = Listening { window: DEFAULT_WINDOW, packets: DEFAULT_PACKETS.into(), action };
    let Some(field) = health.get("passive") else { return default };
    let listening = read_table(report, &field, default).unwrap_or(default);
    if routes && listening.acts() {
        field.error(
            report,
            "is \"down\", and what answers a routed prefix may come in by another uplink; give \
             action = \"probe\" or \"none\"",
        );
    }
    listening
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
        let complaints =
            complaints(&format!("health = {{ hold_down = \"1s\", passive = {{ {keys} }} }}"));
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        complaints[0].clone()
    }

    #[test]
    fn what_answers_routed_packets_may_come_in_elsewhere() {
        let routed = |passive: &str| {
            format!(
                "health = {{ hold_down = \"1s\"{passive} }}\n\
                 ipv4 = {{ mode = \"routed\", prefix = \"198.51.100.64/27\" }}"
            )
        };
        let listening = |passive: &str| {
            config_with(&routed(passive)).uplinks[1].health.clone().unwrap().listening
        };
        assert_eq!(listening("").action, Suspicion::Ignored);
        assert_eq!(listening(", passive = { action = \"probe\" }").action, Suspicion::Probed);
        let complaints = complaints(&routed(", passive = { action = \"down\" }"));
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].ends_with("give action = \"probe\" or \"none\""), "{complaints:?}");
    }

    #[test]
    fn it_acts_without_probes_if_it_is_told_to() {
        assert!(listening("passive = { action = \"down\" }").acts());
        for action in ["probe", "none"] {
            let complaints =
                complaints(&format!("health = {{ passive = {{ action = \"{action}\" }} }}"));
            assert_eq!(complaints.len(), 1, "{complaints:?}");
        }
    }

    #[test]
    fn it_is_on_where_health_is_watched_at_all() {
        let plain =
            Listening { window: Duration::from_secs(2), packets: 10, action: Suspicion::Probed };
        assert_eq!(listening("hold_down = \"1s\""), plain);
        assert_eq!(listening("hold_down = \"1s\", passive = {}"), plain);
        assert_eq!(
            listening("hold_down = \"1s\", passive = { action = \"none\" }"),
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
