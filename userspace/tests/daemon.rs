//! The daemon in the gateway of a laboratory site, with real packets through it.

#[path = "support/reload.rs"]
mod reload;
#[path = "support/standard.rs"]
mod standard;
#[path = "support/states.rs"]
mod states;
mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman::api::status::UplinkStatus;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Cable, CableOptions, Namespace, Pass, wait_until};

use support::{BOUND, Daemon, Gateway, configuration, pointsman};

impl Gateway {
    fn uplink(&self, name: &str) -> UplinkStatus {
        let uplinks = self.status().uplinks;
        uplinks.into_iter().find(|uplink| uplink.name == name).unwrap()
    }

    /// Pings the server once from each of the client's addresses.
    fn ping_from_all(&self) {
        for address in self.site.client_addresses() {
            self.ping_from(address);
        }
    }

    fn ping_from(&self, address: Ipv4Addr) {
        let (from, to) = (address.to_string(), SERVER.to_string());
        let arguments = ["-n", "-q", "-c", "1", "-W", "5", "-I", &from, &to];
        if let Err(error) = self.site.client.output("ping", &arguments) {
            panic!("{error}\n{:#?}\n{}", self.status(), self.daemon.log());
        }
    }
}

impl Daemon {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }
}

/// The names of a host's interfaces that have an XDP program.
fn attached(host: &Namespace) -> Vec<String> {
    attached_by_mode(host).into_keys().collect()
}

/// The same, each with the number that `ip` has for the mode.
fn attached_by_mode(host: &Namespace) -> BTreeMap<String, u64> {
    let links = host.output("ip", &["-j", "link"]).unwrap();
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    let links = links.as_array().unwrap().iter();
    links
        .filter_map(|link| {
            let mode = link.get("xdp")?["mode"].as_u64().unwrap();
            Some((link["ifname"].as_str().unwrap().to_owned(), mode))
        })
        .collect()
}

#[test]
fn packets_cross_and_both_uplinks_share_them() {
    let gateway = Gateway::start();
    gateway.ping_from_all();
    let status = gateway.status();
    let [fiber, cable] = &status.uplinks[..] else { panic!("{status:#?}") };
    assert!(fiber.out.packets > cable.out.packets && cable.out.packets > 0, "{status:#?}");
    assert_eq!(fiber.out.packets + cable.out.packets, 64, "{status:#?}");
    assert_eq!(fiber.back.packets + cable.back.packets, 64, "{status:#?}");
    assert_eq!(fiber.address, Some(Ipv4Addr::new(203, 0, 113, 2)));
    assert_eq!(cable.gateway, Some(Ipv4Addr::new(198, 51, 100, 1)));
    assert_eq!(fiber.probes[0].last, "answered");
    gateway.wait_for("the sweep has counted", |status| status.flows.entries == 128);
}

#[test]
fn a_tcp_connection_crosses() {
    let gateway = Gateway::start();
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(&request).unwrap();
        peer
    });
    let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let received = gateway.site.client.run(|| {
        let mut stream = TcpStream::connect((SERVER, 80)).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    assert!(received == sent, "{} bytes came back", received.len());
    let peer = server.join().unwrap().ip();
    let uplinks = gateway.status().uplinks;
    assert!(uplinks.iter().any(|uplink| uplink.address.is_some_and(|own| own == peer)), "{peer}");
}

#[test]
fn traffic_goes_on_by_the_other_uplink_when_one_is_cut() {
    let gateway = Gateway::start();
    gateway.ping_from_all();
    let access = &gateway.site.uplinks[0].access;
    access.cut().unwrap();
    gateway.wait_for_states("down", "up");
    assert_eq!(gateway.uplink("fiber").reason, "no carrier on wan0");
    let before = gateway.uplink("cable").out.packets;
    gateway.site.client_addresses().take(32).for_each(|address| gateway.ping_from(address));
    assert_eq!(gateway.uplink("cable").out.packets, before + 32);

    access.restore().unwrap();
    gateway.wait_for_states("up", "up");
    let before = ["fiber", "cable"].map(|name| gateway.uplink(name).out.packets);
    gateway.ping_from_all();
    let after = ["fiber", "cable"].map(|name| gateway.uplink(name).out.packets);
    // Whose flows have moved keep to where they are now.
    assert!(after[0] > before[0] && after[1] >= before[1] + 32, "{before:?} {after:?}");
}

#[test]
fn a_silent_uplink_is_taken_out_by_its_probes() {
    let gateway = Gateway::start();
    gateway.site.uplinks[1].blackhole(true).unwrap();
    gateway.wait_for_states("up", "down");
    gateway.ping_from_all();
    gateway.site.uplinks[1].blackhole(false).unwrap();
    gateway.wait_for_states("up", "up");
}

#[test]
fn sigterm_leaves_nothing_attached() {
    let mut gateway = Gateway::start();
    assert_eq!(attached(&gateway.site.gateway), ["lan0", "wan0", "wan1"]);
    gateway.daemon.signal(Signal::SIGTERM);
    let ended = gateway.daemon.process.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", gateway.daemon.log());
    assert_eq!(attached(&gateway.site.gateway), [""; 0]);
    assert!(!gateway.directory.path().join("api.sock").exists());
}

#[test]
fn sighup_reads_the_file_again_and_a_bad_one_changes_nothing() {
    let gateway = Gateway::start();
    let good = configuration(gateway.directory.path());
    gateway.reload(&good.replace("weight = 3", "weight = 0"));
    gateway.wait_for("the bad file is told of", |status| status.last_reload_error.is_some());
    let status = gateway.status();
    assert_eq!(status.uplinks[0].weight, 3);
    let error = status.last_reload_error.unwrap();
    assert!(error.contains("weight is 0; give 1 to 1000"), "{error}");
    assert_eq!(attached(&gateway.site.gateway), ["lan0", "wan0", "wan1"]);

    let cable = good.find("[[uplink]]\nname = \"cable\"").unwrap();
    let without_cable = [&good[..cable], &good[good.find("[state]").unwrap()..]].concat();
    let changed = without_cable.replace("weight = 3", "weight = 7") + "[flows]\nmax = 1024\n";
    gateway.reload(&changed);
    gateway.wait_for("the cable is gone", |status| status.uplinks.len() == 1);
    let status = gateway.status();
    assert_eq!((status.uplinks[0].weight, status.last_reload_error), (7, None));
    assert_eq!(status.flows.max, 262_144, "the table cannot grow");
    assert_eq!(status.uplinks[0].state, "up");
    assert_eq!(attached(&gateway.site.gateway), ["lan0", "wan0"]);
    gateway.ping_from_all();

    gateway.reload(&good);
    gateway.wait_for_states("up", "up");
    assert_eq!(attached(&gateway.site.gateway), ["lan0", "wan0", "wan1"]);
    gateway.ping_from_all();
}

#[test]
fn another_address_is_followed() {
    let gateway = Gateway::start();
    gateway.ping_from_all();
    gateway
        .site
        .gateway
        .ip("address del 203.0.113.2/24 dev wan0\naddress add 203.0.113.9/24 dev wan0")
        .unwrap();
    let new = Some(Ipv4Addr::new(203, 0, 113, 9));
    gateway.wait_for("fiber is up with its new address", |status| {
        status.uplinks[0].address == new && status.uplinks[0].state == "up"
    });
    gateway.ping_from_all();
}

#[test]
fn an_interface_that_vanishes_and_returns_is_followed() {
    let gateway = Gateway::start();
    let host = &gateway.site.gateway;
    host.ip("link del wan1").unwrap();
    gateway.wait_for_states("up", "down");
    assert_eq!(gateway.uplink("cable").reason, "there is no interface wan1");
    // The others come later: hosts keep to where their flows are.
    gateway.site.client_addresses().take(8).for_each(|address| gateway.ping_from(address));

    let isp = &gateway.site.uplinks[1].isp;
    let options = CableOptions { pass: Pass::Far, ..CableOptions::default() };
    let _cable = Cable::new(host, "wan1", isp, "customer", options).unwrap();
    isp.ip("address add 198.51.100.1/24 dev customer").unwrap();
    host.ip("address add 198.51.100.2/24 dev wan1\n\
             route add default via 198.51.100.1 dev wan1 metric 101")
        .unwrap();
    gateway.wait_for_states("up", "up");
    assert_eq!(attached(host), ["lan0", "wan0", "wan1"]);
    let before = gateway.uplink("cable").out.packets;
    gateway.ping_from_all();
    assert!(gateway.uplink("cable").out.packets > before);
}

#[test]
fn one_interface_without_native_xdp_makes_all_generic() {
    /// As in the kernel's `linux/if_link.h`: XDP_ATTACHED_DRV and XDP_ATTACHED_SKB.
    const NATIVE: u64 = 1;
    const GENERIC: u64 = 2;
    let modes = |mode| BTreeMap::from(["lan0", "wan0", "wan1"].map(|name| (name.to_owned(), mode)));
    let gateway = Gateway::start();
    let host = &gateway.site.gateway;
    assert_eq!(attached_by_mode(host), modes(NATIVE));
    host.ip("link del wan1").unwrap();
    gateway.wait_for_states("up", "down");
    // A bridge has no native XDP.
    host.ip("link add wan1 type bridge").unwrap();
    let waited =
        wait_until("all are generic", BOUND, || Ok(attached_by_mode(host) == modes(GENERIC)));
    if let Err(error) = waited {
        panic!("{error}; there are {:?}\n{}", attached_by_mode(host), gateway.daemon.log());
    }
    gateway.wait_for_states("up", "down");
    gateway.ping_from_all();
}

#[test]
fn status_is_a_table_for_people() {
    let gateway = Gateway::start();
    let socket = gateway.directory.path().join("api.sock");
    let output = pointsman(&gateway.site.gateway, &["status", "--socket"], &[&socket]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["fiber", "cable", "up", "203.0.113.1", "198.51.100.2"] {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}
