//! More notifications of the kernel's than the daemon's socket has room for.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::ledger::Faults;
use crate::rig::Rig;

/// Neighbours that come and go: notifications that take more than the daemon's buffer.
const NEIGHBOURS: u32 = 16_000;

#[test]
fn what_the_kernel_could_not_tell_is_found_out() {
    const OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
    let rig = Rig::start("", "");
    let before = rig.public(1);
    let traffic = rig.traffic();
    rig.signal(Signal::SIGSTOP);
    let mut batch = String::new();
    for verb in ["add", "del"] {
        for number in 0..NEIGHBOURS {
            let address = Ipv4Addr::from(0x0a01_8000 + number);
            let mac = "lladdr 02:00:00:00:99:99 nud permanent";
            writeln!(batch, "neighbour {verb} {address} {mac} dev lan0").unwrap();
        }
    }
    // This is what it must not miss. With its last address, the interface loses its routes.
    let router = rig.site.uplinks[1].isp_address;
    write!(
        batch,
        "address del {before}/24 dev wan1\n\
         address add {OTHER}/24 dev wan1\n\
         route add default via {router} dev wan1 metric 101"
    )
    .unwrap();
    rig.site.gateway.ip(&batch).unwrap();
    traffic.streams[0].wait_until_answered();
    rig.signal(Signal::SIGCONT);
    rig.wait_for("cable is up with its new address", |status| {
        status.uplinks[1].address == Some(OTHER) && status.uplinks[1].state == "up"
    });
    let log = rig.daemon.log();
    assert!(log.contains("the kernel has thrown notifications away"), "{log}");
    traffic.wait_until_answered();
    let fresh = rig.fresh(1);
    assert!(fresh.iter().all(|peer| *peer == OTHER), "{fresh:?}");
    let (flows, [moved, _]) = traffic.finish();
    moved.unwrap();
    let [of_cable, of_fiber] = flows.split_by(before);
    of_fiber.assert_undisturbed();
    assert!(of_cable.0.iter().all(|flow| flow.peers.len() == 2), "{of_cable:?}");
    rig.balance(Faults { lossy: true, ..Faults::default() });
}
