//! The mode "nat66": hosts of the LAN share an address of the uplink.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{INTERNAL, not_of_hosts, overlap, read_gateway, read_prefix};
use crate::config::desired::{Gateway6, Inbound, Ipv6, Ipv6Mode};
use crate::config::diagnostic::Report;
use crate::config::section::{Field, Section};
use crate::config::suggest::quoted;
use crate::config::uplink::Placed;

const ADDRESS: &str = "give the address that the provider has for this uplink, such as \
                       \"2001:db8:1::2\", or leave it to the interface";

/// Reads the rest of the section of an uplink that comes after the `earlier` ones.
pub(super) fn read(report: &mut Report<'_>, section: &Section<'_>, earlier: &[Placed]) -> Ipv6 {
    if let Some(field) = section.get("prefix") {
        field.error(
            report,
            "is for the other modes, and \"nat66\" shows one address; remove it, or give the address as \
             ipv6.address",
        );
    }
    if let Some(field) = section.get("inbound") {
        field.error(
            report,
            "is for the other modes; remove it, for nat.filtering says what \"nat66\" lets in",
        );
    }
    let address = section.get("address").and_then(|field| read_address(report, &field, earlier));
    let internal = section.get("internal").and_then(|field| read_internal(report, &field, address));
    let gateway = read_gateway(report, section);
    if let (Gateway6::Address(router), Some(field)) = (gateway, section.get("gateway"))
        && address == Some(router)
    {
        field.error(
            report,
            format_args!("is {router}, as ipv6.address; give the provider's router"),
        );
    }
    Ipv6 {
        mode: Ipv6Mode::Nat66,
        prefixes: Vec::new(),
        address,
        internal,
        inbound: Inbound::Answers,
        gateway,
    }
}

/// Reads the address that hosts share.
fn read_address(
    report: &mut Report<'_>,
    field: &Field<'_>,
    earlier: &[Placed],
) -> Option<Ipv6Addr> {
    let text = field.string(report, ADDRESS)?;
    let Ok(address) = text.parse::<Ipv6Addr>() else {
        field.error(report, format_args!("is {}, not an IPv6 address; {ADDRESS}", quoted(text)));
        return None;
    };
    if let Some(kind) = not_of_hosts(&address.into()) {
        field.error(
            report,
            format_args!("is {address}, and the Internet does not answer {kind}; {ADDRESS}"),
        );
        return None;
    }
    let taken = earlier.iter().find_map(|(uplink, span)| {
        let ipv6 = uplink.ipv6.as_ref()?;
        let prefix = ipv6.prefixes.iter().find(|prefix| prefix.contains(&address));
        let same = ipv6.address.filter(|other| *other == address);
        let other = prefix.map(ToString::to_string).or(same.map(|other| other.to_string()))?;
        Some((other, span))
    });
    if let Some((other, span)) = taken {
        let line = report.line_of(span);
        field.error(
            report,
            format_args!("is {address}, and the uplink in line {line} has {other}; {ADDRESS}"),
        );
    }
    Some(address)
}

/// Reads the prefix that the LAN uses itself.
fn read_internal(
    report: &mut Report<'_>,
    field: &Field<'_>,
    address: Option<Ipv6Addr>,
) -> Option<Ipv6Net> {
    let prefix = read_prefix(report, field, INTERNAL)?;
    if let Some(address) = address.filter(|address| overlap(&prefix, &(*address).into())) {
        field.error(report, format_args!("is {prefix}, and ipv6.address is {address}; {INTERNAL}"));
    }
    Some(prefix)
}

#[cfg(test)]
mod tests;
