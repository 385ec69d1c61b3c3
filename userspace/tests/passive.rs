//! What traffic shows of an uplink by itself: that nothing comes back, and how long servers take.

#[path = "support/states.rs"]
mod states;
mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use pointsman::api::status::{Status, TcpStatus};
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Direction, Impairment, LabError, Site, wait_until};

use support::{BOUND, Gateway, configuration};

/// The configuration, with this as the first uplink's `health`.
fn with(configuration: &str, health: &str) -> String {
    let mut health = Some(health);
    let lines = configuration.lines().map(|line| match line.split_once(" = ") {
        Some(("health", _)) if health.is_some() => {
            format!("health = {{ {} }}\n", health.take().unwrap_or_default())
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// The provider still answers ARP, and has a carrier, and no probe is sent.
#[test]
fn an_uplink_that_sends_and_gets_nothing_is_left() {
    let site = Site::builder().client_addresses(8).build().unwrap();
    let gateway = Gateway::configured(site, |directory| {
        let passive =
            "passive = { action = \"down\", window = \"500ms\", packets = 3, retry = \"2s\" }";
        // Each flow for itself: a host would keep to where its others are.
        let group = "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\nsticky = \"flow\"\n";
        with(&configuration(directory), passive) + group
    });
    gateway.site.uplinks[0].blackhole(true).unwrap();
    let mut down = None;
    wait_until("fiber is down for its silence", BOUND, || {
        ping_from_all(&gateway);
        down = Some(gateway.status()).filter(|status| status.uplinks[0].state == "down");
        Ok::<_, LabError>(down.is_some())
    })
    .unwrap();
    let status = down.expect("it is");
    let reason = &status.uplinks[0].reason;
    assert!(reason.contains(" packets sent in "), "{reason}");
    assert!(reason.ends_with(", and none received"), "{reason}");
    assert_eq!(status.uplinks[1].state, "up");
    // It is on trial again.
    gateway.wait_for("fiber is on trial", |status| status.uplinks[0].state == "up");
    gateway.site.uplinks[0].blackhole(false).unwrap();
    let received = |status: &Status| status.uplinks[0].back.packets;
    let before = received(&gateway.status());
    wait_until("fiber brings answers", BOUND, || {
        ping_from_all(&gateway);
        Ok::<_, LabError>(received(&gateway.status()) > before)
    })
    .unwrap();
    assert_eq!(gateway.status().uplinks[0].state, "up");
}

/// One ping from each of the client's addresses, whatever becomes of it.
fn ping_from_all(gateway: &Gateway) {
    let mut pings: Vec<_> = { gateway.site.client_addresses() }
        .map(|from| {
            let (from, to) = (from.to_string(), SERVER.to_string());
            let arguments = ["-n", "-q", "-c", "8", "-i", "0.1", "-W", "0.2", "-I", &from, &to];
            gateway
                .site
                .client
                .command("ping")
                .args(arguments)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for ping in &mut pings {
        ping.wait().unwrap();
    }
}

fn tcp(gateway: &Gateway) -> Option<TcpStatus> {
    gateway.status().uplinks[0].tcp
}

/// Over a cable with a known delay each way, and then one that loses all for a while.
#[test]
fn connections_show_how_long_servers_take_and_what_is_lost() {
    const DELAY: Duration = Duration::from_millis(40);
    let site = Site::builder().impaired(7).build().unwrap();
    let gateway = Gateway::configured(site, |directory| {
        with(&configuration(directory), "hold_down = \"0s\"")
    });
    // All goes by fiber.
    gateway.site.uplinks[1].cut().unwrap();
    gateway.wait_for_states("up", "down");
    let relay = gateway.site.uplinks[0].relay.as_ref().unwrap();
    relay.set_both(Impairment { delay: DELAY, ..Impairment::default() });
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    for _ in 0..10 {
        gateway.site.client.run(|| TcpStream::connect((SERVER, 80))).unwrap();
        listener.accept().unwrap();
    }
    let known = tcp(&gateway).expect("there were connections");
    assert_eq!((known.handshakes, known.retransmissions), (10, 0), "{known:?}");
    // A figure is off by 6 % at most.
    let least = 2.0 * DELAY.as_secs_f64() * 1e3 * 0.93;
    assert!(known.rtt_p50_ms.is_some_and(|rtt| rtt >= least), "{known:?}");
    // After a second the SYN would have come again.
    assert!(known.rtt_p95_ms.is_some_and(|rtt| rtt < 1000.0 * 1.07), "{known:?}");
    relay.set(Direction::ToFar, Impairment::BLACKHOLE);
    let server = SocketAddr::from((SERVER, 80));
    thread::scope(|scope| {
        scope.spawn(|| {
            gateway.site.client.run(|| TcpStream::connect_timeout(&server, BOUND)).unwrap()
        });
        wait_until("the SYN is sent again", BOUND, || {
            Ok::<_, LabError>(tcp(&gateway).is_some_and(|known| known.retransmissions > 0))
        })
        .unwrap();
        relay.set_both(Impairment::default());
    });
    let known = tcp(&gateway).expect("there were connections");
    assert_eq!(known.handshakes, 11, "{known:?}");
    assert!(known.retransmitted.is_some_and(|share| share > 0.0 && share < 0.5), "{known:?}");
}
