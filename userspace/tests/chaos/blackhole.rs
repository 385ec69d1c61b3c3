//! Uplinks that have a carrier and carry nothing.

use pointsman_lab::{Direction, Impairment};

use crate::flows::Passages;
use crate::ledger::{Books, Faults, Ledger};
use crate::rig::Rig;

/// What the flows of fiber go through while it carries nothing in these directions, and is mended. Every
/// datagram is accounted for, and those of cable notice nothing.
fn go_through(rig: &Rig, directions: &[Direction]) -> (Passages, Books) {
    let relay = rig.site.uplinks[0].relay.as_ref().unwrap();
    let ledger = Ledger::open(&rig.gateway);
    let crowd = rig.crowd();
    crowd.wait_until_answered();
    for direction in directions {
        relay.set(*direction, Impairment::BLACKHOLE);
    }
    rig.wait_for_states("down", "up");
    crowd.wait_until_answered();
    relay.set_both(Impairment::default());
    rig.wait_for_states("up", "up");
    crowd.wait_until_answered();
    let flows = crowd.finish();

    let books = ledger.close(&rig.gateway, Faults { lossy: true, ..Faults::default() });
    assert_eq!(flows.sum(|flow| flow.sent), books.forwarded_out() + books.unsent, "{flows:?}");
    assert_eq!(flows.sum(|flow| flow.out.count()), books.server, "{flows:?}");
    assert_eq!(flows.sum(|flow| flow.back.count()), books.forwarded_back(), "{flows:?}");
    let [of_fiber, of_cable] = flows.split_by(rig.public(0));
    of_cable.assert_undisturbed();
    for flow in &of_fiber.0 {
        let peers = flow.peers.iter().map(|peer| *peer.ip());
        assert!(peers.eq([rig.public(0), rig.public(1)]), "{of_fiber:?}");
    }
    (of_fiber, books)
}

#[test]
fn flows_leave_an_uplink_that_is_silent_one_way_or_both() {
    let rig = Rig::impaired("", "");
    for directions in
        [&[Direction::ToFar][..], &[Direction::ToNear], &[Direction::ToFar, Direction::ToNear]]
    {
        let (flows, books) = go_through(&rig, directions);
        let lost = [0, 1].map(|way| flows.sum(|flow| flow.lost()[way]));
        // On the way there, nothing is lost that the gateway has not sent.
        assert_eq!(lost[0], books.forwarded_out() + books.unsent - books.server, "{flows:?}");
        let is_lossy = [Direction::ToFar, Direction::ToNear].map(|way| directions.contains(&way));
        match is_lossy {
            // Answers may be under way when nothing goes there any more, too.
            [true, true] => assert!(lost[0] > 0, "{flows:?}"),
            _ => assert_eq!(lost.map(|lost| lost > 0), is_lossy, "{flows:?}"),
        }
    }
    rig.balance(Faults { lossy: true, ..Faults::default() });
}
