//! Daemons that end, and others that take over.

use nix::sys::signal::Signal;
use pointsman_lab::BpfFs;

use crate::ledger::Faults;
use crate::rig::Rig;
use crate::support::Daemon;

impl Rig {
    /// Ends the daemon by a signal.
    fn end_daemon(&mut self, signal: Signal) {
        self.signal(signal);
        self.gateway.daemon.process.wait().unwrap();
    }

    /// Starts another one, and waits until it is ready.
    fn start_daemon(&mut self) {
        let file = self.directory.path().join("pointsman.toml");
        self.gateway.daemon = Daemon::start(&self.site.gateway, &file);
    }
}

#[test]
fn packets_go_on_without_a_daemon_and_through_its_return() {
    let bpf = BpfFs::new().unwrap();
    let mut rig = Rig::pinned(&bpf);
    let traffic = rig.traffic();
    let before = rig.status();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        rig.end_daemon(signal);
        traffic.wait_until_answered();
        for transfer in &traffic.transfers {
            transfer.wait_until_moved();
        }
        // New flows are made, and take the uplinks that they took before.
        for uplink in 0..2 {
            let fresh = rig.fresh(uplink);
            assert!(fresh.iter().all(|peer| *peer == rig.public(uplink)), "{fresh:?}");
        }
        rig.start_daemon();
        rig.wait_for_states("up", "up");
        traffic.wait_until_answered();
    }
    let (flows, moved) = traffic.finish();
    for moved in moved {
        moved.unwrap();
    }
    flows.assert_undisturbed();
    for (old, new) in before.uplinks.iter().zip(rig.status().uplinks) {
        assert!(new.out.packets > old.out.packets && new.back.packets > old.back.packets);
    }
    // Over all of the daemons.
    let books = rig.balance(Faults::default());
    assert_eq!(books.dropped() + books.told(), 0, "{books:#?}");
}

#[test]
fn a_daemon_that_cannot_pin_works_and_says_so() {
    let bpf = BpfFs::new().unwrap();
    bpf.set_read_only(true).unwrap();
    let rig = Rig::pinned(&bpf);
    let log = rig.daemon.log();
    assert!(log.contains(&bpf.pins().display().to_string()), "{log}");
    let traffic = rig.traffic();
    let (flows, moved) = traffic.finish();
    for moved in moved {
        moved.unwrap();
    }
    flows.assert_undisturbed();
    rig.balance(Faults::default());
}
