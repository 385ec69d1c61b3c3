use super::super::{GATEWAY, TABLE};
use super::*;
use crate::config::tests::{complaints, config_with};

/// What is said about keys of the uplink "cable" beside the mode; they start at line 10.
fn complaints_of(lines: &str) -> Vec<String> {
    complaints(&format!("ipv6.mode = \"nat66\"\n{lines}"))
}

/// What is said about the `ipv6` of a third uplink, in line 13, below that of "cable" in line 9.
fn complaints_of_both(cable: &str, lte: &str) -> Vec<String> {
    complaints(&format!(
        "ipv6 = {{ {cable} }}\n[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\n\
         ipv6 = {{ {lte} }}"
    ))
}

#[test]
fn reads_what_is_given() {
    let least = Ipv6 {
        mode: Ipv6Mode::Nat66,
        prefixes: Vec::new(),
        address: None,
        internal: None,
        inbound: Inbound::Answers,
        gateway: Gateway6::Auto,
    };
    let ipv6 = |keys: &str| {
        let config = config_with(&format!("ipv6 = {{ mode = \"nat66\"{keys} }}"));
        config.uplinks[1].ipv6.clone().expect("it is given")
    };
    assert_eq!(ipv6(""), least);
    let given = Ipv6 {
        address: Some("2001:db8:1::2".parse().unwrap()),
        internal: Some("fd00:1:0:1::/64".parse().unwrap()),
        gateway: Gateway6::Address("fe80::1".parse().unwrap()),
        ..least.clone()
    };
    let keys =
        ", address = \"2001:db8:1::2\", internal = \"fd00:1:0:1::/64\", gateway = \"fe80::1\"";
    assert_eq!(ipv6(keys), given);
    // Of what is translated to one address, nothing has to stay.
    for internal in ["fc00::/7", "2001:db8:5::/80", "fd00::7/128"] {
        let given = Ipv6 { internal: Some(internal.parse().unwrap()), ..least.clone() };
        assert_eq!(ipv6(&format!(", internal = \"{internal}\"")), given);
    }
}

#[test]
fn what_is_of_the_other_modes_is_refused() {
    assert_eq!(
        complaints_of("ipv6.prefix = \"2001:db8:1::/64\"\nipv6.inbound = \"all\"\nipv6.port = 1"),
        [
            "10:15: uplink \"cable\": ipv6.prefix is for the other modes, and \"nat66\" shows one \
             address; remove it, or give the address as ipv6.address",
            "11:16: uplink \"cable\": ipv6.inbound is for the other modes; remove it, for \
             nat.filtering says what \"nat66\" lets in",
            "12:6: uplink \"cable\": ipv6.port is not a known key; known here: mode, prefix, address, \
             internal, inbound, gateway",
        ]
    );
    for mode in ["nptv6", "routed", "source"] {
        assert_eq!(
            complaints(&format!(
                "ipv6.mode = \"{mode}\"\nipv6.prefix = \"2001:db8::/48\"\nipv6.address = 1"
            )),
            [
                "11:16: uplink \"cable\": ipv6.address is for the mode \"nat66\", which translates to it; \
              remove it"
            ]
        );
    }
    assert_eq!(
        complaints("ipv6 = \"nat66\""),
        [format!("9:8: uplink \"cable\": ipv6 is text; {TABLE}")]
    );
}

#[test]
fn addresses_are_of_the_internet() {
    let unanswered =
        |address, kind| format!("is {address}, and the Internet does not answer {kind}; {ADDRESS}");
    for (given, found) in [
        ("1", format!("is a number; {ADDRESS}")),
        ("\"wan1\"", format!("is \"wan1\", not an IPv6 address; {ADDRESS}")),
        ("\"2001:db8::1/64\"", format!("is \"2001:db8::1/64\", not an IPv6 address; {ADDRESS}")),
        ("\"192.0.2.1\"", format!("is \"192.0.2.1\", not an IPv6 address; {ADDRESS}")),
        ("\"ff0e::1\"", unanswered("ff0e::1", "multicast addresses")),
        ("\"fe80::1\"", unanswered("fe80::1", "link-local addresses")),
        ("\"::1\"", unanswered("::1", "the loopback address")),
        ("\"::\"", unanswered("::", "the unspecified address")),
        ("\"::ffff:192.0.2.1\"", unanswered("::ffff:192.0.2.1", "IPv4-mapped addresses")),
    ] {
        assert_eq!(
            complaints_of(&format!("ipv6.address = {given}")),
            [format!("10:16: uplink \"cable\": ipv6.address {found}")]
        );
    }
}

#[test]
fn an_address_is_of_one_uplink() {
    let nat66 = "mode = \"nat66\", address = \"2001:db8:1::2\"";
    for (cable, other) in [
        (nat66, "2001:db8:1::2"),
        ("mode = \"nptv6\", prefix = \"2001:db8:1::/48\"", "2001:db8:1::/48"),
        ("mode = \"source\", prefix = \"2001:db8:1::/64\"", "2001:db8:1::/64"),
        ("mode = \"routed\", prefix = \"2001:db8::/32\"", "2001:db8::/32"),
    ] {
        assert_eq!(
            complaints_of_both(cable, nat66),
            [format!(
                "13:36: uplink \"lte\": ipv6.address is 2001:db8:1::2, and the uplink in line 6 has \
                 {other}; {ADDRESS}"
            )]
        );
    }
    for (mode, column) in [("nptv6", 35), ("source", 36), ("routed", 36)] {
        let lte = format!("mode = \"{mode}\", prefix = \"2001:db8:1::/48\"");
        assert_eq!(
            complaints_of_both(nat66, &lte),
            [format!(
                "13:{column}: uplink \"lte\": ipv6.prefix is 2001:db8:1::/48, and the uplink in line 6 \
                 has 2001:db8:1::2/128; give each uplink prefixes of its own, or the mode \"routed\" \
                 where they are the site's"
            )]
        );
    }
    let other = "mode = \"nat66\", address = \"2001:db8:1::3\"";
    for uplinks in [(nat66, other), (nat66, "mode = \"nat66\""), ("mode = \"nat66\"", nat66)] {
        assert_eq!(complaints_of_both(uplinks.0, uplinks.1), [""; 0]);
    }
}

#[test]
fn what_is_translated_is_the_lans() {
    for (given, found) in [
        ("1", format!("is a number; {INTERNAL}")),
        ("\"fd00::1\"", format!("is \"fd00::1\", not an IPv6 prefix; {INTERNAL}")),
        ("\"fe80::/64\"", format!("is fe80::/64, with link-local addresses; {INTERNAL}")),
        ("\"::/0\"", format!("is ::/0, with multicast addresses; {INTERNAL}")),
    ] {
        assert_eq!(
            complaints_of(&format!("ipv6.internal = {given}")),
            [format!("10:17: uplink \"cable\": ipv6.internal {found}")]
        );
    }
    assert_eq!(
        complaints_of("ipv6.address = \"2001:db8:1::2\"\nipv6.internal = \"2001:db8:1::/64\""),
        [format!(
            "11:17: uplink \"cable\": ipv6.internal is 2001:db8:1::/64, and ipv6.address is \
             2001:db8:1::2; {INTERNAL}"
        )]
    );
}

#[test]
fn uplinks_may_translate_different_prefixes() {
    let of = |internal: &str| format!("mode = \"nat66\", internal = \"{internal}\"");
    for (cable, lte) in [("fd00:1::/48", "fd00:2::/48"), ("fd00:1::/48", "fd00:1:0:5::/64")] {
        assert_eq!(complaints_of_both(&of(cable), &of(lte)), [""; 0]);
    }
    // Where the uplink that routes the site's own prefix is down, it is still of use.
    let routed = "mode = \"routed\", prefix = \"2001:db8:100::/48\"";
    assert_eq!(complaints_of_both(routed, &of("2001:db8:100::/48")), [""; 0]);
}

#[test]
fn the_gateway_is_another_host() {
    assert_eq!(
        complaints_of("ipv6.gateway = \"ff02::1\""),
        [format!(
            "10:16: uplink \"cable\": ipv6.gateway is ff02::1, and no router has multicast \
             addresses; {GATEWAY}"
        )]
    );
    assert_eq!(
        complaints_of("ipv6.address = \"2001:db8:1::2\"\nipv6.gateway = \"2001:db8:1::2\""),
        ["11:16: uplink \"cable\": ipv6.gateway is 2001:db8:1::2, as ipv6.address; give the \
          provider's router"]
    );
}
