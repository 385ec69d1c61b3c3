use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use pointsman_ebpf::abi::{Ipv6, Nat64};

use super::diagnostic::Report;
use super::ipv6::read_prefix;
use super::section::{Field, Section};
use super::settings::optional_table;
use super::uplink::Placed;

const PREFIX: &str = "give \"64:ff9b::/96\", or one of the site's own prefixes, such as \
                      \"2001:db8:1:64::/96\"";

/// Reads `[nat64]`.
pub(super) fn read(
    report: &mut Report<'_>,
    root: &Section<'_>,
    uplinks: &[Placed],
) -> Option<Ipv6Net> {
    let whole = root.get("nat64")?;
    let section = optional_table(report, root, "nat64")?;
    section.expect_keys(report, &["prefix"], &[]);
    expect_translation(report, &whole, uplinks);
    let Some(field) = section.get("prefix") else {
        let (segments, length) = Nat64::WELL_KNOWN;
        return Some(Ipv6Net::new_assert(segments.into(), length));
    };
    let prefix = read_prefix(report, &field, PREFIX)?;
    check(report, &field, prefix)?;
    expect_apart(report, &field, prefix, uplinks);
    Some(prefix)
}

/// What becomes IPv4 leaves by an uplink's own address.
fn expect_translation(report: &mut Report<'_>, whole: &Field<'_>, uplinks: &[Placed]) {
    if !uplinks.is_empty() && uplinks.iter().all(|(uplink, _)| !uplink.nat44) {
        whole.error(
            report,
            "has no uplink to leave by, for none translates IPv4; give one the mode \"nat44\", or remove \
             [nat64]",
        );
    }
}

/// Whether addresses of IPv4 can stand in the prefix (RFC 6052 section 2.2).
fn check(report: &mut Report<'_>, field: &Field<'_>, prefix: Ipv6Net) -> Option<()> {
    let length = prefix.prefix_len();
    if !Nat64::LENGTHS.contains(&length) {
        field.error(
            report,
            format_args!(
                "is {prefix}, and IPv4 addresses stand in prefixes of 32, 40, 48, 56, 64 or 96 bits \
                 (RFC 6052 section 2.2); {PREFIX}"
            ),
        );
        return None;
    }
    if Nat64::new(to_entry(prefix.network()), length).is_none() {
        field.error(
            report,
            format_args!(
                "is {prefix}, and the octet from bit 64 on is zero in all addresses (RFC 6052 section \
                 2.2); {PREFIX}"
            ),
        );
        return None;
    }
    Some(())
}

fn to_entry(address: Ipv6Addr) -> Ipv6 {
    Ipv6::new(address.octets())
}

/// What hosts have is not what servers stand in. A prefix that an uplink carries may hold that of NAT64,
/// which is the longer one.
fn expect_apart(report: &mut Report<'_>, field: &Field<'_>, prefix: Ipv6Net, uplinks: &[Placed]) {
    for (uplink, span) in uplinks {
        let Some(ipv6) = &uplink.ipv6 else { continue };
        let address = ipv6.address.map(Ipv6Net::from);
        let mut all = ipv6.prefixes.iter().chain(&ipv6.internal).chain(&address);
        if let Some(other) = all.find(|other| prefix.contains(*other)) {
            let line = report.line_of(span);
            field.error(
                report,
                format_args!("is {prefix}, and the uplink in line {line} has {other}; {PREFIX}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, complaints_about, config_with};

    fn prefix(lines: &str) -> Option<String> {
        config_with(lines).nat64.map(|prefix| prefix.to_string())
    }

    #[test]
    fn there_is_none_unless_asked_for() {
        assert_eq!(prefix(""), None);
        assert_eq!(prefix("[nat64]"), Some("64:ff9b::/96".into()));
        assert_eq!(prefix("[nat64]\nprefix = \"64:ff9b::/96\""), Some("64:ff9b::/96".into()));
        let own = "2001:db8:122:344::/64";
        assert_eq!(prefix(&format!("[nat64]\nprefix = \"{own}\"")), Some(own.into()));
    }

    #[test]
    fn it_takes_an_uplink_that_translates() {
        let text = "[lan]\ninterfaces = [\"lan0\"]\n[[uplink]]\nname = \"a\"\ninterface = \"wan0\"\n\
                    gateway = \"203.0.113.1\"\n\
                    ipv4 = { mode = \"routed\", prefix = \"198.51.100.0/24\" }\n[nat64]\n";
        let complaint = "8:1: nat64 has no uplink to leave by, for none translates IPv4; give one the \
                         mode \"nat44\", or remove [nat64]";
        assert_eq!(complaints_about(text), [complaint]);
    }

    #[test]
    fn it_stands_for_no_address_of_an_uplink() {
        let fix = "give \"64:ff9b::/96\", or one of the site's own prefixes, such as \
                   \"2001:db8:1:64::/96\"";
        for (ipv6, other) in [
            ("mode = \"source\", prefix = \"2001:db8:1::/48\"", "2001:db8:1::/48"),
            ("mode = \"nat66\", internal = \"2001:db8:2::/48\"", "2001:db8:2::/48"),
            ("mode = \"nat66\", address = \"2001:db8:3::1\"", "2001:db8:3::1/128"),
        ] {
            assert_eq!(
                complaints(&format!("ipv6 = {{ {ipv6} }}\n[nat64]\nprefix = \"2001:db8::/32\"")),
                [format!(
                    "11:10: nat64.prefix is 2001:db8::/32, and the uplink in line 6 has {other}; {fix}"
                )]
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        const FIX: &str = "give \"64:ff9b::/96\", or one of the site's own prefixes, such as \
                           \"2001:db8:1:64::/96\"";
        for (lines, complaint) in [
            (
                "[nat64]\nprefix = \"2001:db8::/33\"",
                format!(
                    "10:10: nat64.prefix is 2001:db8::/33, and IPv4 addresses stand in prefixes of 32, \
                     40, 48, 56, 64 or 96 bits (RFC 6052 section 2.2); {FIX}"
                ),
            ),
            (
                "[nat64]\nprefix = \"2001:db8:0:0:1200::/96\"",
                format!(
                    "10:10: nat64.prefix is 2001:db8:0:0:1200::/96, and the octet from bit 64 on is \
                     zero in all addresses (RFC 6052 section 2.2); {FIX}"
                ),
            ),
            (
                "[nat64]\nprefix = \"10.0.0.0/8\"",
                format!("10:10: nat64.prefix is \"10.0.0.0/8\", not an IPv6 prefix; {FIX}"),
            ),
            (
                "[nat64]\nprefixes = \"64:ff9b::/96\"",
                "10:1: nat64.prefixes is not a known key; did you mean prefix?".into(),
            ),
        ] {
            assert_eq!(complaints(lines), [complaint]);
        }
    }
}
