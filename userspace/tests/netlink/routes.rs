//! Routes to prefixes by an interface whose routes are followed, and not by others.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use pointsman::netlink::{Fact, Snapshot, Update};
use pointsman_lab::{Cable, CableOptions};

use crate::lab::{FAR, FOLLOWED, Lab};

/// Lays a cable to an interface whose routes are followed.
fn attach(lab: &Lab) -> Result<Cable> {
    let cable = Cable::new(&lab.host, FOLLOWED, &lab.isp, "lan1", CableOptions::default())?;
    lab.host.ip(&format!("address add 10.1.0.1/16 dev {FOLLOWED}"))?;
    Ok(cable)
}

fn prefixes(snapshot: &Snapshot) -> Vec<String> {
    snapshot.routes.iter().map(|route| route.prefix.to_string()).collect()
}

#[test]
fn the_first_update_has_those_that_there_are() -> Result<()> {
    let lab = Lab::new()?;
    let cable = attach(&lab)?;
    lab.host.ip("route add 10.20.0.0/16 via 10.1.0.2 metric 5")?;
    lab.host.ip(&format!("route add 10.21.0.0/16 via {FAR}"))?;
    lab.watch(None, async |watched| {
        let [route] = Vec::from_iter(watched.snapshot.routes.iter().copied())[..] else {
            anyhow::bail!("{:?}", watched.snapshot.routes)
        };
        assert_eq!(route.prefix.to_string(), "10.20.0.0/16");
        assert_eq!((route.metric, route.index), (5, cable.near().index()));
        assert_eq!(route.gateway, Some(IpAddr::from([10, 1, 0, 2])));
        Ok(())
    })
}

#[test]
fn following_changes_leads_to_what_a_listing_tells() -> Result<()> {
    let lab = Lab::new()?;
    lab.watch(None, async |watched| {
        let _cable = attach(&lab)?;
        for change in [
            "route add 10.20.0.0/16 via 10.1.0.2",
            "route add 10.20.0.0/16 via 10.1.0.3 metric 5",
            "route append 10.20.0.0/16 via 10.1.0.4 metric 5",
            "route add 10.21.0.0/16 dev lan0",
            "route add 10.22.0.0/16 via 203.0.113.1",
            "route add 10.23.0.0/16 nexthop via 10.1.0.2 nexthop via 203.0.113.1",
            "route add 10.24.0.0/16 nexthop via 203.0.113.1 nexthop via 10.1.0.2",
            "route add 10.25.0.0/16 nexthop via 203.0.113.1 nexthop via 203.0.113.4",
            "route add 10.26.0.0/16 via 10.1.0.2 table 100",
            "route add blackhole 10.27.0.0/16",
            "route add 10.28.0.0/16 via 10.1.0.2 tos 4",
            // From one interface to the other, and back.
            "route replace 10.20.0.0/16 via 203.0.113.1",
            "route replace 10.21.0.0/16 via 203.0.113.1",
            "route replace 10.21.0.0/16 nexthop via 203.0.113.1 nexthop via 10.1.0.7",
            "route replace 10.22.0.0/16 via 10.1.0.2",
            "route replace blackhole 10.22.0.0/16",
            "route replace 10.23.0.0/16 via 10.1.0.9",
            "route del 10.24.0.0/16",
            "route del 10.20.0.0/16 via 10.1.0.4 metric 5",
            "address add 10.2.0.1/16 dev lan0",
            "address del 10.2.0.1/16 dev lan0",
            "nexthop add id 7 via 10.1.0.8 dev lan0",
            "nexthop add id 8 via 203.0.113.8 dev wan0",
            "nexthop add id 9 group 7/8",
            "route add 10.30.0.0/16 nhid 7",
            "route add 10.31.0.0/16 nhid 8",
            "route add 10.32.0.0/16 nhid 9",
            // The kernel tells of the routes that this changes.
            "nexthop replace id 7 via 203.0.113.7 dev wan0",
            "nexthop replace id 7 via 10.1.0.7 dev lan0",
            "route del 10.21.0.0/16",
            "route del 10.32.0.0/16",
            "address flush dev lan0",
            "address add 10.1.0.1/16 dev lan0",
            "route add 10.40.0.0/16 via 10.1.0.2",
            "route add 10.21.0.0/16 nexthop via 203.0.113.1 nexthop via 10.1.0.7",
            "link set lan0 down",
            "link set lan0 up",
            "route add 10.40.0.0/16 via 10.1.0.2",
            "link set lan0 name lan7",
            "route add 10.33.0.0/16 via 10.1.0.2",
            "link set lan7 name lan0",
            "link del lan0",
        ] {
            lab.host.ip(change).with_context(|| format!("change `{change}`"))?;
            watched.assert_in_step(&lab.host).await.with_context(|| change.to_owned())?;
            println!("after `{change}`: {:?}", prefixes(&watched.snapshot));
        }
        Ok(())
    })
}

/// The smallest buffer that the kernel gives, and routes in plenty by another interface.
#[test]
fn others_stay_out_of_the_socket() -> Result<()> {
    let lab = Lab::new()?;
    let _cable = attach(&lab)?;
    lab.watch(Some(0), async |watched| {
        watched.settle(&lab.host).await?;
        let resyncs = watched.resyncs;
        let routes = |action: &str| -> String {
            (0..2000)
                .map(|n| format!("route {action} 10.{}.{}.0/24 via {FAR}\n", 64 + n / 256, n % 256))
                .collect()
        };
        lab.host.ip(&routes("add"))?;
        lab.host.ip(&routes("del"))?;
        lab.host.ip("route add 10.20.0.0/16 via 10.1.0.2")?;
        let update = watched.take().await?;
        ensure!(matches!(update, Update::Fact(Fact::Route(_))), "{update:?}");
        ensure!(watched.resyncs == resyncs, "the socket was overrun");
        watched.assert_in_step(&lab.host).await
    })
}

/// What is replaced is let in, but not told.
#[test]
fn others_that_are_replaced_are_not_told() -> Result<()> {
    let lab = Lab::new()?;
    let _cable = attach(&lab)?;
    lab.host.ip(&format!("route add 10.21.0.0/16 via {FAR}"))?;
    lab.watch(None, async |watched| {
        watched.settle(&lab.host).await?;
        lab.host.ip("route replace 10.21.0.0/16 via 203.0.113.7")?;
        lab.host.ip("route add 10.20.0.0/16 via 10.1.0.2")?;
        let update = watched.take().await?;
        ensure!(matches!(update, Update::Fact(Fact::Route(_))), "{update:?}");
        Ok(())
    })
}
