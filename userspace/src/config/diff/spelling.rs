//! Values as the file has them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;
use pointsman_ebpf::abi::Vlan;

use super::super::{Inbound, Uplink};

/// Without quotes.
pub(super) fn plain(value: &(impl Display + ?Sized)) -> String {
    value.to_string()
}

/// In quotes.
pub(super) fn text(value: &(impl Display + ?Sized)) -> String {
    format!("{:?}", value.to_string())
}

pub(super) fn duration(value: &Duration) -> String {
    text(&format_duration(*value))
}

/// What there is of something, in quotes each.
pub(super) fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| text(&value)).collect();
    format!("[{}]", values.join(", "))
}

/// As [`list`], one value without its brackets.
pub(super) fn one_or_list<T: Display>(values: &[T]) -> String {
    if let [one] = values { text(one) } else { list(values) }
}

pub(super) fn ports(ports: &RangeInclusive<u16>) -> String {
    let (first, last) = (ports.start(), ports.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

pub(super) fn mac(mac: &[u8; 6]) -> String {
    let octets: Vec<_> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
    text(&octets.join(":"))
}

pub(super) fn vlan(vlan: &Vlan) -> String {
    let tag = |(id, is_service): (u16, bool)| {
        if is_service { format!("\"{id}ad\"") } else { id.to_string() }
    };
    match (vlan.outer().map(tag), vlan.inner().map(tag)) {
        (Some(outer), Some(inner)) => format!("[{outer}, {inner}]"),
        (Some(tag), None) | (None, Some(tag)) => tag,
        (None, None) => "none".to_owned(),
    }
}

pub(super) fn inbound(inbound: &Inbound) -> String {
    let name = match inbound {
        Inbound::Answers => "answers",
        Inbound::All => "all",
    };
    text(name)
}

/// The names of the uplinks with these indices.
pub(super) fn names<'u>(uplinks: &'u [Uplink], indices: &[usize]) -> Vec<&'u str> {
    indices.iter().filter_map(|index| Some(&*uplinks.get(*index)?.name)).collect()
}
