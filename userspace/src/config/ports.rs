use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::desired::PortProtocol;
use super::diagnostic::Report;
use super::section::Field;
use super::suggest::{closest, quoted};

/// Protocols as they are written, and what is meant.
const PROTOCOLS: &[(&str, &[PortProtocol])] = &[
    ("tcp", &[PortProtocol::Tcp]),
    ("udp", &[PortProtocol::Udp]),
    ("tcp+udp", &[PortProtocol::Tcp, PortProtocol::Udp]),
];

impl<'t> Field<'t> {
    /// The name of one or both protocols.
    pub(super) fn port_protocols(&self, report: &mut Report<'_>) -> &'static [PortProtocol] {
        self.choice(report, PROTOCOLS, &[]).unwrap_or_default()
    }

    /// A port as a number, or a port or a range as text.
    pub(super) fn ports(
        &self,
        report: &mut Report<'_>,
        fix: impl Display,
    ) -> Option<RangeInclusive<u16>> {
        if let DeValue::Integer(integer) = self.value {
            let port = u16::from_str_radix(integer.as_str(), integer.radix()).ok();
            let port = port.filter(|port| *port > 0);
            if port.is_none() {
                self.error(report, format_args!("is {integer}, not a port; {fix}"));
            }
            return port.map(|port| port..=port);
        }
        let text = self.string(report, &fix)?;
        self.ports_in(report, text, fix)
    }

    /// A range of ports that is the whole or a part of the value: `text`.
    pub(super) fn ports_in(
        &self,
        report: &mut Report<'_>,
        text: &str,
        fix: impl Display,
    ) -> Option<RangeInclusive<u16>> {
        let shown = quoted(self.value.as_str().unwrap_or(text));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            self.error(report, format_args!("is {shown}, not a range of ports; {fix}"));
            return None;
        };
        if first > last {
            self.error(report, format_args!("is {shown}, the larger port first; {fix}"));
            return None;
        }
        Some(first..=last)
    }

    /// A port or a range with its protocol, or of both: "5060-5061/udp".
    pub(super) fn ports_of_protocol(
        &self,
        report: &mut Report<'_>,
    ) -> Option<(&'static [PortProtocol], RangeInclusive<u16>)> {
        let fix = "give ports as \"5060\", \"5000-5100/tcp\" or \"5060-5061/udp\"";
        if self.value.as_str().is_none() {
            return Some((&[PortProtocol::Tcp, PortProtocol::Udp], self.ports(report, fix)?));
        }
        let text = self.string(report, fix)?;
        let (ports, name) = text.split_once('/').unwrap_or((text, "tcp+udp"));
        let Some((_, protocols)) = PROTOCOLS.iter().find(|(known, _)| *known == name.trim()) else {
            let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
            let fix = closest(name, &names).map_or_else(
                || fix.to_owned(),
                |meant| format!("did you mean \"{ports}/{meant}\"?"),
            );
            self.error(report, format_args!("is {}, of no known protocol; {fix}", quoted(text)));
            return None;
        };
        Some((protocols, self.ports_in(report, ports, fix)?))
    }
}
