//! BFD by packets that the provider's router sends back (RFC 9747), and that runs no BFD.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman_lab::{LabError, Nic, PacketSocket, Site, plan, plan6, wait_until};

use super::fiber;
use super::support::{self, BOUND, Gateway};

const DOWN: &str = "the BFD session is down: echo function failed";

/// A site whose first uplink has an echo session besides its probes, with `bfd` and `uplink` more.
fn configuration(directory: &Path, bfd: &str, uplink: &str) -> String {
    let bfd = format!("{uplink}health = {{ bfd = {{ mode = \"echo\", {bfd} }}, ");
    support::configuration(directory).replacen("health = { ", &bfd, 1)
}

fn gateway(site: Site, bfd: &str) -> Gateway {
    // Each flow for itself: a host would keep to where its others are.
    let group =
        "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\nsticky = \"flow\"\n";
    Gateway::configured(site, |directory| configuration(directory, bfd, "") + group)
}

/// The link stays up, and the router answers ARP: only that it forwards nothing any more is noticed.
#[test]
fn a_router_that_forwards_is_alive_and_one_that_does_not_is_dead() {
    let site = Site::builder().client_addresses(8).build().unwrap();
    // Where a packet is from leads back to where it came in (RFC 3704): the check is passed.
    site.uplinks[0].isp.sysctl("net.ipv4.conf.all.rp_filter", "1").unwrap();
    let gateway = gateway(site, "interval = \"10ms\", multiplier = 3");
    let status = gateway.status();
    assert_eq!(fiber(&status).mode, "echo");
    assert_eq!(fiber(&status).peer, Some(IpAddr::V4(plan::isp(0))));
    gateway.wait_for("its times are told", |status| {
        (fiber(status).transmit_ms, fiber(status).detection_ms) == (Some(10.0), Some(30.0))
    });
    let uplink = &gateway.site.uplinks[0];
    uplink.blackhole(true).unwrap();
    gateway.wait_for("the uplink is down", |status| status.uplinks[0].state == "down");
    let status = gateway.status();
    assert_eq!(status.uplinks[0].reason, DOWN);
    assert_eq!(fiber(&status).reason.as_deref(), Some("echo function failed"));
    assert_eq!(fiber(&status).detection_ms, None);
    assert_eq!(status.uplinks[1].state, "up");
    uplink.blackhole(false).unwrap();
    // Not only in words: packets leave by it again, while another is alive.
    let sent = status.uplinks[0].out.packets;
    wait_until("it carries packets again", BOUND, || {
        for from in gateway.site.client_addresses() {
            let (from, to) = (from.to_string(), plan::SERVER.to_string());
            let ping = ["-n", "-q", "-c", "1", "-W", "1", "-I", &from, &to];
            // Whatever becomes of it.
            let _ = gateway.site.client.output("ping", &ping);
        }
        Ok::<_, LabError>(gateway.status().uplinks[0].out.packets > sent)
    })
    .unwrap();
}

/// By the router's global address, which nobody else asks for the MAC of, and by the gateway's.
#[test]
fn over_ipv6_with_and_without_authentication() {
    for (peer, authentication) in [
        (plan6::isp(0), ""),
        (plan6::ROUTER, "kind = \"simple\", key_id = 7, secret = \"points\""),
        (plan6::ROUTER, "kind = \"meticulous-sha1\", key_id = 7, secret = \"points\""),
    ] {
        let site = Site::builder().build().unwrap();
        site.enable_ipv6(&[plan6::provider(0)]).unwrap();
        let mut bfd = format!("interval = \"100ms\", peer = \"{peer}\"");
        if !authentication.is_empty() {
            bfd += &format!(", authentication = {{ {authentication} }}");
        }
        let provider = plan6::provider(0);
        let ipv6 = format!("ipv6 = {{ mode = \"source\", prefix = \"{provider}/48\" }}\n");
        let gateway = Gateway::configured(site, |directory| configuration(directory, &bfd, &ipv6));
        let isp = &gateway.site.uplinks[0].isp;
        isp.sysctl("net.ipv6.conf.all.forwarding", "0").unwrap();
        gateway.wait_for("the uplink is down", |status| status.uplinks[0].state == "down");
        assert_eq!(gateway.status().uplinks[0].reason, DOWN);
        isp.sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
        gateway.wait_for("it is up again", |status| status.uplinks[0].state == "up");
        assert_eq!(fiber(&gateway.status()).peer, Some(IpAddr::V6(peer)));
        let counters = gateway.site.gateway.output("cat", &["/proc/net/snmp6"]).unwrap();
        let complaints = counters.lines().find(|line| line.starts_with("Icmp6OutDestUnreachs "));
        assert_eq!(complaints.unwrap().split_whitespace().last(), Some("0"), "{counters}");
    }
}

/// It sends nothing then, so that nothing comes back shows nothing.
#[test]
fn a_daemon_that_is_held_up_takes_no_uplink_for_dead() {
    let site = Site::builder().build().unwrap();
    let gateway = gateway(site, "interval = \"50ms\", multiplier = 10");
    let daemon = Pid::from_raw(gateway.daemon.process.id() as i32);
    for held_up in [100, 700, 2_000].map(Duration::from_millis) {
        kill(daemon, Signal::SIGSTOP).unwrap();
        let start = Instant::now();
        let passed = wait_until("it was held up", BOUND, || Ok(start.elapsed() >= held_up));
        kill(daemon, Signal::SIGCONT).unwrap();
        passed.unwrap();
        // Long enough for it to notice.
        let before = gateway.status().uptime_s;
        gateway.wait_for("a while has passed", |status| status.uptime_s > before + 1.0);
        assert_eq!(fiber(&gateway.status()).state, "up");
    }
    let log = gateway.daemon.log();
    assert_eq!(log.matches("uplink fiber: down").count(), 0, "{log}");
}

/// Of an uplink whose router is dead, somebody else on the link answers.
#[test]
fn nobody_is_taken_for_the_router_who_sends_something_else() {
    let site = Site::builder().build().unwrap();
    let gateway = gateway(site, "interval = \"100ms\", multiplier = 3");
    let uplink = &gateway.site.uplinks[0];
    let customer = uplink.access.far();
    // What was true once.
    let mut old = Vec::new();
    let mut socket = PacketSocket::open(customer).unwrap();
    wait_until("packets of a session that is up are known", BOUND, || {
        old.extend(socket.receive().unwrap().filter(|frame| is_echo(frame)));
        Ok(old.len() >= 10)
    })
    .unwrap();
    uplink.blackhole(true).unwrap();
    gateway.wait_for("the session is down", |status| fiber(status).state == "down");
    let wrong = |frame: &[u8]| {
        let mut all: Vec<_> = [0, 1, 64, 253, 255].map(|ttl| answer(frame, ttl)).into();
        all.extend(old.iter().map(|frame| answer(frame, 254)));
        let whole = answer(frame, 254);
        all.extend((14..whole.len()).map(|length| whole[..length].to_vec()));
        // Bits of addresses, ports, lengths, checksums, and payload.
        all.extend((26..whole.len()).map(|at| flipped(&whole, at)));
        all
    };
    in_the_routers_stead(customer, wrong, |answered| {
        gateway.wait_for("four packets were answered", |status| {
            assert_eq!(fiber(status).state, "down");
            answered.load(Ordering::Relaxed) >= 4
        });
    });
    let right = |frame: &[u8]| vec![answer(frame, 254)];
    in_the_routers_stead(customer, right, |_| {
        gateway.wait_for("it is up", |status| fiber(status).state == "up");
    });
    gateway.wait_for("it is down", |status| fiber(status).state == "down");
}

/// Whether a frame is an echo packet of the gateway's (RFC 5881 section 4), IPv4 without options.
fn is_echo(frame: &[u8]) -> bool {
    frame.len() > 42 && frame[12..15] == [8, 0, 0x45] && frame[36..38] == 3785u16.to_be_bytes()
}

/// What a router makes of a frame, but for the TTL.
fn answer(frame: &[u8], ttl: u8) -> Vec<u8> {
    let mut answer = frame.to_vec();
    answer[..6].copy_from_slice(&frame[6..12]);
    answer[6..12].copy_from_slice(&frame[..6]);
    answer[22] = ttl;
    answer[24..26].fill(0);
    let words = answer[14..34].as_chunks::<2>().0;
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    answer[24..26].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    answer
}

fn flipped(frame: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = frame.to_vec();
    flipped[at] ^= 1;
    flipped
}

/// Answers the gateway's echo packets by frames from the router's side of a cable, while something is waited
/// for, which is told how many were.
fn in_the_routers_stead(
    customer: &Nic,
    answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Sync,
    wait: impl FnOnce(&AtomicUsize),
) {
    struct End<'e>(&'e AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _end = End(&is_over);
        scope.spawn(|| {
            let mut socket = PacketSocket::open(customer).unwrap();
            wait_until("it is over", 4 * BOUND, || {
                while let Some(frame) = socket.receive().unwrap() {
                    if is_echo(&frame) {
                        answers(&frame).iter().for_each(|answer| socket.send(answer).unwrap());
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok::<_, LabError>(is_over.load(Ordering::Relaxed))
            })
            .unwrap();
        });
        wait(&answered);
    });
}
