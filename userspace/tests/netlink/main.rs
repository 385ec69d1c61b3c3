//! The kernel's notifications, seen in namespaces of the laboratory.

mod ipv6;
mod lab;
mod lookup;
mod routes;

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use pointsman::netlink::{Fact, Resolution, Resolver, Snapshot, Update};

use crate::lab::{FAR, Lab, NEAR};

const ABSENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);

#[test]
fn the_first_update_is_all_there_is() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip(&format!("route add default via {FAR} metric 7"))?;
    lab.watch(None, async |watched| {
        let snapshot = &watched.snapshot;
        let (index, link) = snapshot.link_named("wan0").context("wan0 is missing")?;
        assert_eq!(index, lab.index());
        assert_eq!(link.mac, Some(lab.cable.near().mac().0));
        assert_eq!((link.mtu, link.admin_up, link.carrier), (1500, true, true));
        assert_eq!(snapshot.ipv4_addresses(index).collect::<Vec<_>>(), [(NEAR, 24)]);
        assert!(snapshot.local_addresses().any(|address| address == IpAddr::V4(NEAR)));
        assert!(snapshot.local_addresses().any(|address| address == Ipv4Addr::LOCALHOST));
        assert_eq!(snapshot.default_gateway(index), Some(FAR));
        Ok(())
    })
}

#[test]
fn a_cut_cable_is_a_lost_carrier_and_no_more() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let before = watched.snapshot.clone();
        lab.cable.cut()?;
        watched.until(|snapshot| !snapshot.links[&index].carrier).await?;
        assert!(watched.snapshot.links[&index].admin_up);
        assert_eq!(watched.snapshot.addresses, before.addresses);
        lab.cable.restore()?;
        watched.until(|snapshot| snapshot.links[&index].carrier).await?;
        assert_eq!(watched.resyncs, 1);
        watched.assert_in_step(&lab.host).await
    })
}

#[test]
fn following_changes_leads_to_what_a_listing_tells() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        for change in [
            "link set wan0 mtu 1400",
            "link set wan0 address 02:00:00:00:99:01",
            "address add 203.0.113.3/24 dev wan0",
            "address add 198.51.100.1/32 peer 198.51.100.2 dev wan0",
            "route add default via 203.0.113.1",
            "route add default via 203.0.113.1 metric 5",
            "route append default via 203.0.113.7 metric 5",
            "route replace default via 203.0.113.9",
            "route add default metric 9 nexthop via 203.0.113.1 nexthop via 203.0.113.4",
            "route add default via 203.0.113.1 table 100",
            "route add blackhole default metric 3",
            "route del default via 203.0.113.1 metric 5",
            "route add 192.0.2.0/24 via 203.0.113.1",
            "neighbour add 203.0.113.5 lladdr 02:00:00:00:00:05 dev wan0",
            "neighbour add proxy 203.0.113.6 dev wan0",
            "neighbour replace 203.0.113.5 lladdr 02:00:00:00:00:06 dev wan0 nud stale",
            "address del 203.0.113.2/24 dev wan0",
            "address del 198.51.100.1/32 peer 198.51.100.2 dev wan0",
            "link set wan0 down",
            "link set wan0 up",
            "address add 203.0.113.2/24 dev wan0",
            "route add default via 203.0.113.1",
            "link set wan0 name wan7",
            "address flush dev wan7",
            "link add br0 type veth peer br1",
            "link del br0",
            "link del wan7",
        ] {
            // What this kernel cannot do, it tells in words; the rest must hold all the same.
            lab.host.ip(change).with_context(|| format!("change `{change}`"))?;
            watched.assert_in_step(&lab.host).await.with_context(|| change.to_owned())?;
            println!("in step after `{change}`");
        }
        Ok(())
    })
}

#[test]
fn lost_notifications_are_made_good_by_a_new_listing() -> Result<()> {
    let lab = Lab::new()?;
    // The kernel gives at least two kilobytes, which a burst overruns.
    lab.watch(Some(0), async |watched| {
        let burst: String =
            (0..200).map(|last| format!("address add 198.51.100.{last}/32 dev wan0\n")).collect();
        lab.host.ip(&burst)?;
        lab.host.ip("address del 198.51.100.7/32 dev wan0")?;
        let count = |snapshot: &Snapshot| snapshot.ipv4_addresses(lab.index()).count();
        watched.until(|snapshot| count(snapshot) == 200).await?;
        assert!(watched.resyncs > 1, "the burst was to overrun the socket");
        watched.assert_in_step(&lab.host).await
    })
}

#[test]
fn a_flood_of_routes_stays_out_of_the_socket() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        watched.settle(&lab.host).await?;
        let routes: String = (0..2000)
            .map(|n| format!("route add 10.{}.{}.0/24 via {FAR}\n", n / 256, n % 256))
            .collect();
        lab.host.ip(&routes)?;
        lab.host.ip(&format!("route add default via {FAR}"))?;
        let update = watched.take().await?;
        ensure!(matches!(update, Update::Fact(Fact::DefaultRoute(_))), "{update:?}");
        watched.assert_in_step(&lab.host).await
    })
}

#[test]
fn a_neighbour_is_found_on_request() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let mac = lab.cable.far().mac().0;
        assert_eq!(watched.snapshot.resolution(index, FAR), Resolution::Unknown);
        Resolver::new()?.resolve(index, FAR)?;
        watched.until(|snapshot| snapshot.resolution(index, FAR) == Resolution::Known(mac)).await
    })
}

#[test]
fn a_neighbour_that_got_another_mac_is_found_again() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let wrong = [2, 0, 0, 0, 0, 0x77];
        let mac = lab.cable.far().mac().0;
        lab.host.ip(&format!("neighbour add {FAR} lladdr 02:00:00:00:00:77 dev wan0 nud stale"))?;
        watched
            .until(|snapshot| snapshot.resolution(index, FAR) == Resolution::Stale(wrong))
            .await?;
        let mut resolver = Resolver::new()?;
        resolver.resolve(index, FAR)?;
        // Nobody has the wrong MAC, so the kernel gives it up, and then asks everybody.
        watched.until(|snapshot| snapshot.resolution(index, FAR) == Resolution::Failed).await?;
        resolver.resolve(index, FAR)?;
        watched.until(|snapshot| snapshot.resolution(index, FAR) == Resolution::Known(mac)).await
    })
}

#[test]
fn a_stale_neighbour_is_confirmed_on_request() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let mac = lab.cable.far().mac();
        lab.host.ip(&format!("neighbour add {FAR} lladdr {mac} dev wan0 nud stale"))?;
        let stale = Resolution::Stale(mac.0);
        watched.until(|snapshot| snapshot.resolution(index, FAR) == stale).await?;
        Resolver::new()?.resolve(index, FAR)?;
        watched
            .until(|snapshot| {
                let neighbour = &snapshot.neighbours[&(index, IpAddr::V4(FAR))];
                neighbour.state == pointsman::netlink::NeighbourState::Reachable
            })
            .await
    })
}

#[test]
fn a_neighbour_that_does_not_answer_fails_and_can_be_asked_again() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let mut resolver = Resolver::new()?;
        for _ in 0..2 {
            resolver.resolve(index, ABSENT)?;
            // Asking while the kernel asks already does no harm.
            resolver.resolve(index, ABSENT)?;
            // The kernel tells only of the end of its search.
            let update = watched.take().await?;
            ensure!(matches!(update, Update::Fact(Fact::Neighbour { .. })), "{update:?}");
            assert_eq!(watched.snapshot.resolution(index, ABSENT), Resolution::Failed);
        }
        Ok(())
    })
}

#[test]
fn a_neighbour_on_no_interface_is_refused_in_words() -> Result<()> {
    let lab = Lab::new()?;
    let error = lab.host.run(|| Resolver::new()?.resolve(999, FAR)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("the kernel refused to resolve 203.0.113.1 on interface 999:"),
        "{message}"
    );
    Ok(())
}
