use super::*;

const A: Option<u8> = Some(0);
const B: Option<u8> = Some(1);
const LOST: Option<u8> = None;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A flow that sends a packet every 2 ms, from 0 on, with what became of each.
fn flow(uplinks: &[Option<u8>]) -> Vec<Packet> {
    let packet = |(index, &uplink)| Packet { sent: ms(2 * index as u64), uplink };
    uplinks.iter().enumerate().map(packet).collect()
}

/// ISP A was cut from 10 ms to 30 ms. Packet 5 is sent at its start, packet 15 at its end.
const CUT: Cut = Cut { uplink: 0, at: Duration::from_millis(10), until: Duration::from_millis(30) };

/// A flow of `runs`: so many packets each.
fn runs(runs: &[(Option<u8>, usize)]) -> Vec<Packet> {
    let uplinks: Vec<_> =
        runs.iter().flat_map(|&(uplink, count)| std::iter::repeat_n(uplink, count)).collect();
    flow(&uplinks)
}

#[test]
fn an_outage_is_from_the_first_unanswered_to_the_next_answered() {
    let flows = [runs(&[(A, 5), (LOST, 3), (B, 12)])];
    let expected = Damage { outage: ms(6), affected: 1, stranded: 0 };
    assert_eq!(damage(&flows, &CUT), expected);
}

#[test]
fn the_outage_is_that_of_the_slowest_flow_of_any_uplink() {
    let flows = [
        runs(&[(A, 5), (LOST, 2), (B, 13)]),
        runs(&[(B, 20)]),
        runs(&[(B, 6), (LOST, 4), (B, 10)]),
        runs(&[(A, 5), (LOST, 1), (B, 14)]),
    ];
    let expected = Damage { outage: ms(8), affected: 2, stranded: 0 };
    assert_eq!(damage(&flows, &CUT), expected);
}

#[test]
fn nothing_lost_is_no_outage() {
    let flows = [runs(&[(A, 5), (B, 15)]), runs(&[(B, 20)])];
    let expected = Damage { affected: 1, ..Damage::default() };
    assert_eq!(damage(&flows, &CUT), expected);
    assert_eq!(damage(&[], &CUT), Damage::default());
    assert_eq!(damage(&[vec![]], &CUT), Damage::default());
}

#[test]
fn a_packet_under_way_when_the_cut_came_counts() {
    let flows = [runs(&[(A, 3), (LOST, 4), (B, 13)])];
    assert_eq!(damage(&flows, &CUT).outage, ms(8));
}

#[test]
fn losses_before_and_after_a_cut_are_not_its_own() {
    let flows = [runs(&[(A, 1), (LOST, 3), (A, 1), (LOST, 1), (B, 10), (LOST, 3), (B, 1)])];
    assert_eq!(damage(&flows, &CUT).outage, ms(2));
    assert_eq!(damage(&flows, &CUT).stranded, 0);
    assert_eq!(lost(&flows), 7);
}

#[test]
fn the_longest_of_several_gaps_counts() {
    let flows = [runs(&[(A, 5), (LOST, 1), (B, 2), (LOST, 4), (B, 1), (LOST, 2), (B, 5)])];
    assert_eq!(damage(&flows, &CUT).outage, ms(8));
}

#[test]
fn a_flow_that_only_mending_brings_back_is_stranded() {
    let expected = Damage { outage: ms(20), affected: 1, stranded: 1 };
    for after in [A, B] {
        let flows = [runs(&[(A, 5), (LOST, 10), (after, 5)])];
        assert_eq!(damage(&flows, &CUT), expected);
    }
    // And one that nothing brings back.
    let flows = [runs(&[(A, 5), (LOST, 15)])];
    assert_eq!(damage(&flows, &CUT), expected);
}

#[test]
fn a_flow_that_recovers_for_a_moment_is_stranded() {
    let flows = [runs(&[(A, 5), (LOST, 1), (B, 1), (LOST, 13)])];
    let damage = damage(&flows, &CUT);
    assert_eq!((damage.outage, damage.stranded), (ms(16), 1));
}

#[test]
fn a_loss_while_the_cut_is_mended_strands_nobody() {
    let flows = [runs(&[(A, 5), (LOST, 3), (B, 6), (LOST, 2), (B, 4)])];
    let damage = damage(&flows, &CUT);
    assert_eq!((damage.outage, damage.stranded), (ms(6), 0));
}

#[test]
fn a_flow_belongs_to_the_uplink_that_it_was_last_seen_on() {
    let flows = [
        runs(&[(A, 2), (B, 18)]),
        runs(&[(B, 2), (A, 3), (B, 15)]),
        runs(&[(A, 2), (LOST, 5), (B, 13)]),
        runs(&[(LOST, 6), (A, 14)]),
    ];
    assert_eq!(damage(&flows, &CUT).affected, 2);
}

#[test]
fn leaving_the_uplink_that_is_cut_is_needed() {
    let flows = [
        runs(&[(A, 5), (LOST, 3), (B, 12)]),
        runs(&[(A, 5), (B, 15)]),
        // Its packet was sent before the cut and arrived after it.
        runs(&[(A, 4), (B, 16)]),
        runs(&[(B, 20)]),
    ];
    assert_eq!(moved_needlessly(&flows, Some(&CUT)), 0);
}

#[test]
fn every_other_move_is_needless() {
    for moved in [
        // To the uplink that is cut.
        runs(&[(B, 6), (A, 14)]),
        // Back.
        runs(&[(A, 5), (LOST, 3), (B, 8), (A, 4)]),
        // Away and back while it is cut.
        runs(&[(B, 6), (A, 2), (B, 12)]),
        // After the cut.
        runs(&[(A, 15), (B, 5)]),
    ] {
        let flows = [moved, runs(&[(B, 20)])];
        assert_eq!(moved_needlessly(&flows, Some(&CUT)), 1, "{:?}", flows[0]);
    }
}

#[test]
fn a_move_long_before_the_cut_is_needless() {
    let cut = Cut { at: ms(10) + IN_FLIGHT, until: ms(30) + IN_FLIGHT, ..CUT };
    assert_eq!(moved_needlessly(&[runs(&[(A, 4), (B, 16)])], Some(&cut)), 1);
    assert_eq!(moved_needlessly(&[runs(&[(A, 5), (B, 15)])], Some(&cut)), 0);
}

#[test]
fn without_a_cut_no_move_is_needed() {
    let flows = [runs(&[(A, 5), (B, 15)]), runs(&[(A, 5), (LOST, 3), (A, 12)])];
    assert_eq!(moved_needlessly(&flows, None), 1);
}

#[test]
fn the_assignment_is_the_first_answer() {
    let flows = [runs(&[(LOST, 2), (A, 1), (B, 1)]), runs(&[(B, 1)]), runs(&[(LOST, 3)]), vec![]];
    assert_eq!(assignment(&flows), [A, B, None, None]);
}

#[test]
fn an_assignment_is_restored_if_everyone_has_the_same_uplink() {
    assert!(is_restored(&[A, B], &[A, B]));
    assert!(!is_restored(&[A, B], &[B, A]));
    assert!(!is_restored(&[A, B], &[A]));
    assert!(!is_restored(&[A, None], &[A, None]));
}
