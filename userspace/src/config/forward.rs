use std::net::Ipv4Addr;
use std::ops::{Range, RangeInclusive};

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{FORWARD_SOURCES, MAX_FORWARDS};

use super::desired::{Forward, PortProtocol, Uplink};
use super::diagnostic::Report;
use super::group::read_member;
use super::section::{Field, Section};
use super::suggest::quoted;
use super::uplink::Placed;
use crate::bfd::{ECHO_PORT, Mode};

const KEYS: &[&str] = &["protocol", "port", "to", "uplinks", "sources"];
const TABLES: &str = "write [[forward]] above the keys of each forward";
const PROTOCOL: &str = "write protocol = \"tcp\", \"udp\" or \"tcp+udp\"";
const PORT: &str = "give the public port, such as 443, or a range, such as \"8000-8010\"";
const TO: &str = "give the LAN host, such as \"10.1.0.10\", and its port where that is another, such \
                  as \"10.1.0.10:8443\"";
const UPLINKS: &str = "give the names of uplinks, or leave it out for all of them";
const SOURCES: &str = "give prefixes, such as \"192.0.2.0/24\", or leave it out for anyone";

/// Reads every `[[forward]]`: an entry for each of its protocols.
pub(super) fn read_all(
    report: &mut Report<'_>,
    root: &Section<'_>,
    uplinks: &[Placed],
) -> Vec<Forward> {
    let fields = root.get("forward").and_then(|field| field.list(report, TABLES));
    let mut forwards: Vec<(Forward, Range<usize>)> = Vec::new();
    for field in fields.unwrap_or_default() {
        let Some(section) = field.table(report, TABLES) else {
            continue;
        };
        let read = read(report, &section, uplinks).unwrap_or_default();
        let twin = read.iter().find_map(|new| {
            let (_, span) = forwards.iter().find(|(old, _)| overlap(old, new))?;
            Some((new.protocol, report.line_of(span)))
        });
        if let Some((protocol, line)) = twin {
            section.get("port").as_ref().unwrap_or(&field).error(
                report,
                format_args!(
                    "has {protocol} ports of the forward in line {line}; give others, or uplinks \
                     or sources that are not the same"
                ),
            );
        }
        forwards.extend(read.into_iter().map(|forward| (forward, field.span.clone())));
        if forwards.len() > MAX_FORWARDS {
            field.error(
                report,
                format_args!(
                    "is one too many; keep {MAX_FORWARDS} at most, where \"tcp+udp\" counts as two"
                ),
            );
            break;
        }
    }
    forwards.into_iter().map(|(forward, _)| forward).collect()
}

/// Whether there can be a packet that both are for.
fn overlap(a: &Forward, b: &Forward) -> bool {
    let ports = a.ports.start() <= b.ports.end() && b.ports.start() <= a.ports.end();
    let nested = |a: &Ipv4Net, b: &Ipv4Net| a.contains(b) || b.contains(a);
    let sources = a.sources.is_empty()
        || b.sources.is_empty()
        || a.sources.iter().any(|a| b.sources.iter().any(|b| nested(a, b)));
    let uplinks = a.uplinks.iter().any(|uplink| b.uplinks.contains(uplink));
    a.protocol == b.protocol && ports && sources && uplinks
}

/// Reads one forward, all of its keys, whatever is wrong with any of them.
fn read(
    report: &mut Report<'_>,
    section: &Section<'_>,
    uplinks: &[Placed],
) -> Option<Vec<Forward>> {
    section.expect_keys(report, KEYS, &[]);
    let protocols = section.require(report, "protocol", PROTOCOL);
    let protocols = protocols.map(|field| field.port_protocols(report)).unwrap_or_default();
    let ports = section.require(report, "port", PORT).and_then(|field| field.ports(report, PORT));
    let to = section.require(report, "to", TO);
    let to = to.and_then(|field| read_to(report, &field, ports.as_ref(), uplinks));
    let all = uplinks;
    let uplinks = match section.get("uplinks") {
        Some(field) => read_uplinks(report, &field, uplinks),
        None => (0..uplinks.len()).filter(|index| translates(uplinks, *index)).collect(),
    };
    let sources = section.get("sources").map(|field| read_sources(report, &field));
    if protocols.contains(&PortProtocol::Udp)
        && ports.as_ref().is_some_and(|p| p.contains(&ECHO_PORT))
    {
        refuse_echo(report, section, &uplinks, all);
    }
    let (ports, (address, port)) = (ports?, to?);
    let forward = |protocol: &PortProtocol| Forward {
        protocol: *protocol,
        ports: ports.clone(),
        address,
        port,
        uplinks: uplinks.clone(),
        sources: sources.clone().unwrap_or_default(),
    };
    Some(protocols.iter().map(forward).collect())
}

/// What comes back to the echo session of an uplink comes to a port that no host of the LAN can have.
fn refuse_echo(report: &mut Report<'_>, section: &Section<'_>, uplinks: &[usize], all: &[Placed]) {
    let of = |index: &usize| all.get(*index).map(|(uplink, _)| uplink);
    let has_echo = |uplink: &&Uplink| {
        let bfd = uplink.health.as_ref().and_then(|health| health.bfd.as_ref());
        bfd.is_some_and(|bfd| bfd.mode == Mode::Echo)
    };
    if let (Some(field), Some(uplink)) =
        (section.get("port"), uplinks.iter().filter_map(of).find(has_echo))
    {
        let name = quoted(&uplink.name);
        field.error(
            report,
            format_args!(
                "has {ECHO_PORT} of UDP, which the BFD echo of uplink {name} comes back to; leave it out"
            ),
        );
    }
}

/// Reads the LAN host, and its port that the first public port stands for.
fn read_to(
    report: &mut Report<'_>,
    field: &Field<'_>,
    ports: Option<&RangeInclusive<u16>>,
    uplinks: &[Placed],
) -> Option<(Ipv4Addr, u16)> {
    let text = field.string(report, TO)?;
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address, Some(port)),
        None => (text, None),
    };
    let address = field.host_in(report, address, TO)?;
    let public = |(uplink, _): &&Placed| uplink.addresses.contains(&address);
    if let Some((uplink, _)) = uplinks.iter().find(public) {
        let name = quoted(&uplink.name);
        field.error(report, format_args!("is {address}, a public address of uplink {name}; {TO}"));
    }
    let Some(port) = port else {
        return Some((address, *ports?.start()));
    };
    let Some(first) = port.parse::<u16>().ok().filter(|port| *port > 0) else {
        field.error(report, format_args!("is {}, without a port behind ':'; {TO}", quoted(text)));
        return None;
    };
    let further = ports.map_or(0, |ports| ports.end() - ports.start());
    if first.checked_add(further).is_none() {
        field.error(
            report,
            format_args!(
                "is {}, and there are no {further} ports after {first}; give a lower one",
                quoted(text)
            ),
        );
    }
    Some((address, first))
}

fn read_uplinks(report: &mut Report<'_>, field: &Field<'_>, uplinks: &[Placed]) -> Vec<usize> {
    let mut seen = Vec::new();
    for name in field.list(report, UPLINKS).unwrap_or_default() {
        let member = read_member(report, &name, uplinks, &mut seen, UPLINKS);
        if member.is_some_and(|index| !translates(uplinks, index)) {
            name.error(
                report,
                "does not translate, so it has no ports to forward; who is outside can reach the \
                 host by its own address there",
            );
        }
    }
    seen
}

fn translates(uplinks: &[Placed], index: usize) -> bool {
    uplinks.get(index).is_some_and(|(uplink, _)| uplink.nat44)
}

fn read_sources(report: &mut Report<'_>, field: &Field<'_>) -> Vec<Ipv4Net> {
    let list = field.list(report, SOURCES).unwrap_or_default();
    if let Some(field) = list.get(FORWARD_SOURCES) {
        let count = list.len();
        field.error(
            report,
            format_args!("is one too many of {count}; keep {FORWARD_SOURCES} at most"),
        );
    }
    list.iter().filter_map(|field| read_source(report, field)).collect()
}

/// Reads a prefix, or an address, which is a prefix of one.
fn read_source(report: &mut Report<'_>, field: &Field<'_>) -> Option<Ipv4Net> {
    let text = field.string(report, SOURCES)?;
    let address = text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from);
    let Some(prefix) = address.or_else(|| text.parse().ok()) else {
        field.error(report, format_args!("is {}, not an IPv4 prefix; {SOURCES}", quoted(text)));
        return None;
    };
    if prefix.trunc() != prefix {
        let (network, length) = (prefix.trunc(), prefix.prefix_len());
        field.error(
            report,
            format_args!("is {prefix}, with bits beyond the first {length}; give \"{network}\""),
        );
    }
    Some(prefix.trunc())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaints, complaints_about, config_with};
    use super::*;

    const SECURE: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"10.1.0.10:8443\"\n";

    #[test]
    fn the_port_of_echo_packets_stays_the_gateway_s() {
        let forward = |protocol: &str, uplinks: &str| {
            format!(
                "health = {{ bfd = {{ mode = \"echo\" }} }}\n[[forward]]\nprotocol = \"{protocol}\"\n\
                 port = \"3000-4000\"\nto = \"10.1.0.10\"\n{uplinks}"
            )
        };
        let complaints_of = |protocol, uplinks| complaints(&forward(protocol, uplinks));
        let told = complaints_of("tcp+udp", "");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].ends_with(
                "has 3785 of UDP, which the BFD echo of uplink \"cable\" comes back to; leave it out"
            ),
            "{told:?}"
        );
        let fine = |protocol, uplinks| config_with(&forward(protocol, uplinks)).forwards.len();
        assert_eq!((fine("tcp", ""), fine("udp", "uplinks = [\"fiber\"]")), (1, 1));
    }

    #[test]
    fn only_uplinks_that_translate_have_ports_to_forward() {
        let routed = "ipv4 = { mode = \"routed\", prefix = \"198.51.100.0/24\" }\n";
        let config = config_with(&format!("{routed}{SECURE}"));
        assert_eq!(config.forwards[0].uplinks, [0]);
        assert_eq!(
            complaints(&format!("{routed}{SECURE}uplinks = [\"fiber\", \"cable\"]")),
            [
                "14:21: forward[0].uplinks[1] does not translate, so it has no ports to forward; who is \
              outside can reach the host by its own address there"
            ]
        );
    }

    #[test]
    fn reads_what_is_given() {
        let range = "[[forward]]\nprotocol = \"tcp+udp\"\nport = \"8000 - 8010\"\nto = \
                     \"10.1.0.11\"\nuplinks = [\"cable\"]\nsources = [\"192.0.2.0/24\", \
                     \"198.51.100.7\"]\n";
        let config = config_with(&format!("{SECURE}{range}"));
        let secure = Forward {
            protocol: PortProtocol::Tcp,
            ports: 443..=443,
            address: Ipv4Addr::new(10, 1, 0, 10),
            port: 8443,
            uplinks: vec![0, 1],
            sources: Vec::new(),
        };
        let range = |protocol| Forward {
            protocol,
            ports: 8000..=8010,
            address: Ipv4Addr::new(10, 1, 0, 11),
            port: 8000,
            uplinks: vec![1],
            sources: ["192.0.2.0/24", "198.51.100.7/32"].map(|net| net.parse().unwrap()).to_vec(),
        };
        let (tcp, udp) = (range(PortProtocol::Tcp), range(PortProtocol::Udp));
        assert_eq!(config.forwards, [secure, tcp, udp]);
        let shown: Vec<_> = config.forwards.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "tcp 443 to 10.1.0.10:8443",
                "tcp 8000-8010 to 10.1.0.11:8000-8010",
                "udp 8000-8010 to 10.1.0.11:8000-8010"
            ]
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            complaints("[[forward]]\nprotocl = \"tcp\""),
            [
                format!("9:1: forward[0].protocol is missing; {PROTOCOL}"),
                format!("9:1: forward[0].port is missing; {PORT}"),
                format!("9:1: forward[0].to is missing; {TO}"),
                "10:1: forward[0].protocl is not a known key; did you mean protocol?".to_owned(),
            ]
        );
        assert_eq!(
            complaints("[forward]\nport = 443"),
            [format!("9:1: forward is a table; {TABLES}")]
        );
    }

    #[test]
    fn ports_are_ports() {
        for (given, found) in [
            ("0", "is 0, not a port"),
            ("65536", "is 65536, not a port"),
            ("\"https\"", "is \"https\", not a range of ports"),
            ("\"10-5\"", "is \"10-5\", the larger port first"),
            ("[443]", "is a list"),
        ] {
            let text = SECURE.replace("443\n", &format!("{given}\n"));
            assert_eq!(complaints(&text), [format!("11:8: forward[0].port {found}; {PORT}")]);
        }
        assert_eq!(
            complaints(&SECURE.replace("\"tcp\"", "\"sctp\"")),
            ["10:12: forward[0].protocol is \"sctp\"; give \"tcp\", \"udp\" or \"tcp+udp\""]
        );
    }

    #[test]
    fn targets_are_hosts_of_the_lan() {
        for (given, found) in [
            ("web", "is \"web\", not an IPv4 address"),
            ("224.0.0.1:80", "is 224.0.0.1, a multicast address"),
            ("10.1.0.10:", "is \"10.1.0.10:\", without a port behind ':'"),
            ("10.1.0.10:0", "is \"10.1.0.10:0\", without a port behind ':'"),
            ("203.0.113.9:80", "is 203.0.113.9, a public address of uplink \"cable\""),
        ] {
            let text = SECURE.replace("10.1.0.10:8443", given);
            assert_eq!(
                complaints(&format!("ipv4.address = \"203.0.113.9\"\n{text}")),
                [format!("13:6: forward[0].to {found}; {TO}")]
            );
        }
        let text = SECURE.replace("443\n", "\"1000-1010\"\n").replace("8443", "65526");
        assert_eq!(
            complaints(&text),
            ["12:6: forward[0].to is \"10.1.0.10:65526\", and there are no 10 ports after 65526; \
              give a lower one"]
        );
    }

    #[test]
    fn uplinks_and_sources_are_known() {
        assert_eq!(
            complaints(&format!(
                "{SECURE}uplinks = [\"fibre\", \"cable\", \"cable\"]\nsources = [\"192.0.2.1/24\", \
                 \"any\"]"
            )),
            [
                "13:12: forward[0].uplinks[0] is \"fibre\", which no uplink is called; did you mean \
                 \"fiber\"?"
                    .to_owned(),
                "13:30: forward[0].uplinks[2] is \"cable\" again; give each uplink once".to_owned(),
                "14:12: forward[0].sources[0] is 192.0.2.1/24, with bits beyond the first 24; give \
                 \"192.0.2.0/24\""
                    .to_owned(),
                format!("14:28: forward[0].sources[1] is \"any\", not an IPv4 prefix; {SOURCES}"),
            ]
        );
        let many =
            (1..=5).map(|net| format!("\"192.0.{net}.0/24\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(
            complaints(&format!("{SECURE}sources = [{many}]")),
            ["13:76: forward[0].sources[4] is one too many of 5; keep 4 at most"]
        );
        assert_eq!(
            complaints(&format!("{SECURE}uplinks = []")),
            [format!("13:11: forward[0].uplinks is empty; {UPLINKS}")]
        );
    }

    #[test]
    fn no_packet_is_for_two() {
        let second = "[[forward]]\nprotocol = \"tcp+udp\"\nport = \"400-500\"\nto = \"10.1.0.9\"\n";
        let complaint = "15:8: forward[1].port has tcp ports of the forward in line 9; give others, \
                         or uplinks or sources that are not the same";
        assert_eq!(complaints(&format!("{SECURE}{second}")), [complaint]);
        let udp = second.replace("tcp+udp", "udp");
        assert_eq!(complaints(&format!("{SECURE}{udp}")), [""; 0]);
        for (first, also) in [
            ("uplinks = [\"fiber\"]\n", "uplinks = [\"cable\"]\n"),
            ("sources = [\"192.0.2.0/25\"]\n", "sources = [\"192.0.2.128/25\"]\n"),
        ] {
            assert_eq!(complaints(&format!("{SECURE}{first}{second}{also}")), [""; 0]);
        }
        let complaint = complaint.replace("15:8", "16:8");
        for (first, also) in [
            ("uplinks = [\"fiber\"]\n", ""),
            ("sources = [\"192.0.2.0/25\"]\n", ""),
            ("sources = [\"192.0.2.0/25\"]\n", "sources = [\"0.0.0.0/0\"]\n"),
        ] {
            assert_eq!(complaints(&format!("{SECURE}{first}{second}{also}")), [&*complaint]);
        }
    }

    #[test]
    fn there_are_at_most_256() {
        let many = |count: usize| {
            let mut text = "[lan]\ninterfaces = [\"lan0\"]\n[[uplink]]\nname = \"a\"\ninterface = \
                            \"b\"\n"
                .to_owned();
            for port in 1..=count {
                text += &format!(
                    "[[forward]]\nprotocol = \"tcp+udp\"\nport = {port}\nto = \"10.1.0.9\"\n"
                );
            }
            complaints_about(&text)
        };
        assert_eq!(many(128), [""; 0]);
        assert_eq!(
            many(130),
            [
                "518:1: forward[128] is one too many; keep 256 at most, where \"tcp+udp\" counts as two"
            ]
        );
    }
}
