use std::net::Ipv4Addr;
use std::time::Duration;

use humantime::format_duration;

use super::bfd;
use super::desired::Health;
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::{sla, stability};

const PROBES: &str = "write probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }], or leave \
                      health out to watch the carrier only";
const TARGETS: usize = 8;
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many probes of one target can be under way at once.
const PROBES_UNDER_WAY: u32 = 10;
const DEFAULT_THRESHOLD: u32 = 3;

/// Reads an uplink's `health`.
pub(super) fn read(report: &mut Report<'_>, field: &Field<'_>) -> Option<Health> {
    let section =
        field.table(report, "write a table such as { interval = \"100ms\", probes = … }")?;
    section.expect_keys(
        report,
        &[
            "bfd",
            "probes",
            "interval",
            "timeout",
            "down_after",
            "up_after",
            "sla",
            "hold_down",
            "dampening",
        ],
        &[],
    );
    let bfd = section.get("bfd").and_then(|field| bfd::read(report, &field));
    let needs_none = section.get("bfd").is_some() || stability::is_given(&section);
    let probes = if needs_none && section.get("sla").is_none() {
        section.get("probes")
    } else {
        section.require(report, "probes", PROBES)
    };
    let targets = probes
        .and_then(|field| field.list(report, PROBES))
        .map(|probes| read_targets(report, &probes))
        .unwrap_or_default();
    let interval = section
        .get("interval")
        .and_then(|field| field.duration(report, SHORTEST_INTERVAL..=LONGEST_INTERVAL))
        .unwrap_or(DEFAULT_INTERVAL);
    let timeout = read_timeout(report, &section, interval);
    Some(Health {
        bfd,
        targets,
        interval,
        timeout,
        down_after: read_threshold(report, &section, "down_after"),
        up_after: read_threshold(report, &section, "up_after"),
        requirements: sla::read(report, &section, interval, timeout),
    })
}

fn read_targets(report: &mut Report<'_>, probes: &[Field<'_>]) -> Vec<Ipv4Addr> {
    if let Some(probe) = probes.get(TARGETS) {
        let count = probes.len();
        probe.error(report, format_args!("is one too many of {count}; keep {TARGETS} at most"));
    }
    let mut targets = Vec::new();
    for probe in probes.iter().take(TARGETS) {
        let Some(target) = read_target(report, probe) else {
            continue;
        };
        if targets.contains(&target) {
            probe.error(report, format_args!("has {target} again; give each target once"));
        }
        targets.push(target);
    }
    targets
}

fn read_target(report: &mut Report<'_>, probe: &Field<'_>) -> Option<Ipv4Addr> {
    let section = probe.table(report, "write { kind = \"icmp\", target = \"192.0.2.53\" }")?;
    let planned_kinds = ["tcp", "http", "https", "dns", "arp"];
    let kind = section.require(report, "kind", "write kind = \"icmp\"")?.choice(
        report,
        &[("icmp", ())],
        &planned_kinds,
    );
    // Another kind of probe has keys of its own: nothing more is to be said about this one.
    kind?;
    section.expect_keys(report, &["kind", "target"], &[]);
    let fix = "give the address of a host beyond the provider's router that answers pings";
    section.require(report, "target", fix)?.host(report, fix)
}

/// The timeout's default is the interval, as far as the bounds let it be.
fn read_timeout(report: &mut Report<'_>, section: &Section<'_>, interval: Duration) -> Duration {
    let default = interval.min(LONGEST_TIMEOUT);
    let Some(field) = section.get("timeout") else {
        return default;
    };
    let Some(timeout) = field.duration(report, SHORTEST_TIMEOUT..=LONGEST_TIMEOUT) else {
        return default;
    };
    let most = interval * PROBES_UNDER_WAY;
    if timeout > most {
        field.error(
            report,
            format_args!(
                "is \"{}\", more than {PROBES_UNDER_WAY} times the interval; give \"{}\" at most, \
                 or a longer interval",
                format_duration(timeout),
                format_duration(most)
            ),
        );
    }
    timeout
}

fn read_threshold(report: &mut Report<'_>, section: &Section<'_>, key: &str) -> u32 {
    section
        .get(key)
        .and_then(|field| field.integer(report, 1..=100, " probes in a row"))
        .unwrap_or(DEFAULT_THRESHOLD)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    const PROBE: &str = "probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }]";

    fn complaints_with(keys: &str) -> Vec<String> {
        complaints(&format!("[uplink.health]\n{PROBE}\n{keys}"))
    }

    #[test]
    fn timeout_follows_the_interval() {
        for (keys, interval, timeout) in [
            ("", 100, 100),
            ("interval = \"1s 500ms\"", 1500, 1500),
            ("interval = \"30s\"", 30_000, 10_000),
            ("interval = \"10ms\"\ntimeout = \"100ms\"", 10, 100),
        ] {
            let config = config_with(&format!("[uplink.health]\n{PROBE}\n{keys}"));
            let health = config.uplinks[1].health.as_ref().expect("it is given");
            assert_eq!(health.interval, Duration::from_millis(interval));
            assert_eq!(health.timeout, Duration::from_millis(timeout));
        }
    }

    #[test]
    fn times_are_bounded() {
        assert_eq!(
            complaints_with("interval = \"9ms\"\ntimeout = \"11s\""),
            [
                "11:12: uplink \"cable\": health.interval is \"9ms\"; give a duration, \"10ms\" to \
                 \"1m\"",
                "12:11: uplink \"cable\": health.timeout is \"11s\"; give a duration, \"1ms\" to \
                 \"10s\"",
            ]
        );
        assert_eq!(
            complaints_with("interval = 100\ntimeout = \"soon\""),
            [
                "11:12: uplink \"cable\": health.interval is a number; give a duration, \"10ms\" \
                 to \"1m\"",
                "12:11: uplink \"cable\": health.timeout is \"soon\"; give a duration, \"1ms\" to \
                 \"10s\"",
            ]
        );
        assert_eq!(
            complaints_with("timeout = \"1001ms\""),
            ["11:11: uplink \"cable\": health.timeout is \"1s 1ms\", more than 10 times the \
                 interval; give \"1s\" at most, or a longer interval"]
        );
    }

    #[test]
    fn thresholds_are_bounded() {
        assert_eq!(
            complaints_with("down_after = 0\nup_after = 101"),
            [
                "11:14: uplink \"cable\": health.down_after is 0; give 1 to 100 probes in a row",
                "12:12: uplink \"cable\": health.up_after is 101; give 1 to 100 probes in a row",
            ]
        );
    }

    #[test]
    fn there_is_a_probe_and_it_can_answer() {
        let write = "write probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }], or leave \
                     health out to watch the carrier only";
        assert_eq!(
            complaints("health = {}"),
            [format!("9:10: uplink \"cable\": health.probes is missing; {write}")]
        );
        assert_eq!(
            complaints("health.probes = []"),
            [format!("9:17: uplink \"cable\": health.probes is empty; {write}")]
        );
        let fix = "give the address of a host beyond the provider's router that answers pings";
        for (target, found) in [
            ("target = \"224.0.0.1\"", "is 224.0.0.1, a multicast address"),
            ("target = \"127.0.0.53\"", "is 127.0.0.53, a loopback address"),
            ("target = \"dns.example\"", "is \"dns.example\", not an IPv4 address"),
        ] {
            assert_eq!(
                complaints(&format!("health.probes = [{{ kind = \"icmp\", {target} }}]")),
                [format!("9:44: uplink \"cable\": health.probes[0].target {found}; {fix}")]
            );
        }
        assert_eq!(
            complaints("health.probes = [{ kind = \"icmp\" }]"),
            [format!("9:18: uplink \"cable\": health.probes[0].target is missing; {fix}")]
        );
    }

    #[test]
    fn targets_are_given_once_and_few() {
        let probe = |last: usize| format!("{{ kind = \"icmp\", target = \"192.0.2.{last}\" }}");
        assert_eq!(
            complaints(&format!("health.probes = [{}, {}]", probe(1), probe(1))),
            ["9:59: uplink \"cable\": health.probes[1] has 192.0.2.1 again; give each target once"]
        );
        let nine: Vec<String> = (1..=9).map(probe).collect();
        assert_eq!(
            complaints(&format!("health.probes = [\n{}\n]", nine.join(",\n"))),
            ["18:1: uplink \"cable\": health.probes[8] is one too many of 9; keep 8 at most"]
        );
    }

    #[test]
    fn only_icmp_is_there_yet() {
        assert_eq!(
            complaints("health.probes = [{ kind = \"http\", url = \"http://192.0.2.1/\" }]"),
            ["9:27: uplink \"cable\": health.probes[0].kind \"http\" is not supported yet; use \
                 \"icmp\""]
        );
        assert_eq!(
            complaints("health.probes = [{ kind = \"imcp\", target = \"192.0.2.1\" }]"),
            ["9:27: uplink \"cable\": health.probes[0].kind is \"imcp\"; give \"icmp\""]
        );
    }
}
