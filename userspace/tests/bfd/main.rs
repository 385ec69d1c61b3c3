//! BFD with BIRD, and by a router that has none, through the daemon, in a laboratory site.

mod bird;
mod drain;
mod echo;
mod forged;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman::api::BfdStatus;
use pointsman::api::status::Status;
use pointsman_lab::{LabError, Site, plan, plan6, wait_until};

use bird::Bird;
use support::{BOUND, Gateway};

/// A site whose first uplink has a session besides its probes.
fn configuration(directory: &Path, bfd: &str) -> String {
    let bfd = format!("health = {{ bfd = {{ interval = \"10ms\", multiplier = 3{bfd} }}, ");
    support::configuration(directory).replacen("health = { ", &bfd, 1)
}

fn gateway(site: Site, bfd: &str) -> Gateway {
    Gateway::configured(site, |directory| configuration(directory, bfd))
}

fn fiber(status: &Status) -> &BfdStatus {
    status.uplinks[0].bfd.as_ref().unwrap()
}

fn wait_until_both_are_up(gateway: &Gateway, bird: &Bird) {
    gateway.wait_for("the session is up", |status| fiber(status).state == "up");
    wait_until("BIRD's is too", BOUND, || Ok::<_, LabError>(bird.is_up())).unwrap();
}

#[test]
fn a_session_comes_up_and_says_when_the_other_end_falls_silent() {
    let site = Site::builder().build().unwrap();
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), "");
    let gateway = gateway(site, "");
    wait_until_both_are_up(&gateway, &bird);
    // What is agreed upon, once the slow start is over.
    gateway.wait_for("the intervals are agreed upon", |status| {
        (fiber(status).transmit_ms, fiber(status).detection_ms) == (Some(10.0), Some(30.0))
    });
    wait_until("BIRD agrees", BOUND, || {
        Ok::<_, LabError>(bird.session() == Some(("Up".into(), 0.010, 0.030)))
    })
    .unwrap();
    let heard = gateway.status().bfd_heard.packets;
    gateway.wait_for("the data plane hears BIRD", |status| status.bfd_heard.packets > heard + 100);
    bird.signal(Signal::SIGSTOP);
    gateway.wait_for("the uplink is down", |status| status.uplinks[0].state == "down");
    let status = gateway.status();
    assert_eq!(status.uplinks[0].reason, "the BFD session is down: control detection time expired");
    assert_eq!(fiber(&status).reason.as_deref(), Some("control detection time expired"));
    assert_eq!(fiber(&status).detection_ms, None);
    assert_eq!(status.uplinks[1].state, "up");
    bird.signal(Signal::SIGCONT);
    gateway.wait_for("it is up again", |status| status.uplinks[0].state == "up");
    wait_until_both_are_up(&gateway, &bird);
}

#[test]
fn the_other_end_notices_that_the_daemon_is_gone() {
    let site = Site::builder().build().unwrap();
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), "");
    let gateway = gateway(site, "");
    wait_until_both_are_up(&gateway, &bird);
    let daemon = Pid::from_raw(gateway.daemon.process.id() as i32);
    kill(daemon, Signal::SIGSTOP).unwrap();
    let noticed = wait_until("BIRD notices", BOUND, || Ok::<_, LabError>(!bird.is_up()));
    kill(daemon, Signal::SIGCONT).unwrap();
    noticed.unwrap();
    wait_until_both_are_up(&gateway, &bird);
    gateway.wait_for("the uplink is up again", |status| status.uplinks[0].state == "up");
}

/// The ways of authentication, as BIRD's configuration and the gateway's have them.
const AUTHENTICATION: [(&str, &str); 3] =
    [("simple", "simple"), ("keyed sha1", "sha1"), ("meticulous keyed sha1", "meticulous-sha1")];

#[test]
fn sessions_are_authenticated_over_ipv6() {
    for (bird, kind) in AUTHENTICATION {
        let site = Site::builder().build().unwrap();
        site.enable_ipv6(&[]).unwrap();
        let bird = format!("authentication {bird}; password \"points\" {{ id 7; }};");
        let bird = Bird::start(&site.uplinks[0].isp, &plan6::gateway(0).to_string(), &bird);
        let gateway = gateway(
            site,
            &format!(
                ", peer = \"{}\", authentication = {{ kind = \"{kind}\", key_id = 7, secret = \
                 \"points\" }}",
                plan6::isp(0)
            ),
        );
        wait_until_both_are_up(&gateway, &bird);
        // A while later, for sequence numbers go on.
        let sent = |status: &Status| status.passed["local"].packets;
        let before = sent(&gateway.status());
        gateway.wait_for("packets come", |status| sent(status) > before + 100);
        assert_eq!(fiber(&gateway.status()).state, "up", "{kind}");
        assert!(bird.is_up(), "{kind}");
    }
}

#[test]
fn nobody_is_believed_who_has_another_secret() {
    let site = Site::builder().build().unwrap();
    let authentication = "authentication meticulous keyed sha1; password \"points\" { id 7; };";
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), authentication);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pointsman.toml");
    let bfd = ", authentication = { kind = \"meticulous-sha1\", key_id = 7, secret = \"other\" }";
    std::fs::write(&file, configuration(directory.path(), bfd)).unwrap();
    let daemon = support::Daemon::start(&site.gateway, &file);
    let gateway = Gateway { site, directory, daemon };
    // With the same secret it takes two seconds: that it is never up is to be seen for longer.
    gateway.wait_for("five seconds have passed", |status| {
        assert_eq!((status.uplinks[0].state.as_str(), bird.is_up()), ("testing", false));
        assert_eq!(status.uplinks[0].reason, "waiting for the BFD session to come up");
        status.uptime_s > 5.0
    });
}

/// Two minutes in which every core has more to do than it can: neither end takes that for a dead uplink.
#[test]
#[ignore = "it takes two minutes, and all cores"]
fn a_busy_machine_is_no_dead_uplink() {
    let site = Site::builder().build().unwrap();
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), "");
    // BIRD's timers are to be as good as ours.
    bird.claim_realtime();
    let gateway = gateway(site, "");
    wait_until_both_are_up(&gateway, &bird);
    let since = |status: &Status| status.uplinks[0].since_s;
    let (before, start) = (since(&gateway.status()), Instant::now());
    let cores = thread::available_parallelism().unwrap().get();
    let end = start + Duration::from_secs(120);
    let busy: Vec<_> = (0..2 * cores)
        .map(|_| {
            thread::spawn(move || {
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    let (after, passed) = (since(&gateway.status()), start.elapsed().as_secs_f64());
    assert!(after >= before + passed - 1.0, "up since {after} s, and before since {before} s");
    assert!(bird.is_up());
    let log = gateway.daemon.log();
    assert_eq!(log.matches("uplink fiber: down").count(), 0, "{log}");
}
