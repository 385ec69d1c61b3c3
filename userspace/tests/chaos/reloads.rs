//! A configuration that is read again and again.

use crate::ledger::Faults;
use crate::rig::{Rig, configured};

#[test]
fn a_hundred_reloads_are_not_noticed() {
    const RELOADS: usize = 100;
    let rig = Rig::start("", "");
    let traffic = rig.traffic();
    let plain = configured(rig.directory.path(), "");
    // Other weights, thresholds and timers, and a forward more.
    let other = configured(rig.directory.path(), ", down_after = 7, hold_down = \"1s\"")
        .replace("weight = 3", "weight = 1")
        + "[timers]\nudp = \"5m\"\n\
           [[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"10.1.0.5:80\"\n";
    for number in 1..=RELOADS {
        rig.reload(if number % 2 == 1 { &other } else { &plain });
        rig.wait_for("the file is read", |_| {
            rig.daemon.log().matches(": read again").count() == number
        });
    }
    traffic.wait_until_answered();
    let (flows, moved) = traffic.finish();
    for moved in moved {
        moved.unwrap();
    }
    flows.assert_undisturbed();
    let books = rig.balance(Faults::default());
    assert_eq!(books.dropped(), 0, "{books:#?}");
}
