//! Uplinks that work and are not good, come and go, or are all that is left.

#[path = "support/reload.rs"]
mod reload;
#[path = "support/states.rs"]
mod states;
mod support;

use std::net::Ipv4Addr;
use std::process::Output;

use pointsman::api::status::UplinkStatus;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Site, wait_until};

use support::{BOUND, Gateway, configuration};

/// A site with two uplinks, of whose `health` these are more keys, and with `more` in the configuration.
fn gateway(health: &str, more: &str) -> Gateway {
    let site = Site::builder().client_addresses(16).build().unwrap();
    Gateway::configured(site, |directory| with(&configuration(directory), health, more))
}

fn with(configuration: &str, health: &str, more: &str) -> String {
    let interval = "interval = \"50ms\"";
    configuration.replace(interval, &format!("{interval}, {health}")) + more
}

impl Gateway {
    fn uplink(&self, index: usize) -> UplinkStatus {
        self.status().uplinks.swap_remove(index)
    }

    fn last_resort(&self) -> Option<usize> {
        self.status().uplinks.iter().position(|uplink| uplink.last_resort)
    }

    /// Pings the server once from one of the client's addresses.
    fn ping_from(&self, address: Ipv4Addr) -> Output {
        let (from, to) = (address.to_string(), SERVER.to_string());
        let arguments = ["-n", "-c", "1", "-W", "5", "-I", &from, &to];
        self.site.client.command("ping").args(arguments).output().unwrap()
    }

    /// The same from all of them, each of which succeeds. Returns how many left by each uplink.
    fn ping_from_all(&self) -> [u64; 2] {
        let out = || [0, 1].map(|index| self.uplink(index).out.packets);
        let before = out();
        for address in self.site.client_addresses() {
            let output = self.ping_from(address);
            assert!(output.status.success(), "{output:?}");
        }
        let after = out();
        [0, 1].map(|index| after[index] - before[index])
    }
}

#[test]
fn new_flows_take_the_path_that_is_good() {
    let sla = "sla = { window = \"50s\", degraded = { loss = { enter = \"1%\", leave = \"0%\" } } }, \
               down_after = 100";
    let gateway = gateway(sla, "");
    let fresh = gateway.ping_from_all();
    assert!(fresh[0] > 0 && fresh[1] > 0, "{fresh:?}");
    gateway.site.uplinks[0].blackhole(true).unwrap();
    gateway.wait_for_states("degraded", "up");
    gateway.site.uplinks[0].blackhole(false).unwrap();
    // It was bad for a moment, which counts for the next 50 seconds.
    assert_eq!(gateway.ping_from_all(), [0, 16]);
    let [fiber, cable] = [0, 1].map(|index| gateway.uplink(index));
    assert!(!fiber.preferred && cable.preferred);
    assert!(fiber.reason.starts_with("service level: loss "), "{}", fiber.reason);
    let quality = fiber.quality.unwrap();
    assert!(quality.loss.unwrap() > 0.0 && quality.latency_p95_ms.unwrap() > 0.0, "{quality:?}");
    assert_eq!(cable.quality.unwrap().loss, Some(0.0));
    // Where the other one goes, it is good enough.
    gateway.site.uplinks[1].cut().unwrap();
    gateway.wait_for_states("degraded", "down");
    assert_eq!(gateway.ping_from_all(), [16, 0]);
}

/// Without probes, nothing but the clock tells that it is time.
#[test]
fn what_is_held_down_returns_in_time() {
    let site = Site::builder().build().unwrap();
    let gateway = Gateway::configured(site, |directory| {
        let configuration = configuration(directory);
        let lines = configuration.lines().map(|line| match line.split_once(" = ") {
            Some(("health", _)) => "health = { hold_down = \"3s\" }\n".to_owned(),
            _ => format!("{line}\n"),
        });
        lines.collect()
    });
    gateway.site.uplinks[0].cut().unwrap();
    gateway.wait_for_states("down", "up");
    gateway.site.uplinks[0].restore().unwrap();
    gateway.wait_for("fiber is held down", |status| {
        status.uplinks[0]
            .reason
            .starts_with("held down until it has been well for 3s; back in about")
    });
    let back = gateway.uplink(0).back_in_s;
    assert!(back.is_none_or(|seconds| seconds <= 3.0), "{back:?}");
    gateway.wait_for_states("up", "up");
}

#[test]
fn what_flaps_is_dampened_and_returns() {
    let dampening = "dampening = { half_life = \"5s\", suppress = 1200 }";
    let gateway = gateway(dampening, "");
    for _ in 0..2 {
        gateway.wait_for_states("up", "up");
        gateway.site.uplinks[0].cut().unwrap();
        gateway.wait_for_states("down", "up");
        gateway.site.uplinks[0].restore().unwrap();
    }
    gateway.wait_for("fiber is dampened", |status| {
        status.uplinks[0].reason.starts_with("dampened: flapped 2 times; back in about ")
    });
    assert!(gateway.uplink(0).dampening.is_some_and(|dampening| dampening.flaps == 2));
    assert!(gateway.uplink(1).dampening.is_some_and(|dampening| dampening.flaps == 0));
    gateway.wait_for_states("up", "up");
}

#[test]
fn the_least_bad_carries_on_unless_nobody_is_to() {
    let hold_down = "hold_down = \"1h\"";
    let gateway = gateway(hold_down, "");
    for uplink in &gateway.site.uplinks {
        uplink.blackhole(true).unwrap();
    }
    gateway.wait_for_states("down", "down");
    for uplink in &gateway.site.uplinks {
        uplink.blackhole(false).unwrap();
    }
    gateway.wait_for("both are held down", |status| {
        status.uplinks.iter().all(|uplink| uplink.reason.starts_with("held down"))
    });
    let kept = gateway.last_resort().expect("one is kept");
    let taken = gateway.ping_from_all();
    assert_eq!((taken[kept], taken[1 - kept]), (16, 0));

    // Without a carrier, it is the other one's turn.
    gateway.site.uplinks[kept].cut().unwrap();
    gateway.wait_for("the other one is kept", |status| status.uplinks[1 - kept].last_resort);
    let taken = gateway.ping_from_all();
    assert_eq!((taken[kept], taken[1 - kept]), (0, 16));

    let group = "[[group]]\nname = \"default\"\nlast_resort = \"unreachable\"\n";
    gateway.reload(&with(&configuration(gateway.directory.path()), hold_down, group));
    let waited = wait_until("none is kept", BOUND, || Ok(gateway.last_resort().is_none()));
    waited.unwrap();
    let output = gateway.ping_from(gateway.site.client_addresses().next().unwrap());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && told.contains("Destination Net Unreachable"), "{told}");
}
