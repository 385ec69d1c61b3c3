use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::desired::{Gateway6, Inbound, Ipv6, Ipv6Mode};
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::quoted;
use super::uplink::Placed;

mod nat66;

const TABLE: &str =
    "write { mode = \"nptv6\", prefix = \"2001:db8:1::/48\" }, or { mode = \"nat66\" }";
const KEYS: &[&str] = &["mode", "prefix", "address", "internal", "inbound", "gateway"];
const MODE: &str = "give \"nptv6\", \"nat66\", \"routed\" or \"source\"";
const MODES: &[(&str, Ipv6Mode)] = &[
    ("nptv6", Ipv6Mode::Nptv6),
    ("nat66", Ipv6Mode::Nat66),
    ("routed", Ipv6Mode::Routed),
    ("source", Ipv6Mode::Source),
];
const INBOUND: &[(&str, Inbound)] = &[("answers", Inbound::Answers), ("all", Inbound::All)];
const PREFIX: &str = "give the uplink's prefix, such as \"2001:db8:1::/48\"";
const INTERNAL: &str = "give the LAN's prefix, such as \"fd00:1::/48\", or leave it out for the /48 \
                        of the LAN's unique local addresses";
const GATEWAY: &str = "give the provider's router, such as \"fe80::1\", or \"auto\"";
/// The most prefixes of an uplink.
const PREFIXES: usize = 4;
/// The longest prefix that is translated. One of up to 48 bits leaves the subnet to make the checksum
/// neutral with, a longer one words of the interface identifier (RFC 6296 sections 3.4 and 3.5).
const TRANSLATED_LENGTH: u8 = 64;

/// Reads how an uplink carries IPv6; it comes after the `earlier` ones.
pub(super) fn read(report: &mut Report<'_>, field: &Field<'_>, earlier: &[Placed]) -> Option<Ipv6> {
    let section = field.table(report, TABLE)?;
    section.expect_keys(report, KEYS, &[]);
    let mode =
        section.require(report, "mode", MODE).and_then(|field| field.choice(report, MODES, &[]));
    if mode == Some(Ipv6Mode::Nat66) {
        return Some(nat66::read(report, &section, earlier));
    }
    if let Some(field) = section.get("address").filter(|_| mode.is_some()) {
        field.error(report, "is for the mode \"nat66\", which translates to it; remove it");
    }
    let prefixes = section
        .require(report, "prefix", PREFIX)
        .map(|field| read_prefixes(report, &field, mode, earlier))
        .unwrap_or_default();
    let internal =
        section.get("internal").and_then(|field| read_internal(report, &field, mode, &prefixes));
    let inbound = section.get("inbound").and_then(|field| field.choice(report, INBOUND, &[]));
    let gateway = read_gateway(report, &section);
    let mode = mode?;
    let inbound = inbound.unwrap_or(default_of(mode));
    Some(Ipv6 { mode, prefixes, address: None, internal, inbound, gateway })
}

/// Addresses of a provider take only answers from outside unless the site opens them (the simple
/// security of RFC 6092); a prefix of the site's own is routed as it stands.
fn default_of(mode: Ipv6Mode) -> Inbound {
    match mode {
        Ipv6Mode::Nptv6 | Ipv6Mode::Nat66 | Ipv6Mode::Source => Inbound::Answers,
        Ipv6Mode::Routed => Inbound::All,
    }
}

/// Reads one prefix, or a list of them.
fn read_prefixes(
    report: &mut Report<'_>,
    field: &Field<'_>,
    mode: Option<Ipv6Mode>,
    earlier: &[Placed],
) -> Vec<Ipv6Net> {
    let mut prefixes = Vec::new();
    if field.value.as_array().is_none() {
        prefixes.extend(read_external(report, field, mode, earlier, &[]));
        return prefixes;
    }
    let listed = field.list(report, PREFIX).unwrap_or_default();
    let count = listed.len();
    if mode == Some(Ipv6Mode::Nptv6) && count > 1 {
        field
            .error(report, format_args!("has {count} prefixes, and \"nptv6\" takes one; {PREFIX}"));
    } else if let Some(field) = listed.get(PREFIXES) {
        field.error(report, format_args!("is one too many of {count}; keep {PREFIXES} at most"));
    }
    for field in &listed {
        let prefix = read_external(report, field, mode, earlier, &prefixes);
        prefixes.extend(prefix);
    }
    prefixes
}

/// Reads a prefix that the uplink's provider routes here, after those of its own that come `before`.
fn read_external(
    report: &mut Report<'_>,
    field: &Field<'_>,
    mode: Option<Ipv6Mode>,
    earlier: &[Placed],
    before: &[Ipv6Net],
) -> Option<Ipv6Net> {
    let prefix = read_prefix(report, field, PREFIX)?;
    if mode == Some(Ipv6Mode::Nptv6) {
        expect_translatable(report, field, prefix, PREFIX);
    }
    if let Some(other) = before.iter().find(|other| overlap(&prefix, other)) {
        field.error(report, format_args!("is {prefix}, and {other} is given; give each once"));
    }
    // What is routed is the site's own, so that any provider may have it; the rest belongs to one.
    let taken = earlier.iter().find_map(|(uplink, span)| {
        let ipv6 = uplink.ipv6.as_ref()?;
        let shared = mode == Some(Ipv6Mode::Routed) && ipv6.mode == Ipv6Mode::Routed;
        let mut others = ipv6.prefixes.iter().copied().chain(ipv6.address.map(Ipv6Net::from));
        let other = others.find(|other| !shared && overlap(&prefix, other))?;
        Some((other, span))
    });
    if let Some((other, span)) = taken {
        let line = report.line_of(span);
        field.error(
            report,
            format_args!(
                "is {prefix}, and the uplink in line {line} has {other}; give each uplink \
                 prefixes of its own, or the mode \"routed\" where they are the site's"
            ),
        );
    }
    Some(prefix)
}

/// Reads the prefix that the LAN uses itself.
fn read_internal(
    report: &mut Report<'_>,
    field: &Field<'_>,
    mode: Option<Ipv6Mode>,
    external: &[Ipv6Net],
) -> Option<Ipv6Net> {
    if mode.is_some_and(|mode| mode != Ipv6Mode::Nptv6) {
        field.error(
            report,
            "is for the modes \"nptv6\" and \"nat66\", which translate it; remove it",
        );
        return None;
    }
    let prefix = read_prefix(report, field, INTERNAL)?;
    expect_translatable(report, field, prefix, INTERNAL);
    if let Some(other) = external.iter().find(|other| overlap(&prefix, other)) {
        field.error(report, format_args!("is {prefix}, and ipv6.prefix is {other}; {INTERNAL}"));
    }
    Some(prefix)
}

fn expect_translatable(report: &mut Report<'_>, field: &Field<'_>, prefix: Ipv6Net, fix: &str) {
    if prefix.prefix_len() > TRANSLATED_LENGTH {
        field.error(
            report,
            format_args!(
                "is {prefix}, longer than the {TRANSLATED_LENGTH} bits that are translated (RFC \
                 6296 section 3.5); {fix}"
            ),
        );
    }
}

/// Reads a prefix that hosts can have addresses of.
pub(super) fn read_prefix(
    report: &mut Report<'_>,
    field: &Field<'_>,
    fix: &str,
) -> Option<Ipv6Net> {
    let text = field.string(report, fix)?;
    let Ok(prefix) = text.parse::<Ipv6Net>() else {
        field.error(report, format_args!("is {}, not an IPv6 prefix; {fix}", quoted(text)));
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
        field.error(report, format_args!("is {prefix}, with {kind}; {fix}"));
        return None;
    }
    Some(prefix)
}

fn read_gateway(report: &mut Report<'_>, section: &Section<'_>) -> Gateway6 {
    let Some(field) = section.get("gateway") else {
        return Gateway6::Auto;
    };
    let Some(text) = field.string(report, GATEWAY).filter(|text| *text != "auto") else {
        return Gateway6::Auto;
    };
    let Ok(address) = text.parse::<Ipv6Addr>() else {
        field.error(report, format_args!("is {}, not an IPv6 address; {GATEWAY}", quoted(text)));
        return Gateway6::Auto;
    };
    // A router is known by its link-local address most often (RFC 4861 section 4.2).
    if let Some(kind) = not_of_hosts(&address.into()).filter(|_| !address.is_unicast_link_local()) {
        field.error(report, format_args!("is {address}, and no router has {kind}; {GATEWAY}"));
    }
    Gateway6::Address(address)
}

/// What it has that no host on another link can have (RFC 4291 section 2.4), if anything.
fn not_of_hosts(prefix: &Ipv6Net) -> Option<&'static str> {
    let block = |segments: [u16; 8], length| Ipv6Net::new_assert(segments.into(), length);
    [
        (block([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast addresses"),
        (block([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local addresses"),
        (block([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4-mapped addresses"),
        (block([0; 8], 128), "the unspecified address"),
        (block([0, 0, 0, 0, 0, 0, 0, 1], 128), "the loopback address"),
    ]
    .into_iter()
    .find(|(block, _)| overlap(block, prefix))
    .map(|(_, kind)| kind)
}

fn overlap(a: &Ipv6Net, b: &Ipv6Net) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests;
