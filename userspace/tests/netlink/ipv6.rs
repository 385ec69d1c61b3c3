//! What differs from IPv4.

use std::net::{Ipv6Addr, SocketAddrV6};

use anyhow::{Context as _, Result, ensure};
use pointsman::netlink::{Fact, Resolution, Resolver, Snapshot, Update};
use pointsman_lab::{Cable, CableOptions, Namespace};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{FAR6, Lab, ipv6_namespace};

#[test]
fn following_changes_of_ipv6_leads_to_what_a_listing_tells() -> Result<()> {
    let lab = Lab::with_ipv6()?;
    lab.host.ip("link add other0 type veth peer name other1")?;
    lab.host.ip("link set other0 up")?;
    lab.host.ip("link set other1 up")?;
    lab.host.ip("address add 2001:db8:1::2/64 dev other0")?;
    lab.watch(None, async |watched| {
        for change in [
            "address add 2001:db8::2/64 dev wan0",
            "address add 2001:db8::3/64 dev wan0",
            "address change 2001:db8::3/64 dev wan0 preferred_lft 0",
            "route add ::/0 via fe80::1 dev wan0 metric 1024 proto ra",
            "route append ::/0 via fe80::2 dev wan0 metric 1024 proto ra",
            "route append ::/0 via fe80::3 dev other0 metric 1024",
            "route del ::/0 via fe80::2 dev wan0 metric 1024",
            "route replace ::/0 via fe80::4 dev wan0 metric 1024",
            "route replace ::/0 via fe80::5 dev wan0 metric 1024",
            "route append ::/0 dev other0 metric 1024",
            "route replace ::/0 dev other0 metric 1024",
            "route replace ::/0 via fe80::6 dev wan0 metric 1024",
            "route add ::/0 dev wan0 metric 9",
            "route replace ::/0 via fe80::7 dev wan0 metric 9",
            "route add ::/0 metric 5 nexthop via fe80::1 dev wan0 nexthop via fe80::1 dev other0",
            "route replace ::/0 metric 5 nexthop via fe80::2 dev wan0 nexthop via fe80::2 dev other0",
            "route add ::/0 from 2001:db8::/64 via fe80::1 dev wan0 metric 3",
            "route add ::/0 via fe80::1 dev wan0 table 100",
            "route add blackhole ::/0 metric 2",
            "neighbour add fe80::1 lladdr 02:00:00:00:00:05 dev wan0",
            "neighbour replace fe80::1 lladdr 02:00:00:00:00:06 dev wan0 nud stale",
            "address del 2001:db8::2/64 dev wan0",
            "address del 2001:db8::3/64 dev wan0",
            "link set wan0 down",
            "link set wan0 up",
            "route add ::/0 via fe80::8 dev wan0 metric 8",
            "link del other0",
            "route del ::/0 metric 5",
            "link set wan0 down",
            "link del wan0",
        ] {
            lab.host.ip(change).with_context(|| format!("change `{change}`"))?;
            watched.assert_in_step(&lab.host).await.with_context(|| change.to_owned())?;
            println!("in step after `{change}`");
        }
        assert!(watched.snapshot.default_routes.is_empty(), "{:#?}", watched.snapshot);
        assert!(watched.resyncs > 1, "some replacements were to leave doubt");
        Ok(())
    })
}

#[test]
fn what_ipv6_has_on_an_uplink_comes_and_goes() -> Result<()> {
    let lab = Lab::with_ipv6()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let near = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
        let has = |snapshot: &Snapshot| snapshot.ipv6_addresses(index).any(|a| a == (near, 64));
        lab.host.ip(&format!("address add {near}/64 dev wan0"))?;
        watched.until(has).await?;
        lab.host.ip(&format!("route add ::/0 via {FAR6} metric 1024"))?;
        watched.until(|snapshot| snapshot.default_gateway6(index) == Some(FAR6)).await?;
        assert_eq!(watched.snapshot.default_gateway(index), None);

        assert_eq!(watched.snapshot.resolution(index, FAR6), Resolution::Unknown);
        let known = Resolution::Known(lab.cable.far().mac().0);
        Resolver::new()?.resolve(index, FAR6)?;
        watched.until(|snapshot| snapshot.resolution(index, FAR6) == known).await?;

        lab.host.ip(&format!("neighbour del {FAR6} dev wan0"))?;
        watched.until(|snapshot| snapshot.resolution(index, FAR6) == Resolution::Unknown).await?;
        lab.host.ip("route del ::/0")?;
        watched.until(|snapshot| snapshot.default_gateway6(index).is_none()).await?;
        lab.host.ip(&format!("address del {near}/64 dev wan0"))?;
        watched.until(|snapshot| !has(snapshot)).await?;
        assert_eq!(watched.resyncs, 1);
        Ok(())
    })
}

#[test]
fn an_ipv6_address_that_somebody_else_has_is_never_there() -> Result<()> {
    let lab = Lab::with_ipv6()?;
    lab.host.sysctl("net.ipv6.conf.wan0.accept_dad", "1")?;
    lab.watch(None, async |watched| {
        let free = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);
        let global = |snapshot: &Snapshot| -> Vec<Ipv6Addr> {
            let all = snapshot.ipv6_addresses(lab.index()).map(|(address, _)| address);
            all.filter(|address| !address.is_unicast_link_local()).collect()
        };
        // The kernel tells of both while they are checked.
        lab.host.ip(&format!("address add {FAR6}/64 dev wan0"))?;
        lab.host.ip(&format!("address add {free}/64 dev wan0"))?;
        watched.take().await?;
        watched.take().await?;
        assert_eq!(global(&watched.snapshot), [Ipv6Addr::UNSPECIFIED; 0]);
        watched.until(|snapshot| global(snapshot) == [free]).await?;
        watched.assert_in_step(&lab.host).await
    })
}

#[test]
fn an_ipv6_neighbour_that_does_not_answer_fails_and_can_be_asked_again() -> Result<()> {
    let lab = Lab::with_ipv6()?;
    lab.watch(None, async |watched| {
        let index = lab.index();
        let absent = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
        let mut resolver = Resolver::new()?;
        for _ in 0..2 {
            resolver.resolve(index, absent)?;
            watched.settle(&lab.host).await?;
            let update = watched.take().await?;
            ensure!(matches!(update, Update::Fact(Fact::Neighbour { .. })), "{update:?}");
            assert_eq!(watched.snapshot.resolution(index, absent), Resolution::Failed);
        }
        Ok(())
    })
}

#[test]
fn routers_that_advertise_themselves_come_and_go() -> Result<()> {
    let lab = Lab::with_ipv6()?;
    let isp = ipv6_namespace("second")?;
    let second = Cable::new(&lab.host, "wan1", &isp, "site0", CableOptions::default())?;
    let (first, second) = ((&lab.isp, lab.index()), (&isp, second.near().index()));
    lab.watch(None, async |watched| {
        let known = |snapshot: &Snapshot| {
            [first, second].map(|(_, index)| snapshot.default_gateway6(index).is_some())
        };
        advertise(first.0, 1800, MEDIUM)?;
        watched.until(|snapshot| known(snapshot) == [true, false]).await?;
        advertise(second.0, 1800, MEDIUM)?;
        watched.until(|snapshot| known(snapshot) == [true, true]).await?;
        let gateway = watched.snapshot.default_gateway6(first.1).context("it is known")?;
        assert!(gateway.is_unicast_link_local(), "{gateway}");
        assert_eq!(watched.resyncs, 1);

        // The kernel tells of the new preference as of a route that replaces another.
        advertise(first.0, 1800, HIGH)?;
        while watched.resyncs == 1 {
            watched.take().await?;
            assert_eq!(known(&watched.snapshot), [true, true]);
        }
        watched.assert_in_step(&lab.host).await?;

        // Here it is one that replaces another, the first of both, without a word of which.
        lab.host.ip("route replace ::/0 via fe80::77 dev wan1 metric 1024")?;
        watched.until(|snapshot| known(snapshot) == [false, true]).await?;
        watched.assert_in_step(&lab.host).await?;
        lab.host.ip("route del ::/0 via fe80::77 dev wan1 metric 1024")?;
        advertise(second.0, 0, MEDIUM)?;
        watched.until(|snapshot| known(snapshot) == [false, false]).await?;
        watched.assert_in_step(&lab.host).await
    })
}

/// Preferences of a router, where its advertisement has them (RFC 4191 section 2.2).
const MEDIUM: u8 = 0;
const HIGH: u8 = 0b1000;

/// Sends the advertisement of a router by the host's only cable (RFC 4861 section 4.2): what it says
/// is how many seconds it is one.
fn advertise(host: &Namespace, lifetime: u16, preference: u8) -> Result<()> {
    let [high, low] = lifetime.to_be_bytes();
    // The kernel fills in the checksum. No hop limit, no times, no options.
    let advertisement = [134, 0, 0, 0, 0, preference, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
    host.run(|| {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        let index = nix::net::if_::if_nametoindex("site0")?;
        socket.set_multicast_if_v6(index)?;
        // Else a host takes it for one from beyond the link.
        socket.set_multicast_hops_v6(255)?;
        let everybody = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0, 0, index);
        socket.send_to(&advertisement, &everybody.into())?;
        Ok(())
    })
}
