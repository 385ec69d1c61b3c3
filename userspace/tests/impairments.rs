//! Uplinks whose cable loses, delays and comes and goes: each becomes what the configuration says.

#[path = "support/states.rs"]
mod states;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use pointsman_lab::{Direction, Impairment, Relay, Site};

use support::{Gateway, configuration};

/// Which frames the cables lose, and for how long they delay each.
const SEED: u64 = 20_261_130;

/// A site with two uplinks whose cables can be impaired, with these keys in the first one's `health`.
fn gateway(health: &str) -> Gateway {
    let site = Site::builder().impaired(SEED).build().unwrap();
    Gateway::configured(site, |directory| {
        let interval = "interval = \"50ms\"";
        configuration(directory).replacen(interval, &format!("{interval}, {health}"), 1)
    })
}

fn relay(gateway: &Gateway) -> &Relay {
    gateway.site.uplinks[0].relay.as_ref().unwrap()
}

/// How often the daemon has said that the first uplink is in another state.
fn changes(gateway: &Gateway) -> usize {
    let log = gateway.daemon.log();
    log.lines().filter(|line| line.contains("uplink fiber: ")).count()
}

/// Impairs the first uplink on the way to the provider, waits until it is degraded for a reason that starts
/// so, mends it, and waits until it is good again. The other one stays what it is.
fn degrades(gateway: &Gateway, impairment: Impairment, reason: &str) {
    let before = changes(gateway);
    relay(gateway).set(Direction::ToFar, impairment);
    gateway.wait_for_states("degraded", "up");
    let told = gateway.status().uplinks.swap_remove(0).reason;
    assert!(told.starts_with(reason), "{told}");
    relay(gateway).set(Direction::ToFar, Impairment::default());
    gateway.wait_for_states("up", "up");
    assert_eq!(changes(gateway), before + 2);
}

#[test]
fn forty_in_a_hundred_lost_are_too_many() {
    let gateway = gateway(
        "down_after = 100, \
         sla = { window = \"4s\", degraded = { loss = { enter = \"20%\", leave = \"2%\" } } }",
    );
    let impairment = Impairment { loss: 0.4, ..Impairment::default() };
    degrades(&gateway, impairment, "service level: loss ");
}

#[test]
fn a_step_of_300_milliseconds_is_too_slow() {
    let gateway = gateway(
        "timeout = \"500ms\", \
         sla = { window = \"4s\", degraded = { latency = { enter = \"150ms\", leave = \"100ms\" } } }",
    );
    let delay = Duration::from_millis(300);
    let impairment = Impairment { delay, ..Impairment::default() };
    degrades(&gateway, impairment, "service level: p95 latency ");
}

#[test]
fn fifty_milliseconds_of_jitter_are_too_uneven() {
    let gateway = gateway(
        "timeout = \"500ms\", \
         sla = { window = \"4s\", degraded = { jitter = { enter = \"20ms\", leave = \"10ms\" } } }",
    );
    let impairment = Impairment { jitter: Duration::from_millis(50), ..Impairment::default() };
    degrades(&gateway, impairment, "service level: p95 jitter ");
}

/// Each loss adds 1000 to a penalty that hardly decays meanwhile, and from the third on it is above 2500.
#[test]
fn what_flaps_for_half_a_minute_is_down_after_three_times() {
    const LOSSES: usize = 3;
    let dampening = "dampening = { half_life = \"5m\", suppress = 2500 }";
    let gateway = gateway(dampening);
    let before = changes(&gateway);
    let start = Instant::now();
    let mut is_down = false;
    while start.elapsed() < Duration::from_secs(30) {
        is_down = !is_down;
        let impairment = if is_down { Impairment::BLACKHOLE } else { Impairment::default() };
        relay(&gateway).set_both(impairment);
        // The flapping itself: nothing is waited for.
        thread::sleep(Duration::from_millis(300));
    }
    relay(&gateway).set_both(Impairment::default());
    gateway.wait_for("it works, and is not believed", |status| {
        let [fiber, cable] = &status.uplinks[..] else { return false };
        fiber.reason.starts_with("dampened: flapped ") && cable.state == "up"
    });
    // Down each time, and up again but for the last.
    let changed = changes(&gateway) - before;
    assert!((2..=2 * LOSSES - 1).contains(&changed), "{changed} changes");
}
