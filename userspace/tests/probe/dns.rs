//! Names of DNS servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Rtype};
use domain::rdata::{A, Aaaa};
use pointsman::probe::{DnsProbe, DnsRecord, Outcome, ProbeKind};

use crate::lab::{ABSENT, BEYOND, Lab, wrong};
use crate::server::Server;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

/// Answers as the name says.
pub(crate) fn answer(datagram: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_octets(datagram).ok()?;
    let question = query.sole_question().ok()?;
    let name = question.qname().to_string();
    let rcode = if name == "missing.example" { Rcode::NXDOMAIN } else { Rcode::NOERROR };
    let mut message = MessageBuilder::new_vec().start_answer(&query, rcode).ok()?;
    match (name.as_str(), question.qtype()) {
        ("silent.example", _) => return None,
        ("forged.example", _) => message.header_mut().set_id(query.header().id() ^ 1),
        _ => {}
    }
    if rcode == Rcode::NOERROR {
        match question.qtype() {
            Rtype::A => message.push((question.qname(), 60, A::new(ADDRESS))),
            _ => message.push((question.qname(), 60, Aaaa::new(ADDRESS.to_ipv6_compatible()))),
        }
        .ok()?;
    }
    Some(message.finish())
}

pub(crate) fn probe(name: &str, server: impl Into<SocketAddr>) -> DnsProbe {
    let name = name.parse().expect("a name");
    DnsProbe { server: server.into(), name, record: DnsRecord::A, expect: None }
}

fn about(name: &str) -> DnsProbe {
    probe(name, (BEYOND, 53))
}

fn lab() -> Result<(Lab, Server)> {
    let lab = Lab::routed()?;
    let server = Server::udp(&lab.isps[1], (BEYOND, 53).into(), answer)?;
    Ok((lab, server))
}

#[test]
fn a_server_that_knows_the_name_answers() -> Result<()> {
    let (lab, _server) = lab()?;
    let expect = Some(IpAddr::V4(ADDRESS));
    for probe in [
        about("example.net"),
        DnsProbe { expect, ..about("example.net") },
        DnsProbe { record: DnsRecord::Aaaa, ..about("example.net") },
    ] {
        lab.assert_answered(1, ProbeKind::Dns(probe))?;
    }
    Ok(())
}

#[test]
fn a_wrong_answer_says_what_is_wrong_with_it() -> Result<()> {
    let (lab, _server) = lab()?;
    let expect = Some(IpAddr::V4(ABSENT));
    for (probe, reason) in [
        (about("missing.example"), "NXDOMAIN"),
        (DnsProbe { expect, ..about("example.net") }, "192.0.2.80, and not 192.0.2.99"),
    ] {
        lab.assert_outcome(1, ProbeKind::Dns(probe), &wrong(reason))?;
    }
    Ok(())
}

/// The kernel says so once a second.
#[test]
fn a_host_without_a_server_is_wrong() -> Result<()> {
    let (lab, _server) = lab()?;
    let refused = wrong("no answer: Connection refused (os error 111)");
    lab.probe(1, ProbeKind::Dns(probe("example.net", (BEYOND, 54))), async |probed| {
        probed.until(|outcome| *outcome == refused).await?;
        Ok(())
    })
}

#[test]
fn silence_and_answers_to_others_are_losses() -> Result<()> {
    let (lab, _server) = lab()?;
    for probe in
        [about("silent.example"), about("forged.example"), probe("example.net", (ABSENT, 53))]
    {
        lab.assert_outcome(1, ProbeKind::Dns(probe), &Outcome::Lost)?;
    }
    Ok(())
}

#[test]
fn nothing_leaves_by_the_other_uplink_when_one_is_down() -> Result<()> {
    let (lab, _server) = lab()?;
    let _other = Server::udp(&lab.isps[0], (BEYOND, 53).into(), answer)?;
    lab.assert_nothing_leaves_by_the_other(&ProbeKind::Dns(about("example.net")))
}
