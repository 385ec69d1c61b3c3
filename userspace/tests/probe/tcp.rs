//! TCP connections, and what the kernel has to know for them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use pointsman::probe::{Outcome, ProbeKind};
use pointsman_lab::wait_until;

use crate::lab::{ABSENT, BEYOND, BOUND, FAR, Lab, NEAR, answered, wrong};
use crate::server::Server;

const PORT: u16 = 80;

fn tcp(target: Ipv4Addr) -> ProbeKind {
    ProbeKind::Tcp((target, PORT).into())
}

/// Listens beyond an uplink, and remembers who has asked.
fn listen(lab: &Lab, isp: usize) -> Result<(Server, Arc<Mutex<Vec<SocketAddr>>>)> {
    let peers = Arc::<Mutex<Vec<SocketAddr>>>::default();
    let seen = Arc::clone(&peers);
    let note = move |_, peer| seen.lock().expect("nobody panics").push(peer);
    Ok((Server::tcp(&lab.isps[isp], (BEYOND, PORT).into(), note)?, peers))
}

#[test]
fn a_port_that_takes_connections_answers_by_its_own_uplink() -> Result<()> {
    for uplink in [0, 1] {
        let lab = Lab::routed()?;
        let servers = [listen(&lab, 0)?, listen(&lab, 1)?];
        lab.assert_answered(uplink, tcp(BEYOND))?;
        // The kernel has taken the connections, and the server gets them later.
        wait_until("its server is asked", BOUND, || Ok(servers[uplink].0.asked() >= 5))?;
        assert_eq!(servers[1 - uplink].0.asked(), 0);
    }
    Ok(())
}

/// Those are never handed out to hosts of the LAN.
#[test]
fn it_is_asked_from_the_uplinks_address_and_a_port_of_the_kernels_own_range() -> Result<()> {
    let lab = Lab::routed()?;
    lab.host.sysctl("net.ipv4.ip_local_port_range", "61000 61999")?;
    let (_server, peers) = listen(&lab, 1)?;
    lab.assert_answered(1, tcp(BEYOND))?;
    let seen = || peers.lock().expect("nobody panics");
    wait_until("the server is asked", BOUND, || Ok(seen().len() >= 5))?;
    let peers = seen();
    for peer in peers.iter() {
        assert_eq!(peer.ip(), NEAR);
        assert!((61000..62000).contains(&peer.port()), "{peer}");
    }
    Ok(())
}

#[test]
fn no_connection_is_left_behind() -> Result<()> {
    let lab = Lab::routed()?;
    let (_server, _) = listen(&lab, 0)?;
    lab.assert_answered(0, tcp(BEYOND))?;
    let sockets = lab.host.run(|| fs::read_to_string("/proc/thread-self/net/tcp"))?;
    assert_eq!(sockets.lines().count(), 1, "{sockets}");
    Ok(())
}

#[test]
fn a_port_that_nobody_listens_on_is_wrong() -> Result<()> {
    let lab = Lab::routed()?;
    let refused = wrong("no connection: Connection refused (os error 111)");
    lab.assert_outcome(0, tcp(BEYOND), &refused)
}

#[test]
fn a_target_that_does_not_answer_is_lost() -> Result<()> {
    let lab = Lab::routed()?;
    lab.assert_outcome(0, tcp(ABSENT), &Outcome::Lost)
}

#[test]
fn nothing_leaves_by_the_other_uplink_when_one_is_down() -> Result<()> {
    let lab = Lab::routed()?;
    let _servers = [listen(&lab, 0)?, listen(&lab, 1)?];
    lab.assert_nothing_leaves_by_the_other(&tcp(BEYOND))
}

#[test]
fn without_a_path_probes_fail_until_there_is_one() -> Result<()> {
    let lab = Lab::routed()?;
    let (_server, _) = listen(&lab, 0)?;
    lab.assert_needs_a_path(tcp(BEYOND))
}

#[test]
fn without_a_route_by_the_uplink_it_says_which_one_to_add() -> Result<()> {
    let lab = Lab::routed()?;
    let _servers = [listen(&lab, 0)?, listen(&lab, 1)?];
    lab.host.ip(&format!("route del default via {FAR} dev wan1"))?;
    lab.probe(1, tcp(BEYOND), async |probed| {
        let text = probed.next().await?.outcome.to_string();
        assert_eq!(
            text,
            "not sent: the kernel has no route to 192.0.2.53 by wan1 (No route to host (os error 113)); \
             add one: `ip route add default via 203.0.113.1 dev wan1 metric 1000`"
        );
        let (_, command) = text.split_once("`ip ").context("a command")?;
        lab.host.ip(command.trim_end_matches('`'))?;
        probed.until(answered).await?;
        Ok(())
    })
}

#[test]
fn a_route_by_a_rule_for_the_address_will_do() -> Result<()> {
    let lab = Lab::routed()?;
    let (_server, _) = listen(&lab, 1)?;
    lab.host.ip(&format!(
        "route del default via {FAR} dev wan1\n\
         route add default via {FAR} dev wan1 table 100\n\
         rule add from {NEAR} oif wan1 lookup 100"
    ))?;
    lab.assert_answered(1, tcp(BEYOND))
}

#[test]
fn a_strict_reverse_path_filter_is_named() -> Result<()> {
    let lab = Lab::routed()?;
    let _servers = [listen(&lab, 0)?, listen(&lab, 1)?];
    lab.host.sysctl("net.ipv4.conf.wan1.rp_filter", "1")?;
    lab.probe(1, tcp(BEYOND), async |probed| {
        let text = probed.next().await?.outcome.to_string();
        let named = text.contains("the kernel would drop the answers of 192.0.2.53 by wan1");
        assert!(named && text.contains("`sysctl -w net.ipv4.conf.wan1.rp_filter=2`"), "{text}");
        lab.host.sysctl("net.ipv4.conf.wan1.rp_filter", "2")?;
        probed.until(answered).await?;
        Ok(())
    })?;
    // Where the kernel prefers the uplink itself, the filter lets its answers pass.
    lab.host.sysctl("net.ipv4.conf.wan0.rp_filter", "1")?;
    lab.assert_answered(0, tcp(BEYOND))
}
