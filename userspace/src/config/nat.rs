use std::ops::RangeInclusive;

use pointsman_ebpf::abi::Filtering;

use super::desired::{Nat, PortProtocol};
use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::quoted;

const KEYS: &[&str] = &[
    "ports",
    "reserved_ports",
    "filtering",
    "mappings_per_host",
    "unreplied_per_host",
    "icmp_rate",
    "icmp_burst",
];
/// Below are the well-known ports of services (RFC 6335 section 6).
const LOWEST_PORT: u16 = 1024;
const DEFAULT_PORTS: RangeInclusive<u16> = LOWEST_PORT..=u16::MAX;
const FILTERING: &[(&str, Filtering)] = &[
    ("endpoint", Filtering::Endpoint),
    ("address", Filtering::Address),
    ("address-and-port", Filtering::AddressAndPort),
];
const DEFAULT_MAPPINGS: u32 = 16_384;
const DEFAULT_UNREPLIED: u32 = 4096;
const DEFAULT_ICMP_RATE: u32 = 1000;
const DEFAULT_ICMP_BURST: u32 = 50;

/// Reads `[nat]`, where it is given.
pub(super) fn read(report: &mut Report<'_>, section: Option<&Section<'_>>) -> Nat {
    let mut nat = Nat {
        ports: DEFAULT_PORTS,
        reserved_ports: Vec::new(),
        filtering: Filtering::Endpoint,
        mappings_per_host: DEFAULT_MAPPINGS,
        unreplied_per_host: DEFAULT_UNREPLIED,
        icmp_rate: DEFAULT_ICMP_RATE,
        icmp_burst: DEFAULT_ICMP_BURST,
    };
    let Some(section) = section else {
        return nat;
    };
    section.expect_keys(report, KEYS, &[]);
    if let Some(ports) = section.get("ports").and_then(|field| read_ports(report, &field)) {
        nat.ports = ports;
    }
    if let Some(field) = section.get("reserved_ports") {
        nat.reserved_ports = read_reserved(report, &field);
    }
    let filtering = section.get("filtering").and_then(|f| f.choice(report, FILTERING, &[]));
    nat.filtering = filtering.unwrap_or(nat.filtering);
    for (key, most, what, value) in [
        ("mappings_per_host", 1 << 20, " mappings", &mut nat.mappings_per_host),
        ("unreplied_per_host", 1 << 20, " flows", &mut nat.unreplied_per_host),
        ("icmp_rate", 1_000_000, " messages a second", &mut nat.icmp_rate),
        ("icmp_burst", 10_000, " messages at once", &mut nat.icmp_burst),
    ] {
        let given = section.get(key).and_then(|field| field.integer(report, 1..=most, what));
        *value = given.unwrap_or(*value);
    }
    nat
}

fn read_ports(report: &mut Report<'_>, field: &Field<'_>) -> Option<RangeInclusive<u16>> {
    let fix = "give a range from 1024 to 65535, such as \"1024-65535\"";
    let text = field.string(report, fix)?;
    if !text.contains('-') {
        field.error(report, format_args!("is {}, not a range of ports; {fix}", quoted(text)));
        return None;
    }
    let range = field.ports_in(report, text, fix)?;
    if *range.start() < LOWEST_PORT {
        field.error(
            report,
            format_args!("is {}, with ports below {LOWEST_PORT}; {fix}", quoted(text)),
        );
    }
    Some(range)
}

fn read_reserved(
    report: &mut Report<'_>,
    field: &Field<'_>,
) -> Vec<(PortProtocol, RangeInclusive<u16>)> {
    let fix = "list ports, such as [\"5000-5100/tcp\", \"5060/udp\"]";
    let mut reserved = Vec::new();
    for element in field.list(report, fix).unwrap_or_default() {
        if let Some((protocols, ports)) = element.ports_of_protocol(report) {
            reserved.extend(protocols.iter().map(|protocol| (*protocol, ports.clone())));
        }
    }
    reserved
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, config_with};
    use super::*;

    #[test]
    fn reads_what_is_given() {
        let config = config_with(
            "[nat]\nports = \"2048 - 4095\"\nfiltering = \"address-and-port\"\n\
             reserved_ports = [\"3000-3100/tcp\", \"3478/udp\", \"4000-4001\", 4002]\n\
             mappings_per_host = 1\nunreplied_per_host = 32768\nicmp_rate = 1000000\n\
             icmp_burst = 10000",
        );
        let (tcp, udp) = (PortProtocol::Tcp, PortProtocol::Udp);
        let nat = Nat {
            ports: 2048..=4095,
            reserved_ports: vec![
                (tcp, 3000..=3100),
                (udp, 3478..=3478),
                (tcp, 4000..=4001),
                (udp, 4000..=4001),
                (tcp, 4002..=4002),
                (udp, 4002..=4002),
            ],
            filtering: Filtering::AddressAndPort,
            mappings_per_host: 1,
            unreplied_per_host: 32_768,
            icmp_rate: 1_000_000,
            icmp_burst: 10_000,
        };
        assert_eq!(config.nat, nat);
        for (name, filtering) in FILTERING {
            let config = config_with(&format!("[nat]\nfiltering = \"{name}\""));
            assert_eq!(config.nat.filtering, *filtering);
        }
    }

    #[test]
    fn ports_are_a_range_of_free_ones() {
        let fix = "give a range from 1024 to 65535, such as \"1024-65535\"";
        for (given, found) in [
            ("\"1024\"", "is \"1024\", not a range of ports"),
            ("\"1024-70000\"", "is \"1024-70000\", not a range of ports"),
            ("\"4000-3000\"", "is \"4000-3000\", the larger port first"),
            ("\"1-32767\"", "is \"1-32767\", with ports below 1024"),
            ("5", "is a number"),
        ] {
            assert_eq!(
                complaints(&format!("[nat]\nports = {given}")),
                [format!("10:9: nat.ports {found}; {fix}")]
            );
        }
    }

    #[test]
    fn reserved_ports_are_ports() {
        let fix = "give ports as \"5060\", \"5000-5100/tcp\" or \"5060-5061/udp\"";
        for (given, found) in [
            ("\"a/tcp\"", format!("is \"a/tcp\", not a range of ports; {fix}")),
            ("\"9-5/tcp\"", format!("is \"9-5/tcp\", the larger port first; {fix}")),
            ("\"5/tpc\"", "is \"5/tpc\", of no known protocol; did you mean \"5/tcp\"?".to_owned()),
            ("\"5/icmp\"", format!("is \"5/icmp\", of no known protocol; {fix}")),
            ("0", format!("is 0, not a port; {fix}")),
            ("65536", format!("is 65536, not a port; {fix}")),
            ("true", format!("is true; {fix}")),
        ] {
            assert_eq!(
                complaints(&format!("[nat]\nreserved_ports = [{given}]")),
                [format!("10:19: nat.reserved_ports[0] {found}")]
            );
        }
    }

    #[test]
    fn filtering_and_limits_are_of_the_known() {
        assert_eq!(
            complaints(
                "[nat]\nfiltering = \"adress\"\nmappings_per_host = 0\n\
                 unreplied_per_host = 1048577\nicmp_rate = \"1000\"\nicmp_burst = 10001\nport = 5"
            ),
            [
                "10:13: nat.filtering is \"adress\"; give \"endpoint\", \"address\" or \
                 \"address-and-port\" (did you mean \"address\"?)",
                "11:21: nat.mappings_per_host is 0; give 1 to 1048576 mappings",
                "12:22: nat.unreplied_per_host is 1048577; give 1 to 1048576 flows",
                "13:13: nat.icmp_rate is text; give a whole number, 1 to 1000000 messages a second",
                "14:14: nat.icmp_burst is 10001; give 1 to 10000 messages at once",
                "15:1: nat.port is not a known key; did you mean ports?",
            ]
        );
    }
}
