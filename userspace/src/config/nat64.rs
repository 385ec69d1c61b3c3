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
    let section = optional_table(report, root, "nat64")?;
    section.expect_keys(report, &["prefix"], &[]);
    let Some(field) = section.get("prefix") else {
        let (segments, length) = Nat64::WELL_KNOWN;
        return Some(Ipv6Net::new_assert(segments.into(), length));
    };
    let prefix = read_prefix(report, &field, PREFIX)?;
    check(report, &field, prefix)?;
    expect_apart(report, &field, prefix, uplinks);
    Some(prefix)
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
        let within = |other: &&Ipv6Net| prefix.contains(*other);
        if let Some(other) = ipv6.prefixes.iter().chain(&ipv6.internal).find(within) {
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
    use super::super::tests::{complaints, config_with};

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
