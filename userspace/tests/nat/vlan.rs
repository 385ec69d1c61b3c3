//! Two providers on one interface of the gateway, told apart by VLAN tags, with a real client in the LAN.
//! The kernel here has no VLAN interfaces: the providers' frames are read and made by hand, and the
//! gateway's next hops are configured.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use pointsman_ebpf::memory::{CUSTOMER_TAG, PacketBuilder, SERVICE_TAG, Tag, tagged};
use pointsman_lab::plan::{self, SERVER};
use pointsman_lab::{Mac, Nic, Site};

use crate::hosts::udp;
use crate::support::{BOUND, Gateway, single_configuration};
use crate::wire::Wire;

/// The gateway's address at the provider with a service tag.
const CABLE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

const SERVICE: SocketAddrV4 = SocketAddrV4::new(SERVER, 20_000);

/// The tags of each provider's frames.
const FIBER_TAGS: &[Tag] = &[(CUSTOMER_TAG, 35)];
const CABLE_TAGS: &[Tag] = &[(SERVICE_TAG, 100), (CUSTOMER_TAG, 7)];

fn start() -> Gateway {
    let site = Site::builder().uplinks(1).build().unwrap();
    let gateway_mac = site.uplinks[0].access.far().mac();
    Gateway::configured(site, |directory: &Path| configuration(directory, gateway_mac, ""))
}

/// Two uplinks on VLANs of one interface, and others.
fn configuration(directory: &Path, gateway_mac: Mac, others: &str) -> String {
    let uplink = |name: &str, vlan: &str, gateway: &str, address: Ipv4Addr| {
        format!(
            "[[uplink]]\nname = \"{name}\"\ninterface = \"wan0\"\nvlan = {vlan}\n\
             gateway = \"{gateway}\"\ngateway_mac = \"{gateway_mac}\"\n\
             ipv4 = {{ addresses = [\"{address}\"] }}\n"
        )
    };
    let plain = single_configuration(directory, "");
    let (lan, rest) = plain.split_once("[[uplink]]").unwrap();
    let (_, rest) = rest.split_once("[state]").unwrap();
    let fiber = uplink("fiber", "35", "203.0.113.1", plan::gateway(0));
    let cable = uplink("cable", "[\"100ad\", 7]", "198.51.100.1", CABLE);
    let group =
        "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\nsticky = \"flow\"\n";
    format!("{lan}{fiber}{cable}{others}{group}[state]{rest}")
}

/// The frames of UDP that come to an interface, a line each with tags and addresses.
struct Arrivals {
    tcpdump: Child,
    lines: Receiver<String>,
}

impl Arrivals {
    fn watch(nic: &Nic) -> Self {
        let mut tcpdump = nic
            .namespace()
            .command("tcpdump")
            .args(["-n", "-e", "-l", "--immediate-mode", "-Q", "in", "-i", nic.name()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(tcpdump.stderr.take().unwrap());
        let listens = stderr.lines().map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(listens, "tcpdump does not listen on {}", nic.name());
        let stdout = BufReader::new(tcpdump.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let datagrams =
                stdout.lines().map_while(Result::ok).filter(|line| line.contains("UDP"));
            datagrams.for_each(|line| drop(sender.send(line)));
        });
        Self { tcpdump, lines }
    }

    /// The next datagram to the server: its line, and who it is from.
    fn next(&self) -> (String, SocketAddrV4) {
        let line = self.lines.recv_timeout(BOUND).expect("a datagram arrives");
        let (before, _) = line.split_once(&format!(" > {SERVER}.{}: UDP", SERVICE.port())).unwrap();
        let (address, port) = before.rsplit(' ').next().unwrap().rsplit_once('.').unwrap();
        let from = SocketAddrV4::new(address.parse().unwrap(), port.parse().unwrap());
        (line, from)
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

/// A datagram from the server as a provider hands it over.
fn answer(site: &Site, tags: &[Tag], to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let access = &site.uplinks[0].access;
    let frame = PacketBuilder::udp(SERVICE, to)
        .macs(access.far().mac().0, access.near().mac().0)
        .payload(payload)
        .build();
    tagged(&frame, tags)
}

/// The next datagram that a client gets is the server's answer.
#[track_caller]
fn assert_answered(socket: &UdpSocket) {
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"answer"[..], SERVICE.into()));
}

#[test]
fn two_providers_on_one_interface() {
    let gateway = start();
    let site = &gateway.site;
    let isp = site.uplinks[0].access.far();
    let (arrivals, wire) = (Arrivals::watch(isp), Wire::new(isp));
    let mut providers = BTreeSet::new();
    while providers.len() < 2 {
        let socket = udp(&site.client, (plan::client(0), 0));
        socket.send_to(b"question", SERVICE).unwrap();
        let (line, public) = arrivals.next();
        let (expected, tags) = match *public.ip() {
            CABLE => (
                "ethertype 802.1Q-QinQ (0x88a8), length 58: vlan 100, p 0, ethertype 802.1Q \
                 (0x8100), vlan 7, p 0, ethertype IPv4",
                CABLE_TAGS,
            ),
            _ => ("ethertype 802.1Q (0x8100), length 54: vlan 35, p 0, ethertype IPv4", FIBER_TAGS),
        };
        assert!(line.contains(expected), "{line}");
        assert!([CABLE, plan::gateway(0)].contains(public.ip()), "{line}");
        providers.insert(*public.ip());

        // What comes back by the other provider, or without tags, is no answer.
        wire.send(&answer(site, &[], public, b"untagged"));
        wire.send(&answer(site, &[(CUSTOMER_TAG, 36)], public, b"of nobody's VLAN"));
        let other = if tags == FIBER_TAGS { CABLE_TAGS } else { FIBER_TAGS };
        wire.send(&answer(site, other, public, b"of the other provider"));
        wire.send(&answer(site, tags, public, b"answer"));
        assert_answered(&socket);
    }
    let log = gateway.daemon.log();
    assert!(log.contains("wan0: rxvlan is on"), "{log}");
    assert!(!log.contains("lan0: rxvlan"), "{log}");
    assert_eq!(log.matches("wan0: attached").count(), 1, "{log}");
    let passed = gateway.status().passed;
    assert!(passed["unknown_port"].packets + passed["vlan"].packets >= 4, "{passed:?}");
}

/// What the kernel calls the program of the gateway's interface with the VLANs.
fn program(site: &Site) -> u64 {
    let links = site.gateway.output("ip", &["-j", "link", "show", "wan0"]).unwrap();
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    links[0]["xdp"]["prog"]["id"].as_u64().expect("there is a program")
}

/// An interface goes over to the other program with its first port without tags, and back with its last. Its
/// flows do not notice.
#[test]
fn one_program_takes_the_place_of_the_other() {
    let gateway = start();
    let site = &gateway.site;
    let isp = site.uplinks[0].access.far();
    let (arrivals, wire) = (Arrivals::watch(isp), Wire::new(isp));
    let socket = udp(&site.client, (plan::client(0), 0));
    let exchange = || {
        socket.send_to(b"question", SERVICE).unwrap();
        let (_, public) = arrivals.next();
        let tags = if *public.ip() == CABLE { CABLE_TAGS } else { FIBER_TAGS };
        wire.send(&answer(site, tags, public, b"answer"));
        assert_answered(&socket);
        public
    };
    let (public, tagged) = (exchange(), program(site));
    let untagged = format!(
        "[[uplink]]\nname = \"plain\"\ninterface = \"wan0\"\ngateway = \"192.0.2.1\"\n\
         gateway_mac = \"{}\"\nipv4 = {{ addresses = [\"192.0.2.2\"] }}\n",
        isp.mac()
    );
    let directory = gateway.directory.path();
    let mut programs = Vec::new();
    for (others, uplinks) in [(untagged.as_str(), 3), ("", 2)] {
        gateway.reload(&configuration(directory, isp.mac(), others));
        gateway.wait_for("the daemon has reloaded", |status| status.uplinks.len() == uplinks);
        programs.push(program(site));
        assert_eq!(exchange(), public);
    }
    assert_ne!(programs[0], tagged);
    assert_eq!(programs[1], tagged);
    assert_eq!(gateway.daemon.log().matches("wan0: attached").count(), 1);
}
