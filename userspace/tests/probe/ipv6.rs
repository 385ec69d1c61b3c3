//! Probes over IPv6.

use anyhow::Result;
use pointsman::probe::{Outcome, ProbeKind};

use crate::dns;
use crate::http;
use crate::lab::{ABSENT6, BEYOND6, FAR6, Lab, NEAR6, answered, icmp};
use crate::server::Server;

fn all() -> [ProbeKind; 6] {
    [
        icmp(BEYOND6),
        icmp(FAR6),
        ProbeKind::Nd,
        ProbeKind::Tcp((BEYOND6, 8080).into()),
        ProbeKind::Http(http::probe("http://[2001:db8:53::53]:8080/health", (BEYOND6, 8080))),
        ProbeKind::Dns(dns::probe("example.net", (BEYOND6, 53))),
    ]
}

fn servers(lab: &Lab, isp: usize) -> Result<[Server; 2]> {
    Ok([
        http::listen(&lab.isps[isp], (BEYOND6, 8080).into())?,
        Server::udp(&lab.isps[isp], (BEYOND6, 53).into(), dns::answer)?,
    ])
}

#[test]
fn every_kind_is_answered_by_either_uplink() -> Result<()> {
    let lab = Lab::routed6()?;
    let _servers = [servers(&lab, 0)?, servers(&lab, 1)?];
    for uplink in [0, 1] {
        for kind in all() {
            lab.assert_answered(uplink, kind)?;
        }
    }
    Ok(())
}

#[test]
fn nothing_leaves_by_the_other_uplink_when_one_is_down() -> Result<()> {
    for kind in all() {
        let lab = Lab::routed6()?;
        let _servers = [servers(&lab, 0)?, servers(&lab, 1)?];
        lab.assert_nothing_leaves_by_the_other(&kind)?;
    }
    Ok(())
}

#[test]
fn a_silent_target_is_lost() -> Result<()> {
    let lab = Lab::routed6()?;
    lab.assert_outcome(0, icmp(ABSENT6), &Outcome::Lost)?;
    lab.assert_outcome(0, ProbeKind::Tcp((ABSENT6, 80).into()), &Outcome::Lost)
}

#[test]
fn a_next_hop_of_unknown_mac_is_asked_for_by_its_group() -> Result<()> {
    let lab = Lab::routed6()?;
    lab.probe(0, ProbeKind::Nd, async |probed| {
        probed.until(answered).await?;
        probed.path.send_modify(|path| path.ipv6.gateway_mac = None);
        for _ in 0..5 {
            let event = probed.next().await?;
            assert!(answered(&event.outcome), "{event:?}");
        }
        lab.isps[0].ip6(&format!("address del {FAR6}/64 dev site0"))?;
        probed.until(|outcome| *outcome == Outcome::Lost).await?;
        Ok(())
    })
}

#[test]
fn an_address_that_is_gone_is_named() -> Result<()> {
    let lab = Lab::routed6()?;
    let _servers = servers(&lab, 0)?;
    let kind = ProbeKind::Tcp((BEYOND6, 8080).into());
    lab.probe(0, kind, async |probed| {
        probed.until(answered).await?;
        lab.host.ip6(&format!("address del {NEAR6}/64 dev wan0"))?;
        let failed = probed.until(|outcome| !answered(outcome)).await?.outcome.to_string();
        let expected = "not sent: cannot send from 2001:db8::2 by wan0: Cannot assign requested \
                        address (os error 99)";
        assert_eq!(failed, expected);
        Ok(())
    })
}

#[test]
fn without_a_route_by_the_uplink_it_says_which_one_to_add() -> Result<()> {
    let lab = Lab::routed6()?;
    let _servers = servers(&lab, 1)?;
    lab.host.ip6(&format!("route del default via {FAR6} dev wan1"))?;
    lab.probe(1, ProbeKind::Tcp((BEYOND6, 8080).into()), async |probed| {
        let text = probed.next().await?.outcome.to_string();
        assert_eq!(
            text,
            "not sent: the kernel has no route to 2001:db8:53::53 by wan1 (Network is unreachable (os \
             error 101)); add one: `ip -6 route add default via fe80::1 dev wan1 metric 2000`"
        );
        lab.host.ip6("route add default via fe80::1 dev wan1 metric 2000")?;
        probed.until(answered).await?;
        Ok(())
    })
}
