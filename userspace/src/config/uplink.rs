use std::net::Ipv4Addr;
use std::ops::Range;

use pointsman_ebpf::abi::MAX_UPLINKS;

use super::desired::{Gateway, Uplink};
use super::diagnostic::Report;
use super::health;
use super::interface::Interfaces;
use super::section::{Field, Section};
use super::suggest::quoted;
use super::vlan;
use super::{ipv4, ipv6};

const KEYS: &[&str] = &[
    "name",
    "interface",
    "gateway",
    "gateway_mac",
    "vlan",
    "weight",
    "metered",
    "ipv4",
    "ipv6",
    "health",
];
const TABLES: &str = "write [[uplink]] above the keys of each uplink";

/// An uplink, and where the file has it.
pub(super) type Placed = (Uplink, Range<usize>);

/// Reads every `[[uplink]]`.
pub(super) fn read_all(
    report: &mut Report<'_>,
    root: &Section<'_>,
    interfaces: &mut Interfaces,
) -> Vec<Placed> {
    let Some(fields) =
        root.require(report, "uplink", TABLES).and_then(|field| field.list(report, TABLES))
    else {
        return Vec::new();
    };
    if let Some(field) = fields.get(MAX_UPLINKS) {
        let count = fields.len();
        field.error(report, format_args!("is one too many of {count}; keep {MAX_UPLINKS} at most"));
    }
    let mut uplinks: Vec<Placed> = Vec::new();
    for field in fields.iter().take(MAX_UPLINKS) {
        if let Some(section) = field.table(report, TABLES) {
            let uplink = read(report, section, interfaces, &uplinks);
            uplinks.push((uplink, field.span.clone()));
        }
    }
    uplinks
}

/// Reads one uplink that comes after the `earlier` ones.
fn read(
    report: &mut Report<'_>,
    section: Section<'_>,
    interfaces: &mut Interfaces,
    earlier: &[Placed],
) -> Uplink {
    let name = section
        .require(report, "name", "give it a name, such as name = \"fiber\"")
        .and_then(|field| read_name(report, &field, earlier))
        .unwrap_or_default();
    let (label, section) = if name.is_empty() {
        ("an uplink without a name".to_owned(), section)
    } else {
        let label = format!("uplink {}", quoted(name));
        let section = section.labelled(&label);
        (label, section)
    };
    section.expect_keys(report, KEYS, &[]);

    let vlan = section.get("vlan").and_then(|field| vlan::read(report, &field));
    let vlan = vlan.unwrap_or_default();
    let interface = section
        .require(report, "interface", "name its interface, such as interface = \"wan0\"")
        .and_then(|field| interfaces.read(report, &field, vlan, &label))
        .unwrap_or_default();
    let weight = section
        .get("weight")
        .and_then(|field| field.integer(report, 1..=1000, ", a larger number takes a larger share"))
        .unwrap_or(1);
    let metered = section.get("metered").and_then(|field| field.boolean(report));
    let gateway = section.get("gateway");
    let ipv4 = section.get("ipv4").map(|field| ipv4::read(report, &field, earlier));
    let ipv4::Ipv4 { nat44, addresses, routed } = ipv4.unwrap_or_default();
    let ipv6 = section.get("ipv6").map(|field| ipv6::read(report, &field, earlier));
    let health = section.get("health");
    let routes6 = ipv6.iter().flatten().any(|ipv6| ipv6.mode == super::Ipv6Mode::Routed);
    let carries = (ipv6.is_some(), routes6 || routed.is_some());
    let health = health.and_then(|field| health::read(report, &field, carries));
    Uplink {
        name: name.to_owned(),
        interface,
        vlan,
        gateway_mac: section.get("gateway_mac").and_then(|field| vlan::read_mac(report, &field)),
        gateway: gateway.map_or(Gateway::Auto, |field| read_gateway(report, &field, &addresses)),
        metered: metered.unwrap_or_default(),
        weight,
        nat44,
        addresses,
        routed,
        ipv6: ipv6.flatten(),
        health,
    }
}

fn read_name<'t>(
    report: &mut Report<'_>,
    field: &Field<'t>,
    earlier: &[Placed],
) -> Option<&'t str> {
    let name = field.name(report)?;
    let namesake = earlier.iter().find(|(uplink, _)| !name.is_empty() && uplink.name == name);
    if let Some((_, span)) = namesake {
        let (line, shown) = (report.line_of(span), quoted(name));
        field.error(
            report,
            format_args!(
                "is {shown}, as of the uplink in line {line}; give each uplink a name of its own"
            ),
        );
    }
    Some(name)
}

fn read_gateway(report: &mut Report<'_>, field: &Field<'_>, own: &[Ipv4Addr]) -> Gateway {
    if field.value.as_str() == Some("auto") {
        return Gateway::Auto;
    }
    let fix = "give the provider's router, such as \"203.0.113.1\", or \"auto\"";
    let Some(address) = field.host(report, fix) else {
        return Gateway::Auto;
    };
    if own.contains(&address) {
        field.error(report, format_args!("is {address}, the uplink's own address; {fix}"));
    }
    Gateway::Address(address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::tests::{complaints, complaints_about, config_with};
    use super::*;

    #[test]
    fn reads_what_is_given() {
        let config = config_with(
            "weight = 1_000\ngateway = \"198.51.100.1\"\nipv4.address = \"198.51.100.7\"",
        );
        let cable = &config.uplinks[1];
        assert_eq!(cable.weight, 1000);
        assert_eq!(cable.gateway, Gateway::Address(Ipv4Addr::new(198, 51, 100, 1)));
        assert_eq!(cable.addresses, [Ipv4Addr::new(198, 51, 100, 7)]);
    }

    #[test]
    fn weights_are_1_to_1000() {
        let share = "a larger number takes a larger share";
        for (given, found) in [
            ("0", "is 0; give 1 to 1000"),
            ("1001", "is 1001; give 1 to 1000"),
            ("-1", "is -1; give 1 to 1000"),
            ("99999999999999999999", "is 99999999999999999999; give 1 to 1000"),
            ("\"2\"", "is text; give a whole number, 1 to 1000"),
            ("1.5", "is a number; give a whole number, 1 to 1000"),
        ] {
            assert_eq!(
                complaints(&format!("weight = {given}")),
                [format!("9:10: uplink \"cable\": weight {found}, {share}")]
            );
        }
    }

    #[test]
    fn gateways_are_hosts_or_auto() {
        let fix = "give the provider's router, such as \"203.0.113.1\", or \"auto\"";
        for (given, found) in [
            ("\"dhcp\"", "is \"dhcp\", not an IPv4 address"),
            ("\"fe80::1\"", "is \"fe80::1\", not an IPv4 address"),
            ("\"224.0.0.1\"", "is 224.0.0.1, a multicast address"),
            ("\"127.0.0.1\"", "is 127.0.0.1, a loopback address"),
            ("\"0.0.0.0\"", "is 0.0.0.0, an address of \"this network\""),
            ("\"255.255.255.255\"", "is 255.255.255.255, a reserved or broadcast address"),
            ("true", "is true"),
        ] {
            assert_eq!(
                complaints(&format!("gateway = {given}")),
                [format!("9:11: uplink \"cable\": gateway {found}; {fix}")]
            );
        }
        assert_eq!(
            complaints("gateway = \"203.0.113.1\"\nipv4.address = \"203.0.113.1\""),
            [format!(
                "9:11: uplink \"cable\": gateway is 203.0.113.1, the uplink's own address; {fix}"
            )]
        );
    }

    #[test]
    fn names_are_given_once_and_plain() {
        assert_eq!(
            complaints("[[uplink]]\nname = \"fiber\"\ninterface = \"wan2\""),
            ["10:8: uplink[2].name is \"fiber\", as of the uplink in line 3; give each uplink a \
                 name of its own"]
        );
        assert_eq!(
            complaints("[[uplink]]\n"),
            [
                "9:1: uplink[2].name is missing; give it a name, such as name = \"fiber\"",
                "9:1: uplink[2].interface is missing; name its interface, such as interface = \
                 \"wan0\"",
            ]
        );
        let fix = "give letters, digits, '-', '_' and '.', 64 at most";
        for (given, found) in [
            ("\"\"".to_owned(), "is empty"),
            ("\"a b\"".to_owned(), "is \"a b\""),
            ("\"\\u001b[2J\"".to_owned(), "is \"\\u{1b}[2J\""),
            (format!("\"{}\"", "x".repeat(201)), "is 201 bytes long"),
            ("7".to_owned(), "is a number"),
        ] {
            assert_eq!(
                complaints(&format!("[[uplink]]\ninterface = \"wan2\"\nname = {given}")),
                [format!("11:8: uplink[2].name {found}; {fix}")]
            );
        }
    }

    #[test]
    fn there_are_at_most_64() {
        let many = |count: usize| {
            let mut text = "[lan]\ninterfaces = [\"lan0\"]\n".to_owned();
            for index in 0..count {
                text += &format!("[[uplink]]\nname = \"u{index}\"\ninterface = \"wan{index}\"\n");
            }
            complaints_about(&text)
        };
        assert!(many(64).iter().all(|complaint| complaint.contains("warning")));
        assert!(
            many(65)
                .contains(&"195:1: uplink[64] is one too many of 65; keep 64 at most".to_owned())
        );
    }
}
