//! A daemon that does not run for a while.

use nix::sys::signal::Signal;

use crate::ledger::Faults;
use crate::rig::Rig;

#[test]
fn a_stopped_daemon_is_not_missed() {
    let rig = Rig::start("", "");
    let changes = || ["fiber", "cable"].map(|uplink| rig.changes(uplink));
    let before = changes();
    let traffic = rig.traffic();
    rig.signal(Signal::SIGSTOP);
    traffic.wait_until_answered();
    for transfer in &traffic.transfers {
        transfer.wait_until_moved();
    }
    // New flows are made all the same.
    for uplink in 0..2 {
        let fresh = rig.fresh(uplink);
        assert!(fresh.iter().all(|peer| *peer == rig.public(uplink)), "{fresh:?}");
    }
    traffic.wait_until_answered();
    rig.signal(Signal::SIGCONT);
    rig.wait_for_states("up", "up");
    traffic.wait_until_answered();
    let (flows, moved) = traffic.finish();
    for moved in moved {
        moved.unwrap();
    }
    flows.assert_undisturbed();
    let books = rig.balance(Faults::default());
    assert_eq!(books.dropped(), 0, "{books:#?}");
    assert_eq!(changes(), before, "{}", rig.daemon.log());
}
