use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_ebpf::abi::{Filtering, OnFailure, Sticky, Vlan};

use super::*;
use crate::bfd::Mode;
use crate::probe::{DnsProbe, DnsRecord, HttpProbe, Probe, ProbeKind};
use crate::uplink::{
    Dampening, Limit, Listening, Metric, Percentile, Quorum, Requirements, Sla, Stability,
    Suspicion,
};

pub(super) const EXAMPLE: &str = include_str!("example.toml");

/// A configuration that is right, of eight lines: what follows belongs to uplink "cable".
pub(super) const BASE: &str = "[lan]
interfaces = [\"lan0\"]
[[uplink]]
name = \"fiber\"
interface = \"wan0\"
[[uplink]]
name = \"cable\"
interface = \"wan1\"
";

/// What is said about a text: `line:column: message` each, warnings marked as such.
pub(super) fn complaints_about(text: &str) -> Vec<String> {
    let diagnostics = match parse("p.toml", text) {
        Ok((_, warnings)) => warnings,
        Err(ConfigError::Invalid(diagnostics)) => diagnostics,
        Err(other) => panic!("{other}"),
    };
    let complaint = |diagnostic: &Diagnostic| {
        let shown = diagnostic.to_string();
        let first = shown.lines().next().unwrap_or_default();
        first.strip_prefix("p.toml:").expect("the file's name comes first").to_owned()
    };
    diagnostics.iter().map(complaint).collect()
}

/// What is said about `lines` below a configuration that is right; they start at line 9.
pub(super) fn complaints(lines: &str) -> Vec<String> {
    complaints_about(&format!("{BASE}{lines}\n"))
}

/// The configuration with `lines` below one that is right, without a warning.
pub(super) fn config_with(lines: &str) -> Config {
    let (config, warnings) = parse("p.toml", &format!("{BASE}{lines}\n")).expect("it is right");
    assert_eq!(warnings, []);
    config
}

/// What the example asks of an uplink.
fn requirements() -> Requirements {
    let limit = |metric, enter, leave| Limit { metric, enter, leave };
    Requirements {
        sla: Sla {
            window: Duration::from_secs(10),
            min_samples: 10,
            degraded: vec![
                limit(Metric::Loss, 50_000, 10_000),
                limit(Metric::Latency(Percentile::P95), 80_000, 60_000),
                limit(Metric::Jitter(Percentile::P95), 30_000, 10_000),
            ],
            down: vec![limit(Metric::Loss, 400_000, 100_000)],
        },
        stability: Stability {
            hold_down: Duration::ZERO,
            dampening: Some(Dampening {
                half_life: Duration::from_secs(30),
                suppress: 2500,
                reuse: 750,
                max_suppress: Duration::from_secs(120),
            }),
        },
    }
}

fn example() -> Config {
    let milliseconds = Duration::from_millis;
    let paced = |kind, interval, timeout| Probe {
        kind,
        interval: milliseconds(interval),
        timeout: milliseconds(timeout),
    };
    let echo = ProbeKind::Icmp([192, 0, 2, 53].into());
    let https = HttpProbe {
        url: "https://example.net/health".parse().expect("a URL"),
        server: ([192, 0, 2, 80], 443).into(),
        statuses: vec![200, 204],
        body: Some("ok".to_owned()),
        ca: None,
    };
    let dns = DnsProbe {
        server: ([198, 51, 100, 53], 53).into(),
        name: "example.net".parse().expect("a name"),
        record: DnsRecord::A,
        expect: Some([192, 0, 2, 80].into()),
    };
    let probes = vec![
        paced(echo.clone(), 100, 100),
        paced(ProbeKind::Tcp(([192, 0, 2, 80], 443).into()), 400, 500),
        paced(ProbeKind::Http(https), 400, 500),
        paced(ProbeKind::Dns(dns), 400, 500),
        paced(ProbeKind::Arp, 100, 100),
    ];
    let health = |probes, quorum| Health {
        bfd: None,
        probes,
        quorum,
        down_after: 3,
        up_after: 3,
        listening: Listening {
            window: Duration::from_secs(2),
            packets: 10,
            action: Suspicion::Probed,
        },
        requirements: Requirements::default(),
    };
    Config {
        nat64: Some("64:ff9b::/96".parse().unwrap()),
        lan: Lan { interfaces: vec!["enp1s0".to_owned()] },
        uplinks: vec![
            Uplink {
                name: "fiber".to_owned(),
                interface: "enp2s0".to_owned(),
                vlan: Vlan::customer(35).expect("a VLAN"),
                gateway_mac: None,
                gateway: Gateway::Address(Ipv4Addr::new(203, 0, 113, 1)),
                metered: false,
                weight: 3,
                nat44: true,
                routed: None,
                addresses: vec![Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 11)],
                ipv6: Some(Ipv6 {
                    mode: Ipv6Mode::Nptv6,
                    prefixes: vec!["2001:db8:1::/48".parse().expect("a prefix")],
                    address: None,
                    internal: Some("fd00:1::/48".parse().expect("a prefix")),
                    inbound: Inbound::Answers,
                    gateway: Gateway6::Auto,
                }),
                health: Some(Health {
                    bfd: Some(Bfd {
                        interval: Duration::from_millis(50),
                        multiplier: NonZeroU8::new(3).unwrap(),
                        peer: None,
                        mode: Mode::SingleHop,
                        authentication: None,
                    }),
                    listening: Listening {
                        window: Duration::from_secs(2),
                        packets: 10,
                        action: Suspicion::Believed(Duration::from_secs(30)),
                    },
                    requirements: requirements(),
                    ..health(probes, Quorum::AtLeast(2))
                }),
            },
            Uplink {
                name: "cable".to_owned(),
                interface: "enp3s0".to_owned(),
                vlan: Vlan::NONE,
                gateway_mac: None,
                gateway: Gateway::Auto,
                metered: false,
                weight: 1,
                nat44: true,
                addresses: Vec::new(),
                routed: None,
                ipv6: Some(Ipv6 {
                    mode: Ipv6Mode::Nat66,
                    prefixes: Vec::new(),
                    address: Some("2001:db8:2::2".parse().expect("an address")),
                    internal: Some("fd00:1::/48".parse().expect("a prefix")),
                    inbound: Inbound::Answers,
                    gateway: Gateway6::Auto,
                }),
                health: Some(health(vec![paced(echo, 200, 200)], Quorum::Any)),
            },
        ],
        group: Group {
            name: "default".to_owned(),
            tiers: vec![vec![0, 1]],
            sticky: Sticky::Source,
            on_failure: OnFailure::Rehome,
            last_resort: LastResort::LeastBad,
            failback: None,
        },
        nat: Nat {
            ports: 1024..=65535,
            reserved_ports: vec![
                (PortProtocol::Tcp, 5000..=5100),
                (PortProtocol::Udp, 5060..=5060),
            ],
            filtering: Filtering::Endpoint,
            mappings_per_host: 16_384,
            unreplied_per_host: 4096,
            icmp_rate: 1000,
            icmp_burst: 50,
        },
        forwards: vec![
            Forward {
                protocol: PortProtocol::Tcp,
                ports: 443..=443,
                address: Ipv4Addr::new(10, 1, 0, 10),
                port: 8443,
                uplinks: vec![0, 1],
                sources: Vec::new(),
            },
            Forward {
                protocol: PortProtocol::Udp,
                ports: 8000..=8010,
                address: Ipv4Addr::new(10, 1, 0, 11),
                port: 8000,
                uplinks: vec![0],
                sources: vec!["192.0.2.0/24".parse().expect("a prefix")],
            },
        ],
        timers: Timers {
            udp: Duration::from_secs(120),
            tcp_established: Duration::from_secs(7440),
            tcp_transitory: Duration::from_secs(240),
            icmp: Duration::from_secs(60),
        },
        tables: TableSizes {
            flows: 262_144,
            unreplied: 65_536,
            invited: 16_384,
            mappings: 131_072,
            hosts: 4096,
            fragments: 4096,
            pins: 262_144,
            unreplied_pins: 65_536,
            invited_pins: 16_384,
        },
        host: Host { offloads: Offloads::Warn },
        state: State {
            pins: Some("/sys/fs/bpf/pointsman".into()),
            directory: PathBuf::from("/var/lib/pointsman"),
        },
        api: Api { socket: PathBuf::from("/run/pointsman/pointsman.sock") },
    }
}

#[test]
fn reads_the_whole_example() {
    let (config, warnings) = parse("example.toml", EXAMPLE).expect("the example is right");
    assert_eq!(warnings, []);
    assert_eq!(config, example());
}

/// The example says "default" of a line only where that is so.
#[test]
fn lines_of_the_example_that_say_default_change_nothing() {
    let defaults = EXAMPLE.lines().filter(|line| line.contains("# default") && line.contains('='));
    assert!(defaults.count() > 12);
    let without: Vec<&str> = EXAMPLE
        .lines()
        .filter(|line| !line.contains("# default") || line.contains("addresses"))
        .collect();
    let (config, _) = parse("example.toml", &without.join("\n")).expect("it is still right");
    assert_eq!(config, example());
}

#[test]
fn least_configuration_has_the_defaults() {
    let config = config_with("");
    assert_eq!(config.lan.interfaces, ["lan0"]);
    assert_eq!(config.group.tiers, [[0, 1]]);
    assert_eq!(config.group, Group { tiers: vec![vec![0, 1]], ..example().group });
    assert_eq!(config.nat, Nat { reserved_ports: Vec::new(), ..example().nat });
    assert_eq!(config.forwards, []);
    assert_eq!(config.timers, example().timers);
    let without_ipv6 =
        TableSizes { pins: 1024, unreplied_pins: 1024, invited_pins: 1024, ..example().tables };
    assert_eq!(config.tables, without_ipv6);
    assert_eq!(config.host, example().host);
    assert_eq!(config.api, example().api);
    assert_eq!(config.state, example().state);
    let uplink = &config.uplinks[1];
    assert_eq!((uplink.gateway, uplink.weight), (Gateway::Auto, 1));
    assert_eq!((&*uplink.addresses, &uplink.ipv6), (&[][..], &None));
    assert_eq!(uplink.health, None);
}

#[test]
fn nothing_is_missing_two_tables() {
    assert_eq!(
        complaints_about(""),
        [
            "1:1: lan is missing; write [lan] and below it interfaces = [\"lan0\"]",
            "1:1: uplink is missing; write [[uplink]] above the keys of each uplink",
        ]
    );
}

#[test]
fn renders_like_a_compiler_and_counts() {
    let text = format!("{BASE}weight = 0\n[timers]\nudp = \"30s\"\n");
    let error = parse("p.toml", &text).expect_err("the weight is wrong");
    let expected = [
        "p.toml:9:10: uplink \"cable\": weight is 0; give 1 to 1000, a larger number takes a \
         larger share",
        "    9 | weight = 0",
        "      |          ^",
        "p.toml:11:7: warning: timers.udp is \"30s\", less than RFC 4787 REQ-5 requires; give \
         \"2m\" or more, or some flows end early",
        "   11 | udp = \"30s\"",
        "      |       ^^^^^",
        "1 error, 1 warning",
    ];
    assert_eq!(error.to_string(), expected.join("\n"));
}

#[test]
fn finds_all_errors_in_one_pass() {
    let found =
        complaints("weight = 0\ngateway = 1\n[nat]\nports = true\n[timer]\n[flows]\nmax = -1");
    let places: Vec<&str> =
        found.iter().map(|line| line.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, ["9:10", "10:11", "12:9", "13:2", "15:7"]);
}

#[test]
fn says_where_text_is_not_toml() {
    let fix = "text, addresses and durations stand in quotes, lists in [ ], tables in { }";
    for (line, found) in [
        ("gateway = 203.0.113.1", "9:16: not TOML: invalid float, expected nothing"),
        ("gateway = auto", "9:11: not TOML: string values must be quoted, expected literal string"),
        (
            "health.interval = 100ms",
            "9:19: not TOML: string values must be quoted, expected literal string",
        ),
        ("weight =", "9:9: not TOML: string values must be quoted, expected literal string"),
        ("gateway = \"auto", "9:16: not TOML: invalid basic string, expected `\"`"),
        ("[uplink", "9:8: not TOML: unclosed table, expected `]`"),
    ] {
        assert_eq!(complaints(line), [format!("{found}; {fix}")]);
    }
    assert_eq!(
        complaints("weight = 1\nweight = 2"),
        ["10:1: not TOML: duplicate key; give each key once"]
    );
}

#[test]
fn the_mark_stands_under_its_place() {
    let marked = |text: &str| {
        let error = parse("p.toml", text).expect_err("it is wrong").to_string();
        error.lines().skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(marked("é = [\t1]\r\n"), ["    1 | é = [\t1]", "      | ^"]);
    assert_eq!(
        marked("\t\u{fffd}\u{1b}[2J\u{7}"),
        ["    1 | \t\u{fffd}\u{fffd}[2J\u{fffd}", "      | \t  ^"]
    );
    let long = format!("lan.interfaces = [{}]\nlan.x = 1", "\"\",".repeat(100));
    let lines = marked(&long);
    assert!(lines[0].chars().count() <= 128 && lines[1].ends_with('^'), "{lines:?}");
    let error =
        parse("p.toml", "uplink = 1\n[lan]\ninterfaces = [\n  1,\n  \"é\\u0000\", \"b\"]\n");
    let error = error.expect_err("it is wrong").to_string();
    assert!(error.contains("p.toml:5:3: lan.interfaces[1] is \"é\\0\""), "{error}");
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_are_read() {
    let text = format!("\u{feff}{}", EXAMPLE.replace('\n', "\r\n"));
    assert_eq!(parse("p.toml", &text).expect("it is right").0, example());
}

#[test]
fn unknown_keys_get_a_suggestion_and_planned_ones_an_answer() {
    assert_eq!(
        complaints("wieght = 2\nmetric = 1"),
        [
            "9:1: uplink \"cable\": wieght is not a known key; did you mean weight?",
            "10:1: uplink \"cable\": metric is not a known key; known here: name, interface, \
             gateway, gateway_mac, vlan, weight, metered, ipv4, ipv6, health",
        ]
    );
    assert_eq!(
        complaints("[[rule]]\n[timer]\n[\"a\\u001bb\"]"),
        [
            "9:3: rule is not supported yet; remove it",
            "10:2: timer is not a known key; did you mean timers?",
            "11:2: \"a\\u{1b}b\" is not a known key; known here: lan, uplink, group, nat, nat64, forward, \
             timers, flows, host, state, api",
        ]
    );
}

#[test]
fn tables_of_the_wrong_shape_are_told_the_right_one() {
    assert_eq!(
        complaints_about("lan = 1\n[uplink]\nname = \"fiber\"\n[[timers]]\n"),
        [
            "1:7: lan is a number; write interfaces = [\"lan0\"] below [lan]",
            "2:1: uplink is a table; write [[uplink]] above the keys of each uplink",
            "4:1: timers is a list; write [timers] above its keys",
        ]
    );
    assert_eq!(
        complaints_about("uplink = [1]\n[lan]\ninterfaces = [\"lan0\"]\n"),
        ["1:11: uplink[0] is a number; write [[uplink]] above the keys of each uplink"]
    );
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let message = |path: &Path| load(path).expect_err("it cannot be read").to_string();

    let missing = directory.path().join("missing.toml");
    assert_eq!(
        message(&missing),
        format!(
            "{}: No such file or directory (os error 2); write the configuration there, or give \
             the path of another",
            missing.display()
        )
    );
    assert!(message(directory.path()).ends_with("; give the path of a file that can be read"));

    let binary = directory.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe, 0]).expect("writing a file of the test");
    assert!(message(&binary).ends_with("; save the file as UTF-8 text"));

    let large = directory.path().join("large");
    std::fs::write(&large, vec![b'#'; (1 << 18) + 1]).expect("writing a file of the test");
    assert!(message(&large).contains("larger than 262144 bytes; give the path"));
}

#[test]
fn loads_a_file() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join("pointsman.toml");
    std::fs::write(&path, EXAMPLE).expect("writing a file of the test");
    assert_eq!(load(&path).expect("the example is right").0, example());
}
