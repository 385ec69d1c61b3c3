use std::fmt::Display;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;
use toml::de::DeValue;

use super::diagnostic::Report;
use super::section::Field;
use super::suggest::{alternatives, closest, cut, quoted};

/// The longest name of an uplink or a group, in bytes.
const NAME_LENGTH: usize = 64;

impl<'t> Field<'t> {
    /// A whole number within `range`; `why` goes on from the range.
    pub(super) fn integer(
        &self,
        report: &mut Report<'_>,
        range: RangeInclusive<u32>,
        why: &str,
    ) -> Option<u32> {
        let (least, most) = (range.start(), range.end());
        let DeValue::Integer(integer) = self.value else {
            let fix = format_args!("give a whole number, {least} to {most}{why}");
            self.wrong_type(report, fix);
            return None;
        };
        let value = u32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|value| range.contains(value));
        if value.is_none() {
            let shown = cut(&integer.to_string());
            self.error(report, format_args!("is {shown}; give {least} to {most}{why}"));
        }
        value
    }

    /// Whether it is so.
    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let DeValue::Boolean(value) = self.value else {
            self.wrong_type(report, "give true or false");
            return None;
        };
        Some(*value)
    }

    /// A duration within `range`, written as people write it.
    pub(super) fn duration(
        &self,
        report: &mut Report<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        let fix = format!("give a duration, \"{least}\" to \"{most}\"");
        let text = self.string(report, &fix)?;
        let duration = humantime::parse_duration(text).ok().filter(|value| range.contains(value));
        if duration.is_none() {
            self.error(report, format_args!("is {}; {fix}", quoted(text)));
        }
        duration
    }

    /// One of `choices`. Those that are `planned` for a later version are refused as such.
    pub(super) fn choice<T: Copy>(
        &self,
        report: &mut Report<'_>,
        choices: &[(&str, T)],
        planned: &[&str],
    ) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let known = alternatives(&names);
        let text = self.string(report, format_args!("give {known}"))?;
        let choice = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if choice.is_none() {
            let shown = quoted(text);
            let meant = closest(text, &names).filter(|_| names.len() > 1);
            if planned.contains(&text) {
                self.error(report, format_args!("{shown} is not supported yet; use {known}"));
            } else if let Some(meant) = meant {
                let question = format_args!("did you mean {meant:?}?");
                self.error(report, format_args!("is {shown}; give {known} ({question})"));
            } else {
                self.error(report, format_args!("is {shown}; give {known}"));
            }
        }
        choice
    }

    /// The IPv4 address of a host.
    pub(super) fn host(&self, report: &mut Report<'_>, fix: impl Display) -> Option<Ipv4Addr> {
        let text = self.string(report, &fix)?;
        self.host_in(report, text, fix)
    }

    /// The IPv4 address of a host that is the whole or a part of the value: `text`.
    pub(super) fn host_in(
        &self,
        report: &mut Report<'_>,
        text: &str,
        fix: impl Display,
    ) -> Option<Ipv4Addr> {
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            self.error(report, format_args!("is {}, not an IPv4 address; {fix}", quoted(text)));
            return None;
        };
        if let Some(kind) = not_a_host(address) {
            self.error(report, format_args!("is {address}, {kind}; {fix}"));
            return None;
        }
        Some(address)
    }

    /// A name for an uplink or a group: what a shell, a table and a metric's label take as it is.
    pub(super) fn name(&self, report: &mut Report<'_>) -> Option<&'t str> {
        let fix = format!("give letters, digits, '-', '_' and '.', {NAME_LENGTH} at most");
        let name = self.string(report, &fix)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() {
            self.error(report, format_args!("is empty; {fix}"));
        } else if name.len() > NAME_LENGTH {
            self.error(report, format_args!("is {} bytes long; {fix}", name.len()));
        } else if !name.bytes().all(allowed) {
            self.error(report, format_args!("is {}; {fix}", quoted(name)));
        }
        Some(name)
    }
}

/// Why no host can have this address (RFC 6890, RFC 1112), if so.
fn not_a_host(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets()[0] {
        0 => Some("an address of \"this network\""),
        127 => Some("a loopback address"),
        224..=239 => Some("a multicast address"),
        240..=255 => Some("a reserved or broadcast address"),
        _ => None,
    }
}
