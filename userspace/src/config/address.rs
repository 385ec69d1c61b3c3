//! Addresses of either version of IP, which hosts can be asked at.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::diagnostic::Report;
use super::section::Field;
use super::suggest::quoted;

/// The address of a host that is the whole or a part of the value: `text`.
pub(super) fn read(
    report: &mut Report<'_>,
    field: &Field<'_>,
    text: &str,
    fix: impl Display,
) -> Option<IpAddr> {
    match text.parse() {
        Ok(IpAddr::V4(_)) => field.host_in(report, text, fix).map(IpAddr::V4),
        Ok(IpAddr::V6(address)) => {
            if let Some(kind) = not_a_host(address) {
                field.error(report, format_args!("is {address}, {kind}; {fix}"));
                return None;
            }
            Some(address.into())
        }
        Err(_) => {
            field.error(report, format_args!("is {}, not an address; {fix}", quoted(text)));
            None
        }
    }
}

/// The same with a port; without one, the default, if any.
pub(super) fn read_with_port(
    report: &mut Report<'_>,
    field: &Field<'_>,
    text: &str,
    default: Option<u16>,
    fix: impl Display,
) -> Option<SocketAddr> {
    if let (Some(port), Ok(_)) = (default, text.parse::<IpAddr>()) {
        return Some(SocketAddr::new(read(report, field, text, fix)?, port));
    }
    let whole = text.parse::<SocketAddr>().ok().filter(|whole| whole.port() > 0);
    let Some(whole) = whole else {
        field.error(report, format_args!("is {}, no address with a port; {fix}", quoted(text)));
        return None;
    };
    let address = read(report, field, &whole.ip().to_string(), fix)?;
    Some(SocketAddr::new(address, whole.port()))
}

/// Why no host can have this address, if so.
fn not_a_host(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_loopback() {
        Some("the loopback address")
    } else if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address mapped into IPv6")
    } else {
        None
    }
}
