//! How an uplink carries IPv4.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{POOL_ADDRESSES, ROUTED_PREFIXES};

use super::desired::{Inbound, Routed};
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::quoted;
use super::uplink::Placed;

const TABLE: &str =
    "write { mode = \"nat44\" }, or { mode = \"routed\", prefix = \"198.51.100.0/24\" }";
const KEYS: &[&str] = &["mode", "address", "addresses", "prefix", "routed", "inbound"];
const MODES: &[(&str, Mode)] = &[("nat44", Mode::Nat44), ("routed", Mode::Routed)];
const INBOUND: &[(&str, Inbound)] = &[("answers", Inbound::Answers), ("all", Inbound::All)];
const PREFIX: &str = "give the site's own prefix, such as \"198.51.100.0/24\", or a list";
const ADDRESS: &str = "give the uplink's public address, or leave it to the interface";
/// The most different prefixes of all uplinks: few of those that the data plane takes of the LAN, of which
/// they are a part.
const ALL_PREFIXES: usize = 8;

/// What becomes of what private sources send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It is translated.
    Nat44,
    /// It does not leave here.
    Routed,
}

/// How an uplink carries IPv4. The default translates to the interface's own address.
#[derive(Debug, PartialEq)]
pub(super) struct Ipv4 {
    pub(super) nat44: bool,
    pub(super) addresses: Vec<Ipv4Addr>,
    pub(super) routed: Option<Routed>,
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self { nat44: true, addresses: Vec::new(), routed: None }
    }
}

/// Reads how an uplink carries IPv4; it comes after the `earlier` ones.
pub(super) fn read(report: &mut Report<'_>, field: &Field<'_>, earlier: &[Placed]) -> Ipv4 {
    let Some(section) = field.table(report, TABLE) else {
        return Ipv4::default();
    };
    section.expect_keys(report, KEYS, &[]);
    let mode = section.get("mode").and_then(|mode| mode.choice(report, MODES, &[]));
    let nat44 = mode != Some(Mode::Routed);
    let addresses = if nat44 {
        read_addresses(report, &section, earlier)
    } else {
        for key in ["address", "addresses"] {
            if let Some(field) = section.get(key) {
                field.error(report, "is for the mode \"nat44\", which translates to it; remove it");
            }
        }
        Vec::new()
    };
    let routed = read_routed(report, &section, nat44, earlier);
    if let Some(routed) = &routed {
        expect_apart(report, &section, &addresses, &routed.prefixes);
    }
    Ipv4 { nat44, addresses, routed }
}

/// Reads the public addresses, if any are given.
fn read_addresses(
    report: &mut Report<'_>,
    section: &Section<'_>,
    earlier: &[Placed],
) -> Vec<Ipv4Addr> {
    let taken: Vec<Ipv4Addr> =
        earlier.iter().flat_map(|(uplink, _)| &uplink.addresses).copied().collect();
    let one = section.get("address");
    let several = section.get("addresses");
    if let (Some(field), Some(_)) = (&one, &several) {
        field.error(report, "is given beside ipv4.addresses; move it to the front of that list");
    }
    let listed = several.and_then(|field| {
        let listed = field.list(report, "give addresses, or leave it to the interface")?;
        if let Some(field) = listed.get(POOL_ADDRESSES) {
            let count = listed.len();
            field.error(
                report,
                format_args!("is one too many of {count}; keep {POOL_ADDRESSES} at most"),
            );
        }
        Some(listed)
    });
    let mut addresses = Vec::new();
    for field in listed.into_iter().flatten().chain(one) {
        let Some(address) = field.host(report, ADDRESS) else {
            continue;
        };
        if addresses.contains(&address) || taken.contains(&address) {
            field.error(report, format_args!("is {address} again; give each address once"));
        }
        addresses.push(address);
    }
    addresses
}

/// Reads what is routed: with the mode "routed" by `prefix`, beside translation by `routed`.
fn read_routed(
    report: &mut Report<'_>,
    section: &Section<'_>,
    nat44: bool,
    earlier: &[Placed],
) -> Option<Routed> {
    let field = if nat44 {
        if let Some(field) = section.get("prefix") {
            field.error(
                report,
                "is for the mode \"routed\"; to route it beside what is translated, give ipv4.routed",
            );
        }
        section.get("routed")
    } else {
        if let Some(field) = section.get("routed") {
            field.error(report, "is beside the mode \"nat44\" only; give ipv4.prefix");
        }
        section.require(report, "prefix", PREFIX)
    };
    let inbound = section.get("inbound");
    let Some(field) = field else {
        if let Some(inbound) = inbound.filter(|_| nat44) {
            inbound.error(
                report,
                "is for prefixes that are routed; nat.filtering says what translation lets in",
            );
        }
        return None;
    };
    let prefixes = read_prefixes(report, &field, earlier);
    // A prefix of the site's own is routed as it stands, unless the site says otherwise.
    let inbound = inbound.and_then(|field| field.choice(report, INBOUND, &[]));
    Some(Routed { prefixes, inbound: inbound.unwrap_or(Inbound::All) })
}

/// Reads one prefix, or a list of them.
fn read_prefixes(report: &mut Report<'_>, field: &Field<'_>, earlier: &[Placed]) -> Vec<Ipv4Net> {
    let mut prefixes = Vec::new();
    if field.value.as_array().is_none() {
        prefixes.extend(read_prefix(report, field));
    } else {
        let listed = field.list(report, PREFIX).unwrap_or_default();
        if let Some(field) = listed.get(ROUTED_PREFIXES) {
            let count = listed.len();
            field.error(
                report,
                format_args!("is one too many of {count}; keep {ROUTED_PREFIXES} at most"),
            );
        }
        for field in listed.iter().take(ROUTED_PREFIXES) {
            let Some(prefix) = read_prefix(report, field) else { continue };
            if let Some(other) = prefixes.iter().find(|other| overlap(&prefix, other)) {
                field.error(
                    report,
                    format_args!("is {prefix}, and {other} is given; give each once"),
                );
            }
            prefixes.push(prefix);
        }
    }
    let all = earlier.iter().filter_map(|(uplink, _)| uplink.routed.as_ref());
    let mut all: Vec<Ipv4Net> = all.flat_map(|routed| &routed.prefixes).copied().collect();
    all.extend(&prefixes);
    all.sort_unstable();
    all.dedup();
    if all.len() > ALL_PREFIXES {
        let count = all.len();
        field.error(
            report,
            format_args!(
                "makes {count} different prefixes of all uplinks; keep {ALL_PREFIXES} at most"
            ),
        );
    }
    prefixes
}

/// Reads a prefix that hosts can have addresses of.
fn read_prefix(report: &mut Report<'_>, field: &Field<'_>) -> Option<Ipv4Net> {
    let text = field.string(report, PREFIX)?;
    let Ok(prefix) = text.parse::<Ipv4Net>() else {
        field.error(report, format_args!("is {}, not an IPv4 prefix; {PREFIX}", quoted(text)));
        return None;
    };
    if prefix.trunc() != prefix {
        let (network, length) = (prefix.trunc(), prefix.prefix_len());
        field.error(
            report,
            format_args!("is {prefix}, with bits beyond the first {length}; give \"{network}\""),
        );
    }
    let prefix = prefix.trunc();
    if let Some(kind) = not_of_hosts(&prefix) {
        field.error(report, format_args!("is {prefix}, with {kind}; {PREFIX}"));
        return None;
    }
    Some(prefix)
}

/// What is translated to an address of a prefix could not be told from what is routed to it.
fn expect_apart(
    report: &mut Report<'_>,
    section: &Section<'_>,
    addresses: &[Ipv4Addr],
    prefixes: &[Ipv4Net],
) {
    let Some(field) = section.get("addresses").or_else(|| section.get("address")) else {
        return;
    };
    for address in addresses {
        if let Some(prefix) = prefixes.iter().find(|prefix| prefix.contains(address)) {
            field.error(
                report,
                format_args!(
                    "has {address}, of {prefix}, which ipv4.routed says is not translated; give an \
                     address of the provider's"
                ),
            );
        }
    }
}

/// What it has that no host on another link can have (RFC 6890 section 2.2.2), if anything.
fn not_of_hosts(prefix: &Ipv4Net) -> Option<&'static str> {
    let block = |octets: [u8; 4], length| Ipv4Net::new_assert(octets.into(), length);
    [
        (block([0, 0, 0, 0], 8), "addresses of \"this network\""),
        (block([127, 0, 0, 0], 8), "loopback addresses"),
        (block([169, 254, 0, 0], 16), "link-local addresses"),
        (block([224, 0, 0, 0], 4), "multicast addresses"),
        (block([240, 0, 0, 0], 4), "reserved addresses"),
    ]
    .into_iter()
    .find(|(block, _)| overlap(block, prefix))
    .map(|(_, kind)| kind)
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests;
