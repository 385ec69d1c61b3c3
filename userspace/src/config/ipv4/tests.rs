use super::super::tests::{complaints, config_with};
use super::*;

fn net(text: &str) -> Ipv4Net {
    text.parse().expect("a prefix")
}

/// What is said about the `ipv4` of uplink "cable", below line 8.
fn said_of(ipv4: &str) -> Vec<String> {
    complaints(&format!("ipv4 = {{ {ipv4} }}"))
}

#[test]
fn translation_is_the_default() {
    let config = config_with("");
    let cable = &config.uplinks[1];
    assert_eq!((cable.nat44, &cable.addresses, &cable.routed), (true, &Vec::new(), &None));
    let config = config_with("ipv4 = { addresses = [\"198.51.100.9\", \"198.51.100.8\"] }");
    let addresses = [9, 8].map(|last| Ipv4Addr::new(198, 51, 100, last));
    assert_eq!(config.uplinks[1].addresses, addresses);
    assert!(config.uplinks[1].nat44);
}

#[test]
fn prefixes_are_routed_alone_or_beside_translation() {
    let routed = |prefixes: &[&str], inbound| {
        Some(Routed { prefixes: prefixes.iter().map(|prefix| net(prefix)).collect(), inbound })
    };
    for (ipv4, nat44, expected) in [
        (
            "mode = \"routed\", prefix = \"198.51.100.0/24\"",
            false,
            routed(&["198.51.100.0/24"], Inbound::All),
        ),
        (
            "mode = \"routed\", prefix = [\"198.51.100.0/25\", \"192.0.2.7/32\"], \
             inbound = \"answers\"",
            false,
            routed(&["198.51.100.0/25", "192.0.2.7/32"], Inbound::Answers),
        ),
        (
            "mode = \"nat44\", routed = \"198.51.100.0/24\"",
            true,
            routed(&["198.51.100.0/24"], Inbound::All),
        ),
        (
            "address = \"203.0.113.9\", routed = [\"10.9.0.0/16\"], inbound = \"all\"",
            true,
            routed(&["10.9.0.0/16"], Inbound::All),
        ),
    ] {
        let config = config_with(&format!("ipv4 = {{ {ipv4} }}"));
        let cable = &config.uplinks[1];
        assert_eq!((cable.nat44, &cable.routed), (nat44, &expected));
    }
}

/// The prefix is the site's own: any uplink may have it.
#[test]
fn several_uplinks_route_a_prefix() {
    let routed = "ipv4 = { mode = \"routed\", prefix = \"198.51.100.0/24\" }\n";
    let part = "ipv4 = { routed = \"198.51.100.0/25\" }\n";
    let config = config_with(&format!(
        "{routed}[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\n{routed}\
         [[uplink]]\nname = \"sat\"\ninterface = \"sat0\"\n{part}"
    ));
    assert_eq!(config.uplinks[1].routed, config.uplinks[2].routed);
    assert!(config.uplinks[3].routed.is_some());
}

#[test]
fn keys_belong_to_modes() {
    assert_eq!(
        said_of("mode = \"routed\""),
        [format!("9:8: uplink \"cable\": ipv4.prefix is missing; {PREFIX}")]
    );
    assert_eq!(
        said_of("mode = \"routed\", prefix = \"198.51.100.0/24\", address = \"1.2.3.4\""),
        [
            "9:65: uplink \"cable\": ipv4.address is for the mode \"nat44\", which translates to it; \
          remove it"
        ]
    );
    assert_eq!(
        said_of("mode = \"routed\", prefix = \"198.51.100.0/24\", routed = \"1.2.3.0/24\""),
        ["9:64: uplink \"cable\": ipv4.routed is beside the mode \"nat44\" only; give ipv4.prefix"]
    );
    assert_eq!(
        said_of("prefix = \"198.51.100.0/24\""),
        [
            "9:19: uplink \"cable\": ipv4.prefix is for the mode \"routed\"; to route it beside what \
          is translated, give ipv4.routed"
        ]
    );
    assert_eq!(
        said_of("inbound = \"all\""),
        [
            "9:20: uplink \"cable\": ipv4.inbound is for prefixes that are routed; nat.filtering says \
          what translation lets in"
        ]
    );
    assert_eq!(
        said_of("routed = \"198.51.100.0/24\", inbound = \"answer\""),
        [
            "9:48: uplink \"cable\": ipv4.inbound is \"answer\"; give \"answers\" or \"all\" (did you \
          mean \"answers\"?)"
        ]
    );
}

#[test]
fn prefixes_are_of_hosts() {
    for (given, found) in [
        ("\"fiber\"", "is \"fiber\", not an IPv4 prefix"),
        ("\"198.51.100.0\"", "is \"198.51.100.0\", not an IPv4 prefix"),
        ("\"2001:db8::/32\"", "is \"2001:db8::/32\", not an IPv4 prefix"),
        ("\"0.0.0.0/0\"", "is 0.0.0.0/0, with addresses of \"this network\""),
        ("\"127.1.0.0/16\"", "is 127.1.0.0/16, with loopback addresses"),
        ("\"169.254.7.0/24\"", "is 169.254.7.0/24, with link-local addresses"),
        ("\"224.0.0.0/24\"", "is 224.0.0.0/24, with multicast addresses"),
        ("\"255.255.255.255/32\"", "is 255.255.255.255/32, with reserved addresses"),
        ("7", "is a number"),
    ] {
        assert_eq!(
            said_of(&format!("routed = {given}")),
            [format!("9:19: uplink \"cable\": ipv4.routed {found}; {PREFIX}")]
        );
    }
    assert_eq!(
        said_of("routed = \"198.51.100.7/24\""),
        ["9:19: uplink \"cable\": ipv4.routed is 198.51.100.7/24, with bits beyond the first 24; \
          give \"198.51.100.0/24\""]
    );
}

#[test]
fn prefixes_are_given_once_and_4_at_most() {
    assert_eq!(
        said_of("routed = [\"198.51.100.0/24\", \"198.51.100.128/25\"]"),
        [
            "9:39: uplink \"cable\": ipv4.routed[1] is 198.51.100.128/25, and 198.51.100.0/24 is given; \
          give each once"
        ]
    );
    let list = |from: u8, count: u8| {
        let prefixes = (from..from + count).map(|third| format!("\"10.9.{third}.0/24\""));
        format!("ipv4.routed = [{}]", prefixes.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(complaints(&list(0, 4)), [""; 0]);
    assert_eq!(
        complaints(&list(0, 5)),
        ["9:76: uplink \"cable\": ipv4.routed[4] is one too many of 5; keep 4 at most"]
    );
    let uplink = |name: &str, lines: String| {
        format!("[[uplink]]\nname = \"{name}\"\ninterface = \"{name}\"\n{lines}\n")
    };
    let many = |last: u8| {
        let (a, b) = (uplink("a", list(4, 4)), uplink("b", list(last, 1)));
        complaints(&format!("{}\n{a}{b}", list(0, 4)))
    };
    // One that there is already makes no more of them.
    assert_eq!(many(7), [""; 0]);
    assert_eq!(
        many(8),
        [
            "17:15: uplink \"b\": ipv4.routed makes 9 different prefixes of all uplinks; keep 8 at most"
        ]
    );
}

#[test]
fn what_is_translated_to_is_not_routed() {
    assert_eq!(
        said_of("addresses = [\"203.0.113.7\", \"198.51.100.7\"], routed = \"198.51.100.0/24\""),
        ["9:22: uplink \"cable\": ipv4.addresses has 198.51.100.7, of 198.51.100.0/24, which \
          ipv4.routed says is not translated; give an address of the provider's"]
    );
}

#[test]
fn public_addresses_are_given_once_and_16_at_most() {
    let another = "ipv4.addresses = [\"198.51.100.7\", \"198.51.100.8\", \"198.51.100.7\"]\n\
                   [[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\n\
                   ipv4.address = \"198.51.100.8\"";
    assert_eq!(
        complaints(another),
        [
            "9:51: uplink \"cable\": ipv4.addresses[2] is 198.51.100.7 again; give each \
             address once",
            "13:16: uplink \"lte\": ipv4.address is 198.51.100.8 again; give each address once",
        ]
    );
    assert_eq!(
        complaints("ipv4 = { address = \"192.0.2.1\", addresses = [\"192.0.2.2\"] }"),
        ["9:20: uplink \"cable\": ipv4.address is given beside ipv4.addresses; move it to the \
          front of that list"]
    );
    let list = |count: usize| {
        let addresses: Vec<_> = (1..=count).map(|last| format!("\"192.0.2.{last}\"")).collect();
        complaints(&format!("ipv4.addresses = [\n{}\n]", addresses.join(",\n")))
    };
    assert_eq!(list(16), [""; 0]);
    assert_eq!(
        list(18),
        ["26:1: uplink \"cable\": ipv4.addresses[16] is one too many of 18; keep 16 at most"]
    );
    assert_eq!(
        complaints("ipv4.addresses = []"),
        ["9:18: uplink \"cable\": ipv4.addresses is empty; give addresses, or leave it to the \
          interface"]
    );
}

#[test]
fn mistakes_are_named() {
    assert_eq!(
        complaints("ipv4 = { mode = \"nat\" }"),
        ["9:17: uplink \"cable\": ipv4.mode is \"nat\"; give \"nat44\" or \"routed\""]
    );
    assert_eq!(
        complaints("ipv4 = \"nat44\""),
        [format!("9:8: uplink \"cable\": ipv4 is text; {TABLE}")]
    );
    assert_eq!(
        complaints("ipv4 = { adress = \"1.2.3.4\" }"),
        ["9:10: uplink \"cable\": ipv4.adress is not a known key; did you mean address?"]
    );
    assert_eq!(
        complaints("ipv4 = { address = \"239.1.2.3\" }"),
        ["9:20: uplink \"cable\": ipv4.address is 239.1.2.3, a multicast address; give the \
             uplink's public address, or leave it to the interface"]
    );
}
