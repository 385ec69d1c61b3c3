//! Uplinks and LANs on VLANs: ports of interfaces that they share.

use pointsman_ebpf::abi::{Port, PortKey, Vlan};

use super::*;
use crate::netlink::Tag;

const FIBER_VLAN: u32 = 5;
const LAN_VLAN: u32 = 6;

/// The kernel has an interface for this one's VLAN.
const FIBER_TAGGED: &str = "[[uplink]]\nname = \"fiber\"\ninterface = \"wan0\"\nvlan = 35\n\
                            gateway = \"203.0.113.1\"\n";

/// The kernel has none for this one's.
const CABLE_TAGGED: &str = "[[uplink]]\nname = \"cable\"\ninterface = \"wan0\"\nvlan = [\"100ad\", 7]\n\
                            gateway = \"198.51.100.1\"\ngateway_mac = \"02:00:00:00:01:04\"\n\
                            ipv4 = { addresses = [\"198.51.100.2\"] }\n";

fn vlan(index: u32, name: &str, parent: u32, id: u16) -> Fact {
    let Fact::Link { index, link } = link(index, name, true) else { unreachable!() };
    let tag = Some(Tag { parent, id, service: false });
    Fact::Link { index, link: Link { tag, mtu: 1400, ..link } }
}

fn host() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for fact in [
        link(LAN, "lan0", true),
        link(FIBER, "wan0", true),
        vlan(FIBER_VLAN, "wan0.35", FIBER, 35),
        vlan(LAN_VLAN, "staff", LAN, 10),
        has_address(LAN_VLAN, [10, 1, 0, 1]),
        has_address(FIBER_VLAN, [203, 0, 113, 2]),
        resolved(FIBER_VLAN, FIBER_GATEWAY),
    ] {
        snapshot.apply(fact);
    }
    snapshot
}

fn configuration(uplinks: &[&str]) -> config::Config {
    let text = format!("[lan]\ninterfaces = [\"staff\"]\n{}", uplinks.concat());
    config::parse("test.toml", &text).expect("the configuration is good").0
}

fn controller(uplinks: &[&str]) -> Controller {
    Controller::new(configuration(uplinks), [1, 2], 100, Instant::now())
}

/// Goes over to other uplinks, and returns what did not work.
fn reload(gateway: &mut Gateway, uplinks: &[&str]) -> Vec<InstallError> {
    gateway.controller.configure(configuration(uplinks), gateway.now);
    gateway.install()
}

fn running(uplinks: &[&str]) -> Gateway {
    let installer = Installer::default();
    let (dataplane, now) = (Fake::default(), Instant::now());
    let mut gateway = Gateway { controller: controller(uplinks), installer, dataplane, now };
    let errors = gateway.update(Update::Resync(host()));
    assert!(errors.is_empty(), "{errors:?}");
    check(&gateway.controller).expect("the configuration fits");
    gateway
}

/// The port of this key, from the first slot that a look-up would find it in.
fn port(gateway: &Gateway, key: PortKey) -> Option<Port> {
    let at = |slot| gateway.dataplane.ports.get(&(slot as u32)).copied();
    key.slots().map_while(at).find(|port| port.key() == key)
}

fn both_tags() -> Vlan {
    Vlan::customer(7).unwrap().within(Vlan::service(100).unwrap()).unwrap()
}

#[test]
fn uplinks_share_an_interface() {
    let mut gateway = running(&[FIBER_TAGGED, CABLE_TAGGED]);
    assert_eq!(gateway.dataplane.alive, BOTH);
    let attached = [LAN, FIBER].map(|ifindex| (ifindex, Frames::Tagged));
    assert_eq!(gateway.dataplane.attached, attached.into());
    let tags: Vec<String> =
        gateway.log().into_iter().filter(|done| done.starts_with("tags")).collect();
    assert_eq!(tags, [format!("tags {LAN}"), format!("tags {FIBER}")]);

    let customer = Vlan::customer(35).unwrap();
    let mac = Mac::new(own_mac(FIBER_VLAN));
    let fiber = port(&gateway, PortKey::new(FIBER, customer)).expect("the fiber's port");
    assert_eq!((fiber.role, fiber.uplink), (PortRole::Uplink as u8, 0));
    assert_eq!((fiber.mac, fiber.mtu), (mac, 1400));
    let cable = port(&gateway, PortKey::new(FIBER, both_tags())).expect("the cable's port");
    assert_eq!((cable.role, cable.uplink), (PortRole::Uplink as u8, 1));
    assert_eq!((cable.mac, cable.mtu), (Mac::new(own_mac(FIBER)), 1500));
    // What has no tags, or others, is nobody's.
    assert_eq!(port(&gateway, PortKey::untagged(FIBER)), None);
    assert_eq!(port(&gateway, PortKey::untagged(FIBER_VLAN)), None);

    let Fake { egress, vlans, uplinks, .. } = &gateway.dataplane;
    for (uplink, vlan, port) in [(0, customer, fiber), (1, both_tags(), cable)] {
        let slot = uplinks[&uplink].egress;
        assert_eq!(slot, port.egress);
        assert_eq!((egress[&slot], vlans[&slot]), (FIBER, vlan));
    }
    assert_eq!(uplinks[&0].macs, MacPair::new(Mac::new(gateway_mac(FIBER_VLAN)), mac));
    let own = Mac::new(own_mac(FIBER));
    assert_eq!(uplinks[&1].macs, MacPair::new(Mac::new(gateway_mac(CABLE)), own));
}

/// Where a route leads to it, the data plane finds it by the kernel's interface.
#[test]
fn a_vlan_of_the_lan_is_a_port_of_two_keys() {
    let gateway = running(&[FIBER_TAGGED]);
    let by_wire = port(&gateway, PortKey::new(LAN, Vlan::customer(10).unwrap())).expect("by tag");
    let by_route = port(&gateway, PortKey::untagged(LAN_VLAN)).expect("by route");
    assert_eq!(by_wire.egress, by_route.egress);
    assert_eq!((by_wire.role, by_route.role), (PortRole::Lan as u8, PortRole::Lan as u8));
    assert_eq!(gateway.dataplane.egress[&by_wire.egress], LAN);
    assert_eq!(gateway.dataplane.vlans[&by_wire.egress], Vlan::customer(10).unwrap());
}

#[test]
fn a_vlan_is_down_with_the_interface_below() {
    let mut gateway = running(&[FIBER_TAGGED]);
    gateway.fact(link(FIBER, "wan0", false));
    assert_eq!(gateway.state(0), (State::Down, "no carrier on wan0".into()));
    gateway.fact(link(FIBER, "wan0", true));
    assert_eq!(gateway.dataplane.alive, 1);
}

/// Uplinks keep what they have: the other's tags are taken back with it.
#[test]
fn one_of_two_vlans_can_be_removed() {
    let mut gateway = running(&[FIBER_TAGGED, CABLE_TAGGED]);
    let slot = gateway.dataplane.uplinks[&1].egress;
    assert!(reload(&mut gateway, &[FIBER_TAGGED]).is_empty());
    assert_eq!(port(&gateway, PortKey::new(FIBER, both_tags())), None);
    assert_eq!(gateway.dataplane.vlans[&slot], Vlan::NONE);
    assert_eq!(gateway.dataplane.alive, 1);
    let attached = [LAN, FIBER].map(|ifindex| (ifindex, Frames::Tagged));
    assert_eq!(gateway.dataplane.attached, attached.into());
}

/// With tags only, frames begin with another program than with and without. An interface goes over from one
/// to the other, and is not detached for that.
#[test]
fn an_interface_has_the_program_for_its_frames() {
    let mut gateway = running(&[FIBER_TAGGED]);
    assert_eq!(gateway.dataplane.attached[&FIBER], Frames::Tagged);
    gateway.log();
    let untagged = CABLE_TAGGED.replace("vlan = [\"100ad\", 7]\n", "");
    for (uplinks, frames) in
        [(&[FIBER_TAGGED, &untagged][..], Frames::Any), (&[FIBER_TAGGED], Frames::Tagged)]
    {
        assert!(reload(&mut gateway, uplinks).is_empty());
        assert_eq!(gateway.dataplane.attached[&FIBER], frames);
        assert_eq!(gateway.dataplane.attached[&LAN], Frames::Tagged);
        let log = gateway.log();
        let about = |what: &str| log.iter().filter(|done| done.starts_with(what)).count();
        assert_eq!((about("attach"), about("detach")), (1, 0), "{log:?}");
    }
}

/// What fails then is as if it had failed at first.
#[test]
fn an_interface_that_loses_its_program_is_not_alive() {
    let mut gateway = running(&[FIBER_TAGGED]);
    gateway.dataplane.busy.insert(FIBER);
    let untagged = FIBER_TAGGED.replace("vlan = 35\n", "gateway_mac = \"02:00:00:00:01:03\"\n");
    let untagged = format!("{untagged}ipv4 = {{ addresses = [\"203.0.113.2\"] }}\n");
    let errors = reload(&mut gateway, &[&untagged]);
    assert!(matches!(errors[..], [InstallError::Attach(_)]), "{errors:?}");
    assert_eq!(gateway.dataplane.alive, 0);
    gateway.dataplane.busy.clear();
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.attached[&FIBER], Frames::Any);
    assert_eq!(gateway.dataplane.alive, 1);
}

#[test]
fn what_does_not_fit_is_told_with_the_fix() {
    let unfit = |uplink: &str| {
        let mut controller = controller(&[uplink]);
        controller.update(Update::Resync(host()), Instant::now());
        check(&controller).expect_err("it does not fit").to_string()
    };
    assert_eq!(
        unfit(&FIBER_TAGGED.replace("35", "36")),
        "uplink \"fiber\": the kernel has no interface of wan0 vlan 36, to tell its address, routes \
         and neighbours and to probe by; make one (`ip link add link wan0 name wan0.36 type vlan id \
         36`), or set gateway, gateway_mac and ipv4.addresses, and neither probes nor BFD"
    );
    assert_eq!(
        unfit("[[uplink]]\nname = \"again\"\ninterface = \"lan0\"\nvlan = 10\n"),
        "uplink \"again\" is to use lan0 vlan 10, which is that of the LAN; give each VLAN once"
    );
    assert_eq!(
        unfit("[[uplink]]\nname = \"deep\"\ninterface = \"wan0.35\"\nvlan = [7, 8]\n"),
        "uplink \"deep\" is to use wan0.35 vlan 7.8, whose frames have more than two tags; give \
         another interface"
    );
    let probed = "gateway = \"198.51.100.1\"\n\
                  health = { probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }] }\n";
    let told = unfit(&CABLE_TAGGED.replace("gateway = \"198.51.100.1\"\n", probed));
    assert!(
        told.contains(
            "(`ip link add link wan0 name wan0.100 type vlan protocol 802.1ad id 100 && ip link add \
             link wan0.100 name wan0.100.7 type vlan id 7`)"
        ),
        "{told}"
    );
}
