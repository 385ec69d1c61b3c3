use super::super::tests::{BASE, config_with};
use super::*;

/// An uplink of which everything is given, below a configuration that is right.
const LTE: &str = r#"
[[uplink]]
name = "lte"
interface = "wwan0"
vlan = ["100ad", 35]
gateway = "100.64.0.1"
gateway_mac = "02:00:5e:10:00:01"
weight = 3
ipv4 = { addresses = ["192.0.2.7", "192.0.2.8"], routed = "198.51.100.0/24", inbound = "all" }
ipv6 = { mode = "nptv6", prefix = "2001:db8:1::/48", internal = "fd00:1::/48", inbound = "answers", gateway = "fe80::1" }
[uplink.health]
bfd = { interval = "50ms", multiplier = 3, peer = "192.0.2.1", mode = "single-hop", authentication = { kind = "sha1", key_id = 7, secret = "s3cret" } }
probes = [
    { kind = "icmp", target = "192.0.2.53" },
    { kind = "https", url = "https://example.net/health", address = "192.0.2.80", status = [200, 204], body = "ok", ca = "/etc/ca.pem" },
    { kind = "dns", server = "198.51.100.53", name = "example.net", type = "A", expect = "192.0.2.80" },
]
quorum = 2
interval = "100ms"
timeout = "100ms"
down_after = 3
up_after = 4
hold_down = "5s"
dampening = { half_life = "30s", suppress = 2500, reuse = 750, max_suppress = "2m" }
passive = { action = "probe", window = "3s", packets = 10 }
[uplink.health.sla]
window = "20s"
min_samples = 10
degraded = { loss = { enter = "5%", leave = "1%" }, latency = { enter = "80ms", leave = "60ms" } }
down = { loss = { enter = "40%", leave = "10.5%" } }
[[group]]
name = "default"
uplinks = [["cable", "fiber"], ["lte"]]
sticky = "source"
last_resort = "least-bad"
[nat]
ports = "1024-65535"
reserved_ports = ["5000-5100/tcp"]
filtering = "endpoint"
mappings_per_host = 16000
unreplied_per_host = 4000
icmp_rate = 1000
icmp_burst = 51
[nat64]
prefix = "64:ff9b::/96"
[[forward]]
protocol = "tcp"
port = 443
to = "10.1.0.10:8443"
uplinks = ["fiber"]
sources = ["192.0.2.0/24"]
[timers]
udp = "3m"
tcp_established = "3h"
tcp_transitory = "5m"
icmp = "2m"
[flows]
max = 2048
unreplied = 65536
invited = 2048
mappings = 65536
hosts = 512
fragments = 1024
ipv6 = 4096
[host]
offloads = "warn"
[state]
pins = "/bpf/site"
directory = "/var/lib/site"
[api]
socket = "/run/p.sock"
"#;

/// What is replaced by what in that, and what is said of it.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "interface = \"wwan0\"",
        "interface = \"wwan1\"",
        "uplink \"lte\": interface: \"wwan0\" -> \"wwan1\"; its flows end: it is on another interface",
    ),
    (
        "vlan = [\"100ad\", 35]",
        "vlan = 35",
        "uplink \"lte\": vlan: [\"100ad\", 35] -> 35; its flows end: it is on another interface",
    ),
    (
        "gateway = \"100.64.0.1\"",
        "",
        "uplink \"lte\": gateway: \"100.64.0.1\" -> \"auto\"; flows stay",
    ),
    (
        "gateway_mac = \"02:00:5e:10:00:01\"",
        "",
        "uplink \"lte\": gateway_mac: removed, was \"02:00:5e:10:00:01\"; flows stay",
    ),
    (
        "weight = 3",
        "weight = 7",
        "uplink \"lte\": weight: 3 -> 7; flows stay, new ones are shared out anew",
    ),
    (
        "weight = 3",
        "weight = 3\nmetered = true",
        "uplink \"lte\": metered: false -> true; flows stay",
    ),
    (
        "last_resort = \"least-bad\"",
        "on_failure = \"reset\"",
        "group \"default\": on_failure: \"rehome\" -> \"reset\"; flows stay",
    ),
    (
        "last_resort = \"least-bad\"",
        "failback = { after = \"10m\" }",
        "group \"default\": failback.after: added, \"10m\"; flows stay",
    ),
    (
        "addresses = [\"192.0.2.7\", \"192.0.2.8\"]",
        "addresses = [\"192.0.2.8\"]",
        "uplink \"lte\": ipv4.addresses: [\"192.0.2.7\", \"192.0.2.8\"] -> [\"192.0.2.8\"]; its translated flows end: its addresses change",
    ),
    (
        "addresses = [\"192.0.2.7\", \"192.0.2.8\"], ",
        "",
        "uplink \"lte\": ipv4.addresses: [\"192.0.2.7\", \"192.0.2.8\"] -> the interface's own; its translated flows end: its addresses change",
    ),
    (
        "routed = \"198.51.100.0/24\"",
        "routed = \"198.51.100.0/25\"",
        "uplink \"lte\": ipv4.routed: \"198.51.100.0/24\" -> \"198.51.100.0/25\"; its routed flows find their way anew",
    ),
    (
        ", inbound = \"all\" }",
        ", inbound = \"answers\" }",
        "uplink \"lte\": ipv4.inbound: \"all\" -> \"answers\"; flows stay",
    ),
    (
        ", routed = \"198.51.100.0/24\", inbound = \"all\"",
        "",
        "uplink \"lte\": ipv4.routed: removed, was \"198.51.100.0/24\"; its routed flows find their way anew",
    ),
    (
        "mode = \"nptv6\", prefix = \"2001:db8:1::/48\", internal = \"fd00:1::/48\"",
        "mode = \"source\", prefix = \"2001:db8:1::/48\"",
        "uplink \"lte\": ipv6.mode: \"nptv6\" -> \"source\"; its IPv6 flows end: its way of carrying them changes|uplink \"lte\": ipv6.internal: \"fd00:1::/48\" -> the LAN's own; its IPv6 flows end: its way of carrying them changes",
    ),
    (
        "2001:db8:1::/48",
        "2001:db8:2::/48",
        "uplink \"lte\": ipv6.prefix: \"2001:db8:1::/48\" -> \"2001:db8:2::/48\"; its IPv6 flows end: its way of carrying them changes",
    ),
    (
        "internal = \"fd00:1::/48\"",
        "internal = \"fd00:2::/48\"",
        "uplink \"lte\": ipv6.internal: \"fd00:1::/48\" -> \"fd00:2::/48\"; its IPv6 flows end: its way of carrying them changes",
    ),
    (
        "inbound = \"answers\", gateway",
        "inbound = \"all\", gateway",
        "uplink \"lte\": ipv6.inbound: \"answers\" -> \"all\"; flows stay",
    ),
    (
        "gateway = \"fe80::1\"",
        "gateway = \"auto\"",
        "uplink \"lte\": ipv6.gateway: \"fe80::1\" -> \"auto\"; flows stay",
    ),
    (
        "interval = \"50ms\"",
        "interval = \"100ms\"",
        "uplink \"lte\": health.bfd.interval: \"50ms\" -> \"100ms\"; flows stay",
    ),
    (
        "multiplier = 3",
        "multiplier = 5",
        "uplink \"lte\": health.bfd.multiplier: 3 -> 5; flows stay",
    ),
    (
        "peer = \"192.0.2.1\", ",
        "",
        "uplink \"lte\": health.bfd.peer: \"192.0.2.1\" -> the gateway; flows stay if the session is not needed; it starts anew",
    ),
    (
        "mode = \"single-hop\"",
        "mode = \"multihop\"",
        "uplink \"lte\": health.bfd.mode: \"single-hop\" -> \"multihop\"; flows stay if the session is not needed; it starts anew",
    ),
    (
        "key_id = 7",
        "key_id = 8",
        "uplink \"lte\": health.bfd.authentication: sha1 with key 7 -> sha1 with key 8; flows stay if the session is not needed; it starts anew",
    ),
    (
        "s3cret",
        "0ther",
        "uplink \"lte\": health.bfd.authentication.secret: another one; flows stay if the session is not needed; it starts anew",
    ),
    (
        ", authentication = { kind = \"sha1\", key_id = 7, secret = \"s3cret\" }",
        "",
        "uplink \"lte\": health.bfd.authentication: removed, was sha1 with key 7; flows stay if the session is not needed; it starts anew",
    ),
    (
        "bfd = {",
        "#",
        "uplink \"lte\": health.bfd: removed, was single-hop every \"50ms\"; flows stay",
    ),
    (
        "target = \"192.0.2.53\"",
        "target = \"192.0.2.54\"",
        "uplink \"lte\": health.probe icmp 192.0.2.54: added, { interval = \"100ms\", timeout = \"100ms\" }; flows stay|uplink \"lte\": health.probe icmp 192.0.2.53: removed, was { interval = \"100ms\", timeout = \"100ms\" }; flows stay",
    ),
    (
        "{ kind = \"icmp\", target = \"192.0.2.53\" }",
        "{ kind = \"icmp\", target = \"192.0.2.53\", timeout = \"90ms\" }",
        "uplink \"lte\": health.probe icmp 192.0.2.53: { interval = \"100ms\", timeout = \"100ms\" } -> { interval = \"100ms\", timeout = \"90ms\" }; flows stay",
    ),
    (
        "status = [200, 204], body = \"ok\", ca = \"/etc/ca.pem\"",
        "status = [200]",
        "uplink \"lte\": health.probe https://example.net/health at 192.0.2.80: { status = [200, 204], body = \"ok\", ca = \"/etc/ca.pem\", interval = \"100ms\", timeout = \"100ms\" } -> { status = [200], interval = \"100ms\", timeout = \"100ms\" }; flows stay",
    ),
    (
        ", expect = \"192.0.2.80\"",
        "",
        "uplink \"lte\": health.probe dns 198.51.100.53 A example.net: { expect = \"192.0.2.80\", interval = \"100ms\", timeout = \"100ms\" } -> { interval = \"100ms\", timeout = \"100ms\" }; flows stay",
    ),
    ("quorum = 2", "quorum = \"all\"", "uplink \"lte\": health.quorum: 2 -> \"all\"; flows stay"),
    ("down_after = 3", "down_after = 2", "uplink \"lte\": health.down_after: 3 -> 2; flows stay"),
    ("up_after = 4", "up_after = 2", "uplink \"lte\": health.up_after: 4 -> 2; flows stay"),
    ("hold_down = \"5s\"", "", "uplink \"lte\": health.hold_down: \"5s\" -> \"0s\"; flows stay"),
    (
        "reuse = 750",
        "reuse = 800",
        "uplink \"lte\": health.dampening: { half_life = \"30s\", suppress = 2500, reuse = 750, max_suppress = \"2m\" } -> { half_life = \"30s\", suppress = 2500, reuse = 800, max_suppress = \"2m\" }; flows stay",
    ),
    (
        "action = \"probe\"",
        "action = \"none\"",
        "uplink \"lte\": health.passive.action: \"probe\" -> \"none\"; flows stay",
    ),
    (
        "window = \"3s\"",
        "window = \"4s\"",
        "uplink \"lte\": health.passive.window: \"3s\" -> \"4s\"; flows stay",
    ),
    (
        "packets = 10",
        "packets = 11",
        "uplink \"lte\": health.passive.packets: 10 -> 11; flows stay",
    ),
    (
        "window = \"20s\"",
        "window = \"30s\"",
        "uplink \"lte\": health.sla.window: \"20s\" -> \"30s\"; flows stay",
    ),
    (
        "min_samples = 10",
        "min_samples = 20",
        "uplink \"lte\": health.sla.min_samples: 10 -> 20; flows stay",
    ),
    (
        "enter = \"80ms\"",
        "enter = \"90ms\"",
        "uplink \"lte\": health.sla.degraded: loss \"5%\" until \"1%\", latency (p95) \"80ms\" until \"60ms\" -> loss \"5%\" until \"1%\", latency (p95) \"90ms\" until \"60ms\"; flows stay",
    ),
    (
        "down = { loss",
        "#",
        "uplink \"lte\": health.sla.down: removed, was loss \"40%\" until \"10.5%\"; flows stay",
    ),
    (
        "[[\"cable\", \"fiber\"], [\"lte\"]]",
        "[\"cable\", \"fiber\", \"lte\"]",
        "group \"default\": uplinks: [[\"cable\", \"fiber\"], [\"lte\"]] -> [[\"cable\", \"fiber\", \"lte\"]]; flows stay, new ones are shared out anew",
    ),
    (
        "sticky = \"source\"",
        "sticky = \"flow\"",
        "group \"default\": sticky: \"source\" -> \"flow\"; flows stay, new ones are shared out anew",
    ),
    (
        "last_resort = \"least-bad\"",
        "last_resort = \"unreachable\"",
        "group \"default\": last_resort: \"least-bad\" -> \"unreachable\"; flows stay",
    ),
    (
        "ports = \"1024-65535\"",
        "ports = \"2048-65535\"",
        "nat.ports: \"1024-65535\" -> \"2048-65535\"; flows stay",
    ),
    (
        "reserved_ports = [\"5000-5100/tcp\"]",
        "reserved_ports = [\"5060/udp\"]",
        "nat.reserved_ports: [\"5000-5100/tcp\"] -> [\"5060/udp\"]; flows stay",
    ),
    (
        "filtering = \"endpoint\"",
        "filtering = \"address\"",
        "nat.filtering: \"endpoint\" -> \"address\"; flows stay",
    ),
    (
        "mappings_per_host = 16000",
        "mappings_per_host = 8000",
        "nat.mappings_per_host: 16000 -> 8000; flows stay",
    ),
    (
        "unreplied_per_host = 4000",
        "unreplied_per_host = 2000",
        "nat.unreplied_per_host: 4000 -> 2000; flows stay",
    ),
    ("icmp_rate = 1000", "icmp_rate = 100", "nat.icmp_rate: 1000 -> 100; flows stay"),
    ("icmp_burst = 51", "icmp_burst = 5", "nat.icmp_burst: 51 -> 5; flows stay"),
    (
        "[nat64]\nprefix = \"64:ff9b::/96\"",
        "",
        "nat64.prefix: removed, was \"64:ff9b::/96\"; flows by the old prefix end",
    ),
    (
        "to = \"10.1.0.10:8443\"",
        "to = \"10.1.0.11:8443\"",
        "forward of tcp 443 to 10.1.0.11:8443: added, by [\"fiber\"] from [\"192.0.2.0/24\"]; flows stay|forward of tcp 443 to 10.1.0.10:8443: removed, was by [\"fiber\"] from [\"192.0.2.0/24\"]; flows stay",
    ),
    (
        "uplinks = [\"fiber\"]",
        "uplinks = [\"fiber\", \"cable\"]",
        "forward of tcp 443 to 10.1.0.10:8443: by [\"fiber\"] from [\"192.0.2.0/24\"] -> by [\"fiber\", \"cable\"] from [\"192.0.2.0/24\"]; flows stay",
    ),
    (
        "sources = [\"192.0.2.0/24\"]",
        "",
        "forward of tcp 443 to 10.1.0.10:8443: by [\"fiber\"] from [\"192.0.2.0/24\"] -> by [\"fiber\"] from anyone; flows stay",
    ),
    ("udp = \"3m\"", "udp = \"150s\"", "timers.udp: \"3m\" -> \"2m 30s\"; flows stay"),
    (
        "tcp_established = \"3h\"",
        "tcp_established = \"4h\"",
        "timers.tcp_established: \"3h\" -> \"4h\"; flows stay",
    ),
    (
        "tcp_transitory = \"5m\"",
        "tcp_transitory = \"6m\"",
        "timers.tcp_transitory: \"5m\" -> \"6m\"; flows stay",
    ),
    ("icmp = \"2m\"", "icmp = \"3m\"", "timers.icmp: \"2m\" -> \"3m\"; flows stay"),
    ("max = 2048", "max = 4096", "flows.max: 2048 -> 4096; takes a restart"),
    (
        "invited = 2048",
        "invited = 4096",
        "flows.invited: 2048 -> 4096; takes a restart|flows.ipv6: 4096 (65536 unreplied, 2048 invited) -> 4096 (65536 unreplied, 4096 invited); takes a restart",
    ),
    ("mappings = 65536", "mappings = 131072", "flows.mappings: 65536 -> 131072; takes a restart"),
    ("hosts = 512", "hosts = 1024", "flows.hosts: 512 -> 1024; takes a restart"),
    ("fragments = 1024", "fragments = 2048", "flows.fragments: 1024 -> 2048; takes a restart"),
    (
        "ipv6 = 4096",
        "ipv6 = 8192",
        "flows.ipv6: 4096 (65536 unreplied, 2048 invited) -> 8192 (65536 unreplied, 2048 invited); takes a restart",
    ),
    ("offloads = \"warn\"", "offloads = \"set\"", "host.offloads: \"warn\" -> \"set\"; flows stay"),
    ("pins = \"/bpf/site\"", "pins = false", "state.pins: \"/bpf/site\" -> false; takes a restart"),
    (
        "directory = \"/var/lib/site\"",
        "",
        "state.directory: \"/var/lib/site\" -> \"/var/lib/pointsman\"; takes a restart",
    ),
    (
        "socket = \"/run/p.sock\"",
        "",
        "api.socket: \"/run/p.sock\" -> \"/run/pointsman/pointsman.sock\"; takes a restart",
    ),
];

/// The differences between two configurations, as they are said.
fn said(old: &Config, new: &Config) -> Vec<String> {
    diff(old, new).iter().map(ToString::to_string).collect()
}

/// The configuration that has `lines` below a right one.
fn with(lines: &str) -> Config {
    super::super::parse("p.toml", &format!("{BASE}{lines}")).expect("it is right").0
}

#[test]
fn every_key_is_told_with_its_consequence() {
    let full = with(LTE);
    for (old, new, expected) in CHANGES {
        assert_eq!(LTE.matches(old).count(), 1, "{old}");
        let changed = with(&LTE.replace(old, new));
        let expected: Vec<_> = expected.split('|').collect();
        assert_eq!(said(&full, &changed), expected, "{old}");
        assert!(!diff(&changed, &full).is_empty(), "{old}, backwards");
    }
    assert_eq!(diff(&full, &full.clone()), []);
}

/// An uplink waits until a session that is new is up.
#[test]
fn a_session_that_is_added_is_waited_for() {
    let anew = "; flows stay if the session is not needed; it starts anew";
    let added = said(&with(&LTE.replace("bfd = {", "#")), &with(LTE));
    let session = "uplink \"lte\": health.bfd: added, single-hop every \"50ms\"";
    assert_eq!(added, [format!("{session}{anew}")]);
    let watched = config_with("health = { bfd = { interval = \"50ms\" } }");
    let added = said(&config_with(""), &watched);
    assert_eq!(added, [format!("uplink \"cable\": health: added, a BFD session{anew}")]);
}

#[test]
fn whole_uplinks_come_and_go() {
    let two = config_with("");
    let three = config_with("[[uplink]]\nname = \"lte\"\ninterface = \"wan2\"\nvlan = 7");
    assert_eq!(
        said(&two, &three),
        [
            "uplink \"lte\": added, on wan2 vlan 7; flows stay, new ones are shared out anew",
            "group \"default\": uplinks: [[\"cable\", \"fiber\"]] -> [[\"cable\", \"fiber\", \
             \"lte\"]]; flows stay, new ones are shared out anew",
        ]
    );
    let gone = said(&three, &two);
    assert_eq!(
        gone[0],
        "uplink \"lte\": removed, was on wan2 vlan 7; its flows move to the others"
    );
}

#[test]
fn another_name_on_the_same_port_is_the_same_uplink() {
    let renamed = BASE.replace("cable", "coax");
    let renamed = super::super::parse("p.toml", &renamed).expect("it is right").0;
    assert_eq!(
        said(&config_with(""), &renamed),
        [
            "uplink \"coax\": name: \"cable\" -> \"coax\"; flows stay, new ones are shared out anew",
            "group \"default\": uplinks: [[\"cable\", \"fiber\"]] -> [[\"coax\", \"fiber\"]]; flows \
             stay, new ones are shared out anew",
        ]
    );
}

#[test]
fn modes_and_shared_addresses_are_told_as_the_file_has_them() {
    let routed = config_with("ipv4 = { mode = \"routed\", prefix = \"198.51.100.0/24\" }");
    assert_eq!(
        said(&config_with(""), &routed),
        [
            "uplink \"cable\": ipv4.mode: \"nat44\" -> \"routed\"; its flows move to the others",
            "uplink \"cable\": ipv4.routed: added, \"198.51.100.0/24\"; flows stay",
        ]
    );
    let nat66 = |address: &str| {
        let lines = format!("ipv6 = {{ mode = \"nat66\"{address} }}\n[flows]\nipv6 = 2048");
        super::super::parse("p.toml", &format!("{BASE}{lines}\n")).expect("it is right").0
    };
    assert_eq!(
        said(&nat66(""), &nat66(", address = \"2001:db8::2\"")),
        ["uplink \"cable\": ipv6.address: the interface's own -> \"2001:db8::2\"; its IPv6 flows \
             end: its way of carrying them changes"]
    );
}

#[test]
fn lan_interfaces_that_go_end_the_flows_of_their_hosts() {
    let with_lan = |lan: &str| {
        let text = BASE.replace("[\"lan0\"]", lan);
        super::super::parse("p.toml", &text).expect("it is right").0
    };
    let (one, two) = (with_lan("[\"lan0\"]"), with_lan("[\"lan0\", \"lan1\"]"));
    assert_eq!(
        said(&one, &two),
        ["lan.interfaces: [\"lan0\"] -> [\"lan0\", \"lan1\"]; flows stay"]
    );
    assert_eq!(
        said(&two, &one),
        [
            "lan.interfaces: [\"lan0\", \"lan1\"] -> [\"lan0\"]; flows of the hosts behind what is gone end"
        ]
    );
}

#[test]
fn another_order_of_uplinks_is_told_and_of_a_tier_is_none() {
    let (one, other) =
        ("name = \"fiber\"\ninterface = \"wan0\"", "name = \"cable\"\ninterface = \"wan1\"");
    let swapped = BASE.replace(one, "x").replace(other, one).replace("x\n", &format!("{other}\n"));
    let swapped = super::super::parse("p.toml", &swapped).expect("it is right").0;
    assert_eq!(
        said(&config_with(""), &swapped),
        ["order of the uplinks: [\"fiber\", \"cable\"] -> [\"cable\", \"fiber\"]; flows stay"]
    );
}
