//! A cable that comes and goes.

use std::thread;
use std::time::Duration;

use crate::ledger::Faults;
use crate::rig::Rig;

/// Each loss adds 1000 to a penalty that hardly decays meanwhile, and from the third on it is above 2500.
const HEALTH: &str = ", dampening = { half_life = \"5m\", suppress = 2500 }";
const LOSSES: usize = 3;

/// How often the cable is cut, and for how long it is as it is.
const CUTS: usize = 12;
const PERIOD: Duration = Duration::from_millis(150);

#[test]
fn a_cable_that_flaps_is_left_alone() {
    let rig = Rig::start(HEALTH, "");
    let before = rig.changes("fiber");
    let traffic = rig.traffic();
    let fiber = &rig.site.uplinks[0];
    // Until the daemon has had enough, it is waited for.
    for _ in 0..LOSSES {
        rig.wait_for_states("up", "up");
        fiber.cut().unwrap();
        rig.wait_for_states("down", "up");
        fiber.restore().unwrap();
    }
    for _ in 0..CUTS {
        fiber.cut().unwrap();
        // The flapping itself: nothing is waited for.
        thread::sleep(PERIOD);
        fiber.restore().unwrap();
        thread::sleep(PERIOD);
    }
    rig.wait_for("it works, and is not believed", |status| {
        let [fiber, cable] = &status.uplinks[..] else { return false };
        fiber.reason.starts_with("dampened: flapped ") && cable.state == "up"
    });
    traffic.wait_until_answered();
    // Down each time, and up again but for the last.
    assert_eq!(rig.changes("fiber") - before, 2 * LOSSES - 1, "{}", rig.daemon.log());
    let (flows, [_, moved]) = traffic.finish();
    moved.unwrap();
    let [_, of_cable] = flows.split_by(rig.public(0));
    of_cable.assert_undisturbed();
    rig.balance(Faults { cut: &[0], lossy: true });
}
