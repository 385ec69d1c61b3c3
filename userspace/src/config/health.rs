use std::time::Duration;

use super::bfd;
use super::desired::Health;
use super::diagnostic::Report;
use super::probe::{self, Pace};
use super::section::{Field, Section};
use super::suggest::quoted;
use super::{passive, sla, stability};
use crate::probe::Probe;
use crate::uplink::Quorum;

const PROBES: &str = "write probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }], or leave \
                      health out to watch the carrier only";
const MOST_PROBES: usize = 8;
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);
const DEFAULT_THRESHOLD: u32 = 3;
const QUORUM: &str = "give \"any\", \"all\", or how many of the probes";

/// Reads the `health` of an uplink that carries IPv6 or does not, and routes something as it is or does not.
pub(super) fn read(
    report: &mut Report<'_>,
    field: &Field<'_>,
    (ipv6, routes): (bool, bool),
) -> Option<Health> {
    let section =
        field.table(report, "write a table such as { interval = \"100ms\", probes = … }")?;
    section.expect_keys(
        report,
        &[
            "bfd",
            "probes",
            "quorum",
            "interval",
            "timeout",
            "down_after",
            "up_after",
            "sla",
            "hold_down",
            "dampening",
            "passive",
        ],
        &[],
    );
    let pace = Pace::read(report, &section, Pace::of(DEFAULT_INTERVAL));
    let bfd = section.get("bfd").and_then(|field| bfd::read(report, &field, ipv6));
    let listening = passive::read(report, &section, routes);
    let needs_none =
        section.get("bfd").is_some() || stability::is_given(&section) || listening.acts();
    let probes = if needs_none && section.get("sla").is_none() {
        section.get("probes")
    } else {
        section.require(report, "probes", PROBES)
    };
    let fields = probes.and_then(|field| field.list(report, PROBES)).unwrap_or_default();
    let probes = read_probes(report, &fields, pace, ipv6);
    let quorum = section.get("quorum").and_then(|field| read_quorum(report, &field, fields.len()));
    // So the rarest one has figures too: where another is gone, that is the best.
    let interval = probes.iter().map(|probe| probe.interval).max().unwrap_or(pace.interval());
    let timeout = probes.iter().map(|probe| probe.timeout).max().unwrap_or(pace.timeout());
    Some(Health {
        bfd,
        quorum: quorum.unwrap_or_default(),
        probes,
        down_after: read_threshold(report, &section, "down_after"),
        up_after: read_threshold(report, &section, "up_after"),
        listening,
        requirements: sla::read(report, &section, interval, timeout),
    })
}

fn read_probes(
    report: &mut Report<'_>,
    fields: &[Field<'_>],
    pace: Pace,
    ipv6: bool,
) -> Vec<Probe> {
    if let Some(field) = fields.get(MOST_PROBES) {
        let count = fields.len();
        field.error(report, format_args!("is one too many of {count}; keep {MOST_PROBES} at most"));
    }
    let mut probes: Vec<Probe> = Vec::new();
    for field in fields.iter().take(MOST_PROBES) {
        let Some(probe) = probe::read(report, field, pace, ipv6) else {
            continue;
        };
        if probes.iter().any(|earlier| earlier.id() == probe.id()) {
            let id = probe.id();
            field.error(report, format_args!("has {id} again; give each probe once"));
        }
        probes.push(probe);
    }
    probes
}

/// Reads how many of so many probes have to be answering.
fn read_quorum(report: &mut Report<'_>, field: &Field<'_>, probes: usize) -> Option<Quorum> {
    if field.value.as_integer().is_none() {
        let text = field.string(report, QUORUM)?;
        let quorum = match text {
            "any" => Some(Quorum::Any),
            "all" => Some(Quorum::All),
            _ => None,
        };
        if quorum.is_none() {
            field.error(report, format_args!("is {}; {QUORUM}", quoted(text)));
        }
        return quorum;
    }
    let most = u32::try_from(probes).unwrap_or(u32::MAX).max(1);
    let count = field.integer(report, 1..=most, " of the probes, \"any\" or \"all\"")?;
    Some(Quorum::AtLeast(count as usize))
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
            ("target = \"dns.example\"", "is \"dns.example\", not an address"),
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
    fn probes_are_given_once_and_few() {
        let probe = |last: usize| format!("{{ kind = \"icmp\", target = \"192.0.2.{last}\" }}");
        assert_eq!(
            complaints(&format!("health.probes = [{}, {}]", probe(1), probe(1))),
            [
                "9:59: uplink \"cable\": health.probes[1] has icmp 192.0.2.1 again; give each probe once"
            ]
        );
        let faster = "{ kind = \"icmp\", target = \"192.0.2.1\", interval = \"50ms\" }";
        assert_eq!(complaints(&format!("health.probes = [{}, {faster}]", probe(1))).len(), 1);
        let nine: Vec<String> = (1..=9).map(probe).collect();
        assert_eq!(
            complaints(&format!("health.probes = [\n{}\n]", nine.join(",\n"))),
            ["18:1: uplink \"cable\": health.probes[8] is one too many of 9; keep 8 at most"]
        );
    }

    #[test]
    fn the_quorum_is_any_all_or_so_many_of_the_probes() {
        let with = |quorum: &str| format!("[uplink.health]\n{PROBE}\nquorum = {quorum}");
        for (given, quorum) in
            [("\"any\"", Quorum::Any), ("\"all\"", Quorum::All), ("1", Quorum::AtLeast(1))]
        {
            let config = config_with(&with(given));
            assert_eq!(config.uplinks[1].health.as_ref().expect("it is given").quorum, quorum);
        }
        for (given, found) in [
            ("\"most\"", format!("is \"most\"; {QUORUM}")),
            ("true", format!("is true; {QUORUM}")),
            ("0", "is 0; give 1 to 1 of the probes, \"any\" or \"all\"".to_owned()),
            ("2", "is 2; give 1 to 1 of the probes, \"any\" or \"all\"".to_owned()),
        ] {
            assert_eq!(
                complaints(&with(given)),
                [format!("11:10: uplink \"cable\": health.quorum {found}")]
            );
        }
    }
}
