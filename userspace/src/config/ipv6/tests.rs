use super::super::tests::{complaints, config_with};
use super::*;

fn net(text: &str) -> Ipv6Net {
    text.parse().expect("a prefix")
}

/// What is said about the `ipv6` of uplink "cable", below line 8, and that of a third uplink.
fn complaints_of_both(cable: &str, lte: &str) -> Vec<String> {
    complaints(&format!(
        "ipv6 = {{ {cable} }}\n[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\n\
         ipv6 = {{ {lte} }}"
    ))
}

#[test]
fn reads_what_is_given() {
    let config = config_with(
        "ipv6 = { mode = \"nptv6\", prefix = \"2001:db8:1::/48\", internal = \"fd00:1::/48\", \
         inbound = \"all\", gateway = \"fe80::1\" }",
    );
    let ipv6 = Ipv6 {
        mode: Ipv6Mode::Nptv6,
        prefixes: vec![net("2001:db8:1::/48")],
        address: None,
        internal: Some(net("fd00:1::/48")),
        inbound: Inbound::All,
        gateway: Gateway6::Address(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    };
    assert_eq!(config.uplinks[1].ipv6, Some(ipv6));
    assert_eq!(config.uplinks[0].ipv6, None);
}

#[test]
fn what_is_left_out_depends_on_the_mode() {
    for (name, mode, inbound) in [
        ("nptv6", Ipv6Mode::Nptv6, Inbound::Answers),
        ("source", Ipv6Mode::Source, Inbound::Answers),
        ("routed", Ipv6Mode::Routed, Inbound::All),
    ] {
        let config =
            config_with(&format!("ipv6 = {{ mode = \"{name}\", prefix = [\"2001:db8:1::/64\"] }}"));
        let prefixes = vec![net("2001:db8:1::/64")];
        let gateway = Gateway6::Auto;
        let ipv6 = Ipv6 { mode, prefixes, address: None, internal: None, inbound, gateway };
        assert_eq!(config.uplinks[1].ipv6, Some(ipv6));
    }
}

#[test]
fn mode_and_prefix_are_given() {
    assert_eq!(
        complaints("ipv6 = {}"),
        [
            format!("9:8: uplink \"cable\": ipv6.mode is missing; {MODE}"),
            format!("9:8: uplink \"cable\": ipv6.prefix is missing; {PREFIX}"),
        ]
    );
    assert_eq!(
        complaints("ipv6 = \"nptv6\""),
        [format!("9:8: uplink \"cable\": ipv6 is text; {TABLE}")]
    );
    let of_mode =
        |mode| complaints(&format!("ipv6 = {{ prefix = \"2001:db8::/48\", mode = {mode} }}"));
    for (mode, found) in [
        ("\"nptv4\"", format!("is \"nptv4\"; {MODE} (did you mean \"nptv6\"?)")),
        ("6", format!("is a number; {MODE}")),
    ] {
        assert_eq!(of_mode(mode), [format!("9:43: uplink \"cable\": ipv6.mode {found}")]);
    }
    assert_eq!(
        complaints("ipv6 = { mode = \"routed\", prefix = \"2001:db8::/48\", prefixes = [] }"),
        ["9:53: uplink \"cable\": ipv6.prefixes is not a known key; did you mean prefix?"]
    );
}

#[test]
fn prefixes_are_of_hosts() {
    for (given, found) in [
        ("\"2001:db8::1\"", format!("is \"2001:db8::1\", not an IPv6 prefix; {PREFIX}")),
        ("\"192.0.2.0/24\"", format!("is \"192.0.2.0/24\", not an IPv6 prefix; {PREFIX}")),
        (
            "\"2001:db8::1/48\"",
            "is 2001:db8::1/48, with bits beyond the first 48; give \"2001:db8::/48\"".to_owned(),
        ),
        ("\"ff00::/8\"", format!("is ff00::/8, with multicast addresses; {PREFIX}")),
        ("\"fe80::/64\"", format!("is fe80::/64, with link-local addresses; {PREFIX}")),
        (
            "\"::ffff:0:0/96\"",
            format!("is ::ffff:0.0.0.0/96, with IPv4-mapped addresses; {PREFIX}"),
        ),
        ("\"::/128\"", format!("is ::/128, with the unspecified address; {PREFIX}")),
        ("\"::1/128\"", format!("is ::1/128, with the loopback address; {PREFIX}")),
        ("\"::/0\"", format!("is ::/0, with multicast addresses; {PREFIX}")),
        ("48", format!("is a number; {PREFIX}")),
        ("[]", format!("is empty; {PREFIX}")),
    ] {
        assert_eq!(
            complaints(&format!("ipv6 = {{ mode = \"source\", prefix = {given} }}")),
            [format!("9:36: uplink \"cable\": ipv6.prefix {found}")]
        );
    }
}

#[test]
fn there_are_at_most_4_prefixes_and_one_to_translate_to() {
    let list = |mode: &str, count: u16| {
        let prefixes: Vec<_> = (0..count).map(|n| format!("\"2001:db8:{n}::/48\"")).collect();
        let prefixes = prefixes.join(",\n");
        complaints(&format!("ipv6.mode = \"{mode}\"\nipv6.prefix = [\n{prefixes}\n]"))
    };
    for mode in ["routed", "source"] {
        assert_eq!(list(mode, 4), [""; 0]);
        assert_eq!(
            list(mode, 5),
            ["15:1: uplink \"cable\": ipv6.prefix[4] is one too many of 5; keep 4 at most"]
        );
    }
    assert_eq!(list("nptv6", 1), [""; 0]);
    assert_eq!(
        list("nptv6", 2),
        [format!(
            "10:15: uplink \"cable\": ipv6.prefix has 2 prefixes, and \"nptv6\" takes one; \
             {PREFIX}"
        )]
    );
    assert_eq!(
        complaints(
            "ipv6 = { mode = \"routed\", prefix = [\"2001:db8::/32\", \"2001:db8:1::/48\"] }"
        ),
        ["9:54: uplink \"cable\": ipv6.prefix[1] is 2001:db8:1::/48, and 2001:db8::/32 is \
          given; give each once"]
    );
}

#[test]
fn what_is_translated_is_up_to_64_bits_long() {
    let of_lengths = |external: u8, internal: u8| {
        complaints(&format!(
            "ipv6.mode = \"nptv6\"\nipv6.prefix = \"2001:db8::/{external}\"\n\
             ipv6.internal = \"fd00::/{internal}\""
        ))
    };
    assert_eq!(of_lengths(64, 64), [""; 0]);
    assert_eq!(of_lengths(32, 48), [""; 0]);
    let why = "longer than the 64 bits that are translated (RFC 6296 section 3.5)";
    assert_eq!(
        of_lengths(65, 128),
        [
            format!("10:15: uplink \"cable\": ipv6.prefix is 2001:db8::/65, {why}; {PREFIX}"),
            format!("11:17: uplink \"cable\": ipv6.internal is fd00::/128, {why}; {INTERNAL}"),
        ]
    );
}

#[test]
fn the_internal_prefix_is_translated_to_another() {
    assert_eq!(
        complaints(
            "ipv6.mode = \"nptv6\"\nipv6.prefix = \"2001:db8::/48\"\n\
             ipv6.internal = \"2001:db8:0:1::/64\""
        ),
        [format!(
            "11:17: uplink \"cable\": ipv6.internal is 2001:db8:0:1::/64, and ipv6.prefix is \
             2001:db8::/48; {INTERNAL}"
        )]
    );
    for mode in ["routed", "source"] {
        assert_eq!(
            complaints(&format!(
                "ipv6.mode = \"{mode}\"\nipv6.prefix = \"2001:db8::/48\"\nipv6.internal = 1"
            )),
            ["11:17: uplink \"cable\": ipv6.internal is for the modes \"nptv6\" and \"nat66\", \
              which translate it; remove it"]
        );
    }
}

#[test]
fn uplinks_share_only_what_is_routed() {
    let of = |mode: &str, prefix: &str| format!("mode = \"{mode}\", prefix = \"{prefix}\"");
    let modes = ["nptv6", "routed", "source"];
    for (first, second) in modes.iter().flat_map(|a| modes.map(|b| (*a, b))) {
        let (wide, narrow) = (of(first, "2001:db8::/40"), of(second, "2001:db8:1::/48"));
        let found = complaints_of_both(&wide, &narrow);
        if (first, second) == ("routed", "routed") {
            assert_eq!(found, [""; 0]);
            continue;
        }
        assert_eq!(
            found,
            ["13:36: uplink \"lte\": ipv6.prefix is 2001:db8:1::/48, and the uplink in line 6 \
              has 2001:db8::/40; give each uplink prefixes of its own, or the mode \
              \"routed\" where they are the site's"
                .replace("13:36", if second == "nptv6" { "13:35" } else { "13:36" })]
        );
        assert_eq!(
            complaints_of_both(&wide, &of(second, "2001:db9::/48")),
            [""; 0],
            "{first} beside {second}"
        );
    }
}

#[test]
fn gateways_are_routers_or_auto() {
    for (given, found) in [
        ("\"ra\"", "is \"ra\", not an IPv6 address"),
        ("\"192.0.2.1\"", "is \"192.0.2.1\", not an IPv6 address"),
        ("\"fe80::1%wan0\"", "is \"fe80::1%wan0\", not an IPv6 address"),
        ("\"ff02::1\"", "is ff02::1, and no router has multicast addresses"),
        ("\"::1\"", "is ::1, and no router has the loopback address"),
        ("true", "is true"),
    ] {
        assert_eq!(
            complaints(&format!(
                "ipv6.mode = \"routed\"\nipv6.prefix = \"2001:db8::/48\"\nipv6.gateway = {given}"
            )),
            [format!("11:16: uplink \"cable\": ipv6.gateway {found}; {GATEWAY}")]
        );
    }
    assert_eq!(
        complaints(
            "ipv6.mode = \"routed\"\nipv6.prefix = \"2001:db8::/48\"\nipv6.inbound = \"none\""
        ),
        ["11:16: uplink \"cable\": ipv6.inbound is \"none\"; give \"answers\" or \"all\""]
    );
}
