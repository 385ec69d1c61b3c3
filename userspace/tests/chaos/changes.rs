//! Routers and addresses that become others while they are in use.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use crate::ledger::Faults;
use crate::rig::Rig;

/// As when a provider's router is replaced, or its standby takes over: it tells of itself (RFC 5227
/// section 3, RFC 9568 section 6.4.1).
#[test]
fn a_router_with_another_mac_is_followed() {
    const OTHER: &str = "02:00:00:00:77:77";
    let rig = Rig::start("", "");
    let traffic = rig.traffic();
    let isp = &rig.site.uplinks[0].isp;
    isp.sysctl("net.ipv4.conf.customer.arp_notify", "1").unwrap();
    isp.ip(&format!("link set customer address {OTHER}")).unwrap();
    rig.wait_for("the router's MAC is the other one", |status| {
        status.uplinks[0].gateway_mac.as_deref() == Some(OTHER)
    });
    rig.wait_for_states("up", "up");
    traffic.wait_until_answered();
    for transfer in &traffic.transfers {
        transfer.wait_until_moved();
    }
    let (flows, moved) = traffic.finish();
    for moved in moved {
        moved.unwrap();
    }
    let [of_fiber, of_cable] = flows.split_by(rig.public(0));
    of_cable.assert_undisturbed();
    assert!(of_fiber.0.iter().all(|flow| flow.peers.len() == 1), "{of_fiber:?}");
    rig.balance(Faults { lossy: true, ..Faults::default() });
}

/// As when DHCP gives another one.
#[test]
fn another_address_takes_over_at_once() {
    const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
    let rig = Rig::start("", "");
    let traffic = rig.traffic();
    let before = rig.public(0);
    let change = format!("address del {before}/24 dev wan0\naddress add {OTHER}/24 dev wan0");
    rig.site.gateway.ip(&change).unwrap();
    rig.wait_for("fiber is up with its new address", |status| {
        status.uplinks[0].address == Some(OTHER) && status.uplinks[0].state == "up"
    });
    traffic.wait_until_answered();
    let (what, kind) = traffic.transfers[0].wait_until_broken();
    assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{what}");
    let (flows, [_, moved]) = traffic.finish();
    moved.unwrap();
    let [of_fiber, of_cable] = flows.split_by(before);
    of_cable.assert_undisturbed();
    for flow in &of_fiber.0 {
        let peers: Vec<_> = flow.peers.iter().map(|peer| *peer.ip()).collect();
        // While there is no address, flows have another uplink.
        assert!(peers == [before, OTHER] || peers == [before, rig.public(1)], "{of_fiber:?}");
    }
    let fresh = rig.fresh(0);
    assert!(fresh.iter().all(|peer| *peer == OTHER), "{fresh:?}");
    rig.balance(Faults { lossy: true, ..Faults::default() });
}
