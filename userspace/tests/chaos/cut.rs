//! Cables without carrier.

use std::io::ErrorKind;

use pointsman::api::status::Status;

use crate::ledger::Faults;
use crate::rig::Rig;

#[test]
fn a_cut_moves_what_it_must_and_nothing_else() {
    let rig = Rig::start("", "");
    let traffic = rig.traffic();
    let fiber = &rig.site.uplinks[0];
    fiber.cut().unwrap();
    rig.wait_for_states("down", "up");
    traffic.wait_until_answered();
    // To the server, its segments come from somebody else now.
    let (what, kind) = traffic.transfers[0].wait_until_broken();
    assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{what}");
    traffic.transfers[1].wait_until_moved();
    fiber.restore().unwrap();
    rig.wait_for_states("up", "up");
    traffic.wait_until_answered();
    let (flows, [_, moved]) = traffic.finish();
    moved.unwrap();

    let (was, is) = (rig.public(0), rig.public(1));
    let [of_fiber, of_cable] = flows.split_by(was);
    of_cable.assert_undisturbed();
    for flow in &of_fiber.0 {
        // They are where they were moved to, though their uplink is back.
        assert!(flow.peers.iter().map(|peer| *peer.ip()).eq([was, is]), "{of_fiber:?}");
    }
    rig.balance(Faults { cut: &[0], lossy: true });
}

/// With UDP alone, every datagram that was sent is forwarded, or its sender told that nobody can.
#[test]
fn both_uplinks_go_at_once_and_return() {
    let rig = Rig::start("", "");
    let crowd = rig.crowd();
    crowd.wait_until_answered();
    for uplink in &rig.site.uplinks {
        uplink.cut().unwrap();
    }
    rig.wait_for_states("down", "down");
    let told = |status: &Status| status.answered["no_uplink"].packets + dropped(status);
    let before = told(&rig.status());
    rig.wait_for("packets have no uplink", |status| told(status) > before);
    for uplink in &rig.site.uplinks {
        uplink.restore().unwrap();
    }
    rig.wait_for_states("up", "up");
    crowd.wait_until_answered();
    let flows = crowd.finish();
    let books = rig.balance(Faults { cut: &[0, 1], lossy: true });
    let mut reasons = books.drops.keys().chain(books.answered.keys());
    assert!(reasons.all(|reason| reason == "no_uplink"), "{books:#?}");
    let taken = books.forwarded_out() + books.dropped() + books.told();
    assert_eq!(flows.sum(|flow| flow.sent), taken + books.unsent, "{books:#?}");
    assert_eq!(flows.sum(|flow| flow.out.count()), books.server, "{books:#?}");
    assert_eq!(flows.sum(|flow| flow.back.count()), books.forwarded_back(), "{books:#?}");
}

fn dropped(status: &Status) -> u64 {
    status.drops["no_uplink"].packets
}
