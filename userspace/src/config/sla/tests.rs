use super::super::tests::{complaints, config_with};
use super::*;

const PROBE: &str = "probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }]";

/// The service level of an uplink whose health has these lines, from line 11 on.
fn sla(keys: &str) -> Sla {
    let config = config_with(&format!("[uplink.health]\n{PROBE}\n{keys}"));
    config.uplinks[1].health.as_ref().expect("it is given").requirements.sla.clone()
}

fn complaints_with(keys: &str) -> Vec<String> {
    let found = complaints(&format!("[uplink.health]\n{PROBE}\n{keys}"));
    let prefix = "uplink \"cable\": health.";
    found.into_iter().map(|complaint| complaint.replacen(prefix, "", 1)).collect()
}

#[test]
fn reads_what_is_given() {
    let keys = "timeout = \"1s\"
        [uplink.health.sla]
        window = \"30s\"
        min_samples = 20
        [uplink.health.sla.degraded]
        loss = { enter = \"2.5 %\", leave = \"0%\" }
        latency = { enter = \"150ms\", leave = \"100ms\" }
        jitter = { enter = \"1ms\", leave = \"500us\", percentile = \"p50\" }
        [uplink.health.sla.down]
        loss = { enter = \"100%\", leave = \"50%\" }";
    let limit = |metric, enter, leave| Limit { metric, enter, leave };
    let expected = Sla {
        window: Duration::from_secs(30),
        min_samples: 20,
        degraded: vec![
            limit(Metric::Loss, 25_000, 0),
            limit(Metric::Latency(Percentile::P95), 150_000, 100_000),
            limit(Metric::Jitter(Percentile::P50), 1000, 500),
        ],
        down: vec![limit(Metric::Loss, 1_000_000, 500_000)],
    };
    assert_eq!(sla(keys), expected);
}

#[test]
fn the_window_holds_enough_probes() {
    let window = |keys: &str| {
        let limit = "sla.down.loss = { enter = \"50%\", leave = \"5%\" }";
        sla(&format!("{keys}\n{limit}")).window.as_secs()
    };
    assert_eq!(window(""), 10);
    assert_eq!(window("interval = \"1m\""), 20 * 60);
    assert_eq!(window("interval = \"1s\"\nsla.min_samples = 500"), 1000);
    // What is measured where nothing is asked for.
    assert_eq!(sla(""), Sla::default());
    assert_eq!(sla("interval = \"2s\"").window.as_secs(), 40);

    let limit = "degraded = { loss = { enter = \"5%\", leave = \"1%\" } }";
    for (given, is_good) in
        [("1099ms", false), ("1100ms", true), ("100s", true), ("100s 1ms", false)]
    {
        let found = complaints_with(&format!("sla = {{ window = \"{given}\", {limit} }}"));
        let shown = given.replace("1099ms", "1s 99ms").replace("100s", "1m 40s");
        let complaint = format!(
            "11:18: sla.window is \"{shown}\"; with an interval of \"100ms\", give \"1s 100ms\" to \
             \"1m 40s\", for 11 to 1000 probes"
        );
        let expected = if is_good { Vec::new() } else { vec![complaint] };
        assert_eq!(found, expected);
    }
}

#[test]
fn there_are_limits_and_something_that_measures() {
    let example = "such as { loss = { enter = \"5%\", leave = \"1%\" } }";
    for (keys, found) in [
        ("sla = 1", format!("11:7: sla is a number; {SLA}")),
        ("sla = {}", format!("11:7: sla has neither degraded nor down; {SLA}")),
        (
            "sla.degraded = {}",
            format!(
                "11:16: sla.degraded has no limit; give limits of loss, latency or jitter, {example}"
            ),
        ),
        ("sla.down = []", format!("11:12: sla.down is a list; {LIMITS}")),
        ("sla.down.loss = \"5%\"", format!("11:17: sla.down.loss is text; {LOSS}")),
        ("sla.down.jitter = \"5ms\"", format!("11:19: sla.down.jitter is text; {DELAY}")),
        (
            "sla.down.loss = { enter = \"5%\" }",
            format!("11:17: sla.down.loss.leave is missing; {LOSS}"),
        ),
        (
            "sla.down.latency = { leave = \"50ms\" }",
            format!("11:20: sla.down.latency.enter is missing; {DELAY}"),
        ),
        (
            "sla = { down = { loss = { enter = \"5%\", leave = \"1%\" } }, min_samples = 501 }",
            "11:73: sla.min_samples is 501; give 1 to 500 values that make a figure".to_owned(),
        ),
    ] {
        assert_eq!(complaints_with(keys), [found]);
    }
    let without_probes =
        "[uplink.health]\nhold_down = \"1s\"\nsla.down.loss = { enter = \"5%\", leave = \"1%\" }";
    let missing = complaints(without_probes);
    assert!(
        missing[0].starts_with("9:1: uplink \"cable\": health.probes is missing"),
        "{missing:?}"
    );
}

#[test]
fn unknown_keys_get_a_suggestion() {
    let bounds = "enter = \"50%\", leave = \"5%\"";
    for (keys, found) in [
        (
            format!("sla = {{ windows = \"10s\", down = {{ loss = {{ {bounds} }} }} }}"),
            "11:9: sla.windows is not a known key; did you mean window?",
        ),
        (
            format!("sla.down = {{ loss = {{ {bounds} }}, laten = {{}} }}"),
            "11:54: sla.down.laten is not a known key; did you mean latency?",
        ),
        (
            format!("sla.down.loss = {{ {bounds}, percentile = \"p95\" }}"),
            "11:48: sla.down.loss.percentile is not a known key; known here: enter, leave",
        ),
        (
            "sla.down.latency = { enter = \"9ms\", leave = \"5ms\", percentile = \"p99\" }"
                .to_owned(),
            "11:65: sla.down.latency.percentile is \"p99\"; give \"p50\" or \"p95\" (did you mean \
             \"p95\"?)",
        ),
    ] {
        assert_eq!(complaints_with(&keys), [found]);
    }
}

#[test]
fn bounds_are_values_and_in_order() {
    let percentage = "give a percentage, \"0%\" to \"100%\"";
    for given in ["20", "%", "101%", "-1%", "NaN%", "2 0%"] {
        let found =
            complaints_with(&format!("sla.down.loss = {{ enter = \"{given}\", leave = \"0%\" }}"));
        assert_eq!(found, [format!("11:27: sla.down.loss.enter is \"{given}\"; {percentage}")]);
    }
    let back =
        "is not less than enter; give less, so that the state does not change back and forth";
    for (keys, found) in [
        (
            "sla.down.loss = { enter = 0.2, leave = \"0%\" }",
            format!("11:27: sla.down.loss.enter is a number; {percentage}"),
        ),
        (
            "sla.down.latency = { enter = \"11s\", leave = \"5ms\" }",
            "11:30: sla.down.latency.enter is \"11s\"; give a duration, \"1us\" to \"10s\"".to_owned(),
        ),
        (
            "sla.down.loss = { enter = \"5%\", leave = \"5%\" }",
            format!("11:41: sla.down.loss.leave {back}"),
        ),
        (
            "sla.down.jitter = { enter = \"5ms\", leave = \"6ms\" }",
            format!("11:44: sla.down.jitter.leave {back}"),
        ),
        (
            "sla.down.latency = { enter = \"101ms\", leave = \"50ms\" }",
            "11:30: sla.down.latency.enter is more than the timeout of \"100ms\", after which a probe \
             is lost; give less, or a longer timeout"
                .to_owned(),
        ),
    ] {
        assert_eq!(complaints_with(keys), [found]);
    }
    sla("sla.down.latency = { enter = \"100ms\", leave = \"50ms\" }");
}

#[test]
fn down_is_worse_than_degraded() {
    let both = |down: &str| {
        format!(
            "timeout = \"1s\"\n[uplink.health.sla]\n\
             degraded = {{ latency = {{ enter = \"150ms\", leave = \"100ms\" }} }}\n\
             down = {{ latency = {{ {down} }} }}"
        )
    };
    assert_eq!(
        complaints_with(&both("enter = \"149ms\", leave = \"50ms\"")),
        [
            "14:30: sla.down.latency.enter is less than what degrades the uplink; give as much, or more"
        ]
    );
    sla(&both("enter = \"150ms\", leave = \"50ms\""));
    // The median is another figure.
    sla(&both("enter = \"149ms\", leave = \"50ms\", percentile = \"p50\""));
}
