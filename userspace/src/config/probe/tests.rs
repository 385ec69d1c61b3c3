use super::super::tests::{complaints, config_with};
use super::*;

/// The probe with these keys of an uplink that carries IPv6.
fn probe(keys: &str) -> Probe {
    let config = config_with(&format!(
        "ipv6 = {{ mode = \"nat66\", internal = \"fd00:1::/48\" }}\nhealth.probes = [{{ {keys} }}]"
    ));
    config.uplinks[1].health.as_ref().expect("it is given").probes[0].clone()
}

fn kind(keys: &str) -> ProbeKind {
    probe(keys).kind
}

/// What is said about a probe with these keys, from the column of its table on.
fn complaints_of(keys: &str) -> Vec<String> {
    let complaints = complaints(&format!(
        "ipv6 = {{ mode = \"nat66\", internal = \"fd00:1::/48\" }}\nhealth.probes = [{{ {keys} }}]"
    ));
    let strip = |line: &String| {
        let (_, text) = line.split_once("uplink \"cable\": health.probes[0]").expect("its path");
        text.to_owned()
    };
    complaints.iter().map(strip).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn reads_every_kind() {
    let http = |url: &str, server| HttpProbe {
        url: url.parse().expect("a URL"),
        server: address(server),
        statuses: Vec::new(),
        body: None,
        ca: None,
    };
    let dns = DnsProbe {
        server: address("192.0.2.53:53"),
        name: "example.net".parse().expect("a name"),
        record: DnsRecord::A,
        expect: None,
    };
    for (keys, expected) in [
        ("kind = \"icmp\", target = \"192.0.2.53\"", ProbeKind::Icmp([192, 0, 2, 53].into())),
        (
            "kind = \"icmp\", target = \"2001:db8::53\"",
            ProbeKind::Icmp("2001:db8::53".parse().expect("an address")),
        ),
        ("kind = \"tcp\", target = \"192.0.2.1:443\"", ProbeKind::Tcp(address("192.0.2.1:443"))),
        (
            "kind = \"tcp\", target = \"[2001:db8::1]:443\"",
            ProbeKind::Tcp(address("[2001:db8::1]:443")),
        ),
        (
            "kind = \"http\", url = \"http://192.0.2.1/health\"",
            ProbeKind::Http(http("http://192.0.2.1/health", "192.0.2.1:80")),
        ),
        (
            "kind = \"http\", url = \"http://[2001:db8::1]:8080/\", status = 204",
            ProbeKind::Http(HttpProbe {
                statuses: vec![204],
                ..http("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080")
            }),
        ),
        (
            "kind = \"https\", url = \"https://example.net/health?x=1\", address = \"192.0.2.1\", \
             status = [200, 301], body = \"ok\", ca = \"/etc/ca.pem\"",
            ProbeKind::Http(HttpProbe {
                statuses: vec![200, 301],
                body: Some("ok".to_owned()),
                ca: Some("/etc/ca.pem".into()),
                ..http("https://example.net/health?x=1", "192.0.2.1:443")
            }),
        ),
        (
            "kind = \"dns\", server = \"192.0.2.53\", name = \"example.net\"",
            ProbeKind::Dns(dns.clone()),
        ),
        (
            "kind = \"dns\", server = \"[2001:db8::53]:5353\", name = \"example.net\", \
             type = \"AAAA\", expect = \"2001:db8::80\"",
            ProbeKind::Dns(DnsProbe {
                server: address("[2001:db8::53]:5353"),
                record: DnsRecord::Aaaa,
                expect: Some("2001:db8::80".parse().expect("an address")),
                ..dns
            }),
        ),
        ("kind = \"arp\"", ProbeKind::Arp),
        ("kind = \"nd\"", ProbeKind::Nd),
    ] {
        assert_eq!(kind(keys), expected, "{keys}");
    }
}

#[test]
fn a_probe_has_the_pace_of_the_others_or_its_own() {
    let milliseconds = Duration::from_millis;
    for (around, own, interval, timeout) in [
        ("", "", 100, 100),
        ("", "interval = \"50ms\"", 50, 50),
        ("", "timeout = \"1s\"", 100, 1000),
        ("interval = \"1s\"\ntimeout = \"200ms\"", "", 1000, 200),
        ("interval = \"1s\"\ntimeout = \"200ms\"", "interval = \"50ms\"", 50, 200),
        ("interval = \"30s\"", "timeout = \"2s\"", 30_000, 2000),
        ("interval = \"30s\"", "", 30_000, 10_000),
    ] {
        let own = if own.is_empty() { String::new() } else { format!(", {own}") };
        let config = config_with(&format!(
            "[uplink.health]\nprobes = [{{ kind = \"arp\"{own} }}]\n{around}"
        ));
        let probe = &config.uplinks[1].health.as_ref().expect("it is given").probes[0];
        let pace = (probe.interval, probe.timeout);
        assert_eq!(pace, (milliseconds(interval), milliseconds(timeout)), "{around} {own}");
    }
}

#[test]
fn the_pace_of_a_probe_is_bounded() {
    assert_eq!(
        complaints_of("kind = \"arp\", interval = \"9ms\", timeout = \"11s\""),
        [
            ".interval is \"9ms\"; give a duration, \"10ms\" to \"1m\"",
            ".timeout is \"11s\"; give a duration, \"1ms\" to \"10s\"",
        ]
    );
    assert_eq!(
        complaints_of("kind = \"arp\", timeout = \"1001ms\""),
        [
            ".timeout is \"1s 1ms\", more than 10 times the interval; give \"1s\" at most, or a longer \
          interval"
        ]
    );
    let around = "timeout = \"1s\"\nprobes = [{ kind = \"arp\", interval = \"50ms\" }]";
    assert_eq!(
        complaints(&format!("[uplink.health]\n{around}")),
        [
            "11:38: uplink \"cable\": health.probes[0].interval makes the timeout \"1s\", more than 10 \
          times the interval; give \"500ms\" at most, or a longer interval"
        ]
    );
}

#[test]
fn a_server_is_not_asked_too_often() {
    let own = ", interval = \"49ms\"";
    for (around, own) in [("interval = \"49ms\"\n", ""), ("", own)] {
        let probes = format!(
            "{around}probes = [{{ kind = \"icmp\", target = \"192.0.2.1\"{own} }}, {{ kind = \"tcp\", \
             target = \"192.0.2.1:80\"{own} }}]"
        );
        let complaints = complaints(&format!("[uplink.health]\n{probes}"));
        let [complaint] = &complaints[..] else { panic!("{complaints:?}") };
        let expected = "health.probes[1] has an interval that is too short for its kind; give it \
                        \"50ms\" or more";
        assert!(complaint.ends_with(expected), "{complaint}");
    }
}

#[test]
fn each_kind_has_keys_of_its_own() {
    assert_eq!(complaints_of("target = \"192.0.2.1\""), [format!(".kind is missing; {KIND}")]);
    assert_eq!(
        complaints_of("kind = \"htpp\""),
        [".kind is \"htpp\"; give \"icmp\", \"tcp\", \"http\", \"https\", \"dns\", \"arp\" or \
          \"nd\" (did you mean \"http\"?)"]
    );
    assert_eq!(
        complaints_of("kind = \"tcp\", target = \"192.0.2.1:80\", port = 80"),
        [".port is not a known key; known here: kind, target, interval, timeout"]
    );
    assert_eq!(
        complaints_of("kind = \"http\", url = \"http://192.0.2.1/\", ca = \"/ca.pem\""),
        [".ca is not a known key; known here: kind, url, address, status, body, interval, timeout"]
    );
    assert_eq!(
        complaints_of("kind = \"dns\", server = \"192.0.2.1\", nam = \"example.net\""),
        [
            format!(".name is missing; {NAME}"),
            ".nam is not a known key; did you mean name?".to_owned(),
        ]
    );
}

#[test]
fn addresses_are_those_that_hosts_have() {
    for (keys, fix, found) in [
        (
            "kind = \"icmp\", target = \"224.0.0.1\"",
            ECHOER,
            ".target is 224.0.0.1, a multicast address",
        ),
        (
            "kind = \"icmp\", target = \"ff02::1\"",
            ECHOER,
            ".target is ff02::1, a multicast address",
        ),
        ("kind = \"icmp\", target = \"::1\"", ECHOER, ".target is ::1, the loopback address"),
        ("kind = \"icmp\", target = \"::\"", ECHOER, ".target is ::, the unspecified address"),
        (
            "kind = \"icmp\", target = \"::ffff:192.0.2.1\"",
            ECHOER,
            ".target is ::ffff:192.0.2.1, an IPv4 address mapped into IPv6",
        ),
        (
            "kind = \"icmp\", target = \"example.net\"",
            ECHOER,
            ".target is \"example.net\", not an address",
        ),
        ("kind = \"icmp\"", ECHOER, ".target is missing"),
        (
            "kind = \"tcp\", target = \"192.0.2.1\"",
            LISTENER,
            ".target is \"192.0.2.1\", no address with a port",
        ),
        (
            "kind = \"tcp\", target = \"192.0.2.1:0\"",
            LISTENER,
            ".target is \"192.0.2.1:0\", no address with a port",
        ),
        (
            "kind = \"tcp\", target = \"127.0.0.1:80\"",
            LISTENER,
            ".target is 127.0.0.1, a loopback address",
        ),
        (
            "kind = \"dns\", name = \"example.net\", server = \"dns\"",
            SERVER,
            ".server is \"dns\", no address with a port",
        ),
        (
            "kind = \"dns\", name = \"a..b\", server = \"192.0.2.1\"",
            NAME,
            ".name is \"a..b\", no name (empty label)",
        ),
        (
            "kind = \"dns\", name = \"example.net\", server = \"192.0.2.1\", expect = \"::1\"",
            EXPECT,
            ".expect is ::1, which no A record has",
        ),
    ] {
        assert_eq!(complaints_of(keys), [format!("{found}; {fix}")]);
    }
}

#[test]
fn urls_are_whole_and_their_hosts_known() {
    let fix = "give what a browser would be given, such as \"http://192.0.2.1/health\"";
    for (url, found) in [
        ("", "is \"\", no URL (empty string)"),
        ("/health", "is \"/health\", not a whole URL"),
        ("192.0.2.1", "is \"192.0.2.1\", not a whole URL"),
        (
            "https://192.0.2.1/",
            "is \"https://192.0.2.1/\", of another scheme than the kind of the probe",
        ),
        ("http://me@192.0.2.1/", "is \"http://me@192.0.2.1/\", with a user's name"),
        ("http://192.0.2.1:0/", "is \"http://192.0.2.1:0/\", of a port that is none"),
        ("http://224.0.0.1/", "is 224.0.0.1, a multicast address"),
    ] {
        assert_eq!(
            complaints_of(&format!("kind = \"http\", url = \"{url}\"")),
            [format!(".url {found}; {fix}")]
        );
    }
    let named = "kind = \"http\", url = \"http://example.net/\"";
    assert_eq!(complaints_of(named), [format!(".address is missing; {ADDRESS}")]);
    assert_eq!(
        complaints_of("kind = \"http\", url = \"http://192.0.2.1/\", address = \"192.0.2.1\""),
        [".address is given beside a URL that has an address itself; remove it"]
    );
    let secure = "give what a browser would be given, such as \"https://192.0.2.1/health\"";
    assert_eq!(
        complaints_of("kind = \"https\", url = \"https://a..b/\", address = \"192.0.2.1\""),
        [format!(".url is \"https://a..b/\", of a host that no certificate can name; {secure}")]
    );
}

#[test]
fn what_an_answer_has_to_be_makes_sense() {
    let url = "kind = \"https\", url = \"https://192.0.2.1/\"";
    for (keys, found) in [
        ("status = 99", format!(".status is 99; give 100 to 599{STATUS}")),
        ("status = [200, 600]", format!(".status[1] is 600; give 100 to 599{STATUS}")),
        ("status = []", format!(".status is empty; give 100 to 599{STATUS}")),
        ("body = \"\"", format!(".body is empty; {BODY}")),
        ("ca = \"ca.pem\"", format!(".ca is \"ca.pem\", not an absolute path; {CA}")),
    ] {
        assert_eq!(complaints_of(&format!("{url}, {keys}")), [found]);
    }
}

#[test]
fn ipv6_is_asked_only_where_it_is_carried() {
    for keys in [
        "kind = \"nd\"",
        "kind = \"icmp\", target = \"2001:db8::1\"",
        "kind = \"tcp\", target = \"[2001:db8::1]:80\"",
        "kind = \"http\", url = \"http://[2001:db8::1]/\"",
        "kind = \"dns\", server = \"2001:db8::53\", name = \"example.net\"",
    ] {
        assert_eq!(
            complaints(&format!("health.probes = [{{ {keys} }}]")),
            [
                "9:18: uplink \"cable\": health.probes[0] goes over IPv6, which the uplink does not carry; \
              give the uplink ipv6, or ask over IPv4"
            ]
        );
        assert!(probe(keys).kind.is_ipv6());
    }
}
