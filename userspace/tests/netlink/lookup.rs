//! What the kernel would do with packets.

use std::io;
use std::net::Ipv4Addr;

use anyhow::Result;
use pointsman::netlink::Lookup;
use pointsman_lab::{Cable, CableOptions};

use crate::lab::{FAR, Lab, NEAR};

const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// The second uplink's side of its link.
const NEAR1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const FAR1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// A host with a second uplink, which the kernel has no route by but to its own link.
fn lab() -> Result<(Lab, [u32; 2])> {
    let lab = Lab::new()?;
    let cable = Cable::new(&lab.host, "wan1", &lab.isp, "site1", CableOptions::default())?;
    lab.host.ip(&format!(
        "address add {NEAR1}/24 dev wan1\n\
         route add default via {FAR} dev wan0 metric 100"
    ))?;
    let indices = [lab.index(), cable.near().index()];
    Ok((lab, indices))
}

fn lookup<T: Send>(
    lab: &Lab,
    ask: impl FnOnce(&mut Lookup) -> io::Result<T> + Send,
) -> io::Result<T> {
    lab.host.run(|| ask(&mut Lookup::new().map_err(io::Error::other)?))
}

#[test]
fn a_packet_leaves_by_an_interface_that_a_route_leads_by() -> Result<()> {
    let (lab, [wan0, wan1]) = lab()?;
    lookup(&lab, |lookup| lookup.leaves(wan0, NEAR, BEYOND))?;
    lookup(&lab, |lookup| lookup.leaves(wan1, NEAR1, FAR1))?;
    let error = lookup(&lab, |lookup| lookup.leaves(wan1, NEAR1, BEYOND)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH));
    let error = lookup(&lab, |lookup| lookup.leaves(999, NEAR, BEYOND)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));

    // Whatever others are preferred, and whichever table has it.
    lab.host.ip(&format!("route add default via {FAR1} dev wan1 metric 200"))?;
    lookup(&lab, |lookup| lookup.leaves(wan1, NEAR1, BEYOND))?;
    lab.host.ip(&format!(
        "route del default via {FAR1} dev wan1\n\
         route add default via {FAR1} dev wan1 table 100\n\
         rule add from {NEAR1} lookup 100"
    ))?;
    Ok(lookup(&lab, |lookup| lookup.leaves(wan1, NEAR1, BEYOND))?)
}

#[test]
fn a_packet_arrives_unless_the_reverse_path_filter_is_against_it() -> Result<()> {
    let (lab, [wan0, wan1]) = lab()?;
    let arrives = |interface, own| lookup(&lab, |lookup| lookup.arrives(interface, BEYOND, own));
    arrives(wan1, NEAR1)?;
    for wan in ["wan0", "wan1"] {
        lab.host.sysctl(&format!("net.ipv4.conf.{wan}.rp_filter"), "1")?;
    }
    arrives(wan0, NEAR)?;
    assert!(arrives(wan1, NEAR1).is_err());
    lab.host.sysctl("net.ipv4.conf.wan1.rp_filter", "2")?;
    Ok(arrives(wan1, NEAR1)?)
}

/// The socket is as good as new after an answer that is an error.
#[test]
fn questions_do_not_disturb_each_other() -> Result<()> {
    let (lab, [wan0, wan1]) = lab()?;
    Ok(lookup(&lab, |lookup| {
        for _ in 0..3 {
            lookup.leaves(wan0, NEAR, BEYOND)?;
            assert!(lookup.leaves(wan1, NEAR1, BEYOND).is_err());
            lookup.arrives(wan0, BEYOND, NEAR)?;
        }
        Ok(())
    })?)
}
