//! `health.bfd`: the session with a system that the uplink leads to.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::address;
use super::desired::Bfd;
use super::diagnostic::Report;
use super::section::{Field, Section};
use crate::bfd::{Authentication, Mode};

const TABLE: &str = "write a table such as { interval = \"50ms\", multiplier = 3 }";
const PEER: &str = "give the address of the provider's router, or leave it out for the gateway's";
const AUTHENTICATION: &str =
    "write { kind = \"meticulous-sha1\", key_id = 1, secret = \"…\" }, as the provider has it";
const SECRET: &str = "give the secret that both systems have";

const DEFAULT_INTERVAL: Duration = Duration::from_millis(50);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_MULTIPLIER: NonZeroU8 = NonZeroU8::new(3).unwrap();

/// How packets are authenticated.
#[derive(Clone, Copy)]
enum Kind {
    Simple,
    Sha1 { meticulous: bool },
}

/// Reads that of an uplink that carries IPv6 or does not.
pub(super) fn read(report: &mut Report<'_>, field: &Field<'_>, ipv6: bool) -> Option<Bfd> {
    let section = field.table(report, TABLE)?;
    section.expect_keys(report, &["interval", "multiplier", "peer", "mode", "authentication"], &[]);
    let interval = section
        .get("interval")
        .and_then(|field| field.duration(report, SHORTEST_INTERVAL..=LONGEST_INTERVAL))
        .unwrap_or(DEFAULT_INTERVAL);
    let multiplier = section
        .get("multiplier")
        .and_then(|field| field.integer(report, 1..=255, " packets lost in a row"))
        .and_then(|number| NonZeroU8::new(number as u8))
        .unwrap_or(DEFAULT_MULTIPLIER);
    let peer = section.get("peer").and_then(|field| read_peer(report, &field));
    let mode = read_mode(report, &section, ipv6, peer);
    let authentication =
        section.get("authentication").and_then(|field| read_authentication(report, &field));
    Some(Bfd { interval, multiplier, peer, mode, authentication })
}

fn read_peer(report: &mut Report<'_>, field: &Field<'_>) -> Option<IpAddr> {
    let text = field.string(report, PEER)?;
    address::read(report, field, text, PEER)
}

fn read_mode(
    report: &mut Report<'_>,
    section: &Section<'_>,
    ipv6: bool,
    peer: Option<IpAddr>,
) -> Mode {
    let Some(field) = section.get("mode") else { return Mode::default() };
    let modes = Mode::ALL.map(|mode| (mode.name(), mode));
    let mode = field.choice(report, &modes, &[]).unwrap_or_default();
    match mode {
        // Over several hops, the gateway is not whom it is about.
        Mode::Multihop if peer.is_none() => field.error(
            report,
            "is \"multihop\", which the gateway is not; give the other system's address as bfd.peer",
        ),
        // The own address that packets are to come back to is not known otherwise.
        Mode::Echo if peer.is_some_and(|peer| peer.is_ipv6()) && !ipv6 => field.error(
            report,
            "is \"echo\" over IPv6, which the uplink does not carry; give the uplink ipv6, or an IPv4 \
             address as bfd.peer",
        ),
        Mode::SingleHop | Mode::Multihop | Mode::Echo => {}
    }
    mode
}

fn read_authentication(report: &mut Report<'_>, field: &Field<'_>) -> Option<Authentication> {
    let section = field.table(report, AUTHENTICATION)?;
    section.expect_keys(report, &["kind", "key_id", "secret"], &[]);
    let kind = section.require(report, "kind", AUTHENTICATION)?.choice(
        report,
        &[
            ("simple", Kind::Simple),
            ("sha1", Kind::Sha1 { meticulous: false }),
            ("meticulous-sha1", Kind::Sha1 { meticulous: true }),
        ],
        &["md5", "meticulous-md5"],
    );
    let key_id = section
        .require(report, "key_id", AUTHENTICATION)
        .and_then(|field| field.integer(report, 0..=255, ""));
    let field = section.require(report, "secret", SECRET)?;
    let secret = field.string(report, SECRET)?.as_bytes();
    let (kind, key_id) = (kind?, key_id? as u8);
    let (authentication, longest) = match kind {
        Kind::Simple => (Authentication::simple(key_id, secret), 16),
        Kind::Sha1 { meticulous } => (Authentication::sha1(key_id, secret, meticulous), 20),
    };
    if authentication.is_none() {
        let length = secret.len();
        field.error(report, format_args!("has {length} bytes; give one of 1 to {longest}"));
    }
    authentication
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    fn bfd(keys: &str) -> Bfd {
        let config = config_with(&format!("health = {{ bfd = {{ {keys} }} }}"));
        config.uplinks[1].health.clone().unwrap().bfd.unwrap()
    }

    fn complaints_of(keys: &str) -> Vec<String> {
        complaints(&format!("health = {{ bfd = {{ {keys} }} }}"))
    }

    #[test]
    fn all_is_optional() {
        let plain = Bfd {
            interval: Duration::from_millis(50),
            multiplier: DEFAULT_MULTIPLIER,
            peer: None,
            mode: Mode::SingleHop,
            authentication: None,
        };
        assert_eq!(bfd(""), plain);
        let all = "interval = \"10ms\", multiplier = 5, peer = \"2001:db8::1\", mode = \"multihop\", \
                   authentication = { kind = \"sha1\", key_id = 7, secret = \"s3cret\" }";
        let authentication = Authentication::sha1(7, b"s3cret", false);
        assert_eq!(
            bfd(all),
            Bfd {
                interval: Duration::from_millis(10),
                multiplier: NonZeroU8::new(5).unwrap(),
                peer: Some("2001:db8::1".parse().unwrap()),
                mode: Mode::Multihop,
                authentication,
            }
        );
        for (kind, expected) in [
            ("simple", Authentication::simple(0, b"x")),
            ("meticulous-sha1", Authentication::sha1(0, b"x", true)),
        ] {
            let keys =
                format!("authentication = {{ kind = \"{kind}\", key_id = 0, secret = \"x\" }}");
            assert_eq!(bfd(&keys).authentication, expected);
        }
    }

    /// By the gateway, or another router; with whatever else a session may have.
    #[test]
    fn an_echo_has_what_other_modes_have() {
        let echo = Bfd { mode: Mode::Echo, ..bfd("") };
        assert_eq!(bfd("mode = \"echo\""), echo);
        let all = "mode = \"echo\", interval = \"10ms\", multiplier = 5, peer = \"192.0.2.1\", \
                   authentication = { kind = \"sha1\", key_id = 7, secret = \"s3cret\" }";
        assert_eq!(
            bfd(all),
            Bfd {
                interval: Duration::from_millis(10),
                multiplier: NonZeroU8::new(5).unwrap(),
                peer: Some("192.0.2.1".parse().unwrap()),
                mode: Mode::Echo,
                authentication: Authentication::sha1(7, b"s3cret", false),
            }
        );
        let ipv6 = config_with(
            "ipv6 = { mode = \"routed\", prefix = \"2001:db8:2::/48\" }\n\
             health = { bfd = { mode = \"echo\", peer = \"fe80::1\" } }",
        );
        let ipv6 = ipv6.uplinks[1].health.clone().unwrap().bfd.unwrap();
        assert_eq!((ipv6.mode, ipv6.peer), (Mode::Echo, Some("fe80::1".parse().unwrap())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (keys, end) in [
            ("interval = \"9ms\"", "is \"9ms\"; give a duration, \"10ms\" to \"10s\""),
            ("multiplier = 0", "is 0; give 1 to 255 packets lost in a row"),
            (
                "mode = \"multihop\"",
                "is \"multihop\", which the gateway is not; give the other system's address as bfd.peer",
            ),
            (
                "mode = \"ecko\"",
                "is \"ecko\"; give \"single-hop\", \"multihop\" or \"echo\" (did you mean \"echo\"?)",
            ),
            (
                "mode = \"echo\", peer = \"fe80::1\"",
                "is \"echo\" over IPv6, which the uplink does not carry; give the uplink ipv6, or an IPv4 \
                 address as bfd.peer",
            ),
        ] {
            let complaints = complaints_of(keys);
            assert!(complaints.len() == 1 && complaints[0].ends_with(end), "{complaints:?}");
        }
        for peer in ["224.0.0.1", "0.0.0.0", "240.0.0.1", "::1", "router"] {
            let complaints = complaints_of(&format!("peer = \"{peer}\""));
            assert!(complaints.len() == 1 && complaints[0].ends_with(PEER), "{complaints:?}");
        }
        for (kind, length, longest) in [("simple", 17, 16), ("sha1", 21, 20), ("sha1", 0, 20)] {
            let secret = "x".repeat(length);
            let complaints = complaints_of(&format!(
                "authentication = {{ kind = \"{kind}\", key_id = 1, secret = \"{secret}\" }}"
            ));
            let end = format!("has {length} bytes; give one of 1 to {longest}");
            assert!(complaints.len() == 1 && complaints[0].ends_with(&end), "{complaints:?}");
            assert!(length == 0 || !complaints[0].contains(&secret), "a secret is not shown");
        }
        let complaints = complaints_of("authentication = { kind = \"md5\" }");
        assert_eq!(complaints.len(), 3, "{complaints:?}");
    }
}
