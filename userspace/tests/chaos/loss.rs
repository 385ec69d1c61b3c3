//! Uplinks that lose some of what they carry.

use pointsman_lab::{Direction, Impairment};

use crate::ledger::Faults;
use crate::rig::Rig;

/// More keys for `health`: 10 in a hundred are borne, and 40 are too many.
const HEALTH: &str = ", down_after = 100, \
    sla = { window = \"4s\", degraded = { loss = { enter = \"30%\", leave = \"2%\" } } }";

/// Loses a share of what fiber carries to the provider, with a crowd and a transfer on it, while something
/// is seen to hold. The flows stay where they are, and lose nothing else.
fn lose(rig: &Rig, share: f64, what_holds: impl FnOnce(&Rig)) {
    let relay = rig.site.uplinks[0].relay.as_ref().unwrap();
    let (crowd, transfer) = (rig.crowd(), rig.transfer(0));
    crowd.wait_until_answered();
    relay.set(Direction::ToFar, Impairment { loss: share, ..Impairment::default() });
    what_holds(rig);
    // A transfer is slow, but goes on.
    crowd.wait_until_answered();
    relay.set_both(Impairment::default());
    transfer.wait_until_moved();
    let flows = crowd.finish();
    let moved = transfer.finish().unwrap();
    assert!(moved.iter().all(|bytes| *bytes > 0), "{moved:?}");

    let [of_fiber, of_cable] = flows.split_by(rig.public(0));
    of_cable.assert_undisturbed();
    assert!(of_fiber.0.iter().all(|flow| flow.peers.len() == 1), "{of_fiber:?}");
    let [out, back] = [0, 1].map(|way| of_fiber.sum(|flow| flow.lost()[way]));
    assert!(out > 0 && back == 0, "{of_fiber:?}");
}

#[test]
fn ten_in_a_hundred_are_borne_and_forty_keep_new_flows_away() {
    let rig = Rig::impaired(HEALTH, "");
    let before = rig.changes("fiber");
    lose(&rig, 0.1, |rig| {
        rig.wait_for("probes show the loss", |status| {
            let quality = status.uplinks[0].quality.as_ref();
            quality.and_then(|quality| quality.loss).is_some_and(|loss| loss >= 0.05)
        });
        let fresh = rig.fresh(0);
        assert!(fresh.iter().all(|peer| *peer == rig.public(0)), "{fresh:?}");
    });
    assert_eq!(rig.changes("fiber"), before, "{}", rig.daemon.log());

    lose(&rig, 0.4, |rig| {
        rig.wait_for_states("degraded", "up");
        let fresh = rig.fresh(0);
        assert!(fresh.iter().all(|peer| *peer == rig.public(1)), "{fresh:?}");
    });
    rig.wait_for_states("up", "up");
    let fresh = rig.fresh(0);
    assert!(fresh.iter().all(|peer| *peer == rig.public(0)), "{fresh:?}");
    rig.balance(Faults { lossy: true, ..Faults::default() });
}
