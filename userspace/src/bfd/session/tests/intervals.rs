//! When packets are sent, and how that is agreed upon.

use super::*;

/// Section 6.8.3: what makes packets rarer, or has more of them expected, waits for the other's answer.
#[test]
fn other_intervals_hold_when_they_are_agreed_upon() {
    let mut pair = Pair::up(&settings(20, 40, 3));
    let now = pair.now;
    pair.cut[0] = true;
    pair.ends[0].set_intervals(intervals(80, 10), now);
    pair.run(millis(15));
    assert_eq!(pair.ends[0].transmit_interval(), millis(40));
    assert_eq!(pair.ends[0].detection_time(), millis(120));
    // The other one knows already, and takes its time.
    assert_eq!(pair.ends[1].detection_time(), millis(240));
    pair.cut[0] = false;
    pair.run(millis(500));
    assert_eq!(pair.states(), [State::Up; 2]);
    assert!(pair.changes.is_empty(), "{:?}", pair.changes);
    assert_eq!(pair.ends[0].transmit_interval(), millis(80));
    assert_eq!(pair.ends[1].transmit_interval(), millis(20));
    assert_eq!(pair.ends[0].detection_time(), millis(60));
    let polls = pair.log.iter().filter(|(.., control)| control.poll).count();
    let answers = pair.log.iter().filter(|(.., control)| control.is_final).count();
    assert!(polls >= 1 && answers >= 1, "{polls} polls, {answers} answers");
    assert_eq!(pair.ends[0].poll, Poll::None);
}

/// The answer to the first offer says nothing of the second, nor does one that comes before it was asked for,
/// or may be late.
#[test]
fn an_offer_during_a_poll_has_a_poll_of_its_own() {
    let mut pair = Pair::up(&settings(20, 20, 3));
    let now = pair.now;
    let end = &mut pair.ends[0];
    let asks = |end: &mut Session, at: Instant| {
        let packet = end.transmit(at).expect("there is something to say");
        assert_eq!(end.transmit(at), None);
        Control::parse(&packet).unwrap().0.poll
    };
    let answered = |end: &mut Session, is_final: bool| {
        end.receive(&Control { is_final, ..answer() }.encode(0), now).unwrap();
        end.transmit_interval()
    };
    assert_eq!(answered(end, false), millis(20));
    end.set_intervals(intervals(40, 20), now);
    assert_eq!(answered(end, true), millis(20), "nobody has asked");
    assert!(asks(end, now));
    end.set_intervals(intervals(80, 20), now);
    assert_eq!(answered(end, true), millis(20), "it is of the first offer");
    assert!(!asks(end, now), "another answer to the first may come");
    assert_eq!(answered(end, true), millis(20));
    assert_eq!(answered(end, false), millis(20));
    assert_eq!(end.transmit(now), None, "a poll has no packets beside the timer's");
    let due = end.due();
    assert!(asks(end, due));
    assert_eq!(answered(end, true), millis(80));
}

/// It asks until it has an answer.
#[test]
fn a_poll_goes_on_while_answers_are_lost() {
    let mut pair = Pair::up(&settings(20, 20, 3));
    let now = pair.now;
    pair.ends[0].set_intervals(intervals(40, 20), now);
    let mut lost = 0;
    for _ in 0..4 {
        pair.cut[0] = true;
        pair.run(millis(21));
        lost += pair.log.iter().filter(|(_, to, control)| *to == 0 && control.is_final).count();
        pair.log.clear();
        pair.ends[0].heard = Some(pair.now);
    }
    assert!(lost >= 3, "{lost}");
    assert_eq!(pair.ends[0].transmit_interval(), millis(20));
    pair.cut[0] = false;
    pair.run(millis(500));
    assert_eq!(pair.ends[0].transmit_interval(), millis(40));
}

#[test]
fn packets_are_sent_at_random_times_within_the_bounds() {
    for (detect_mult, most) in [(1, 90), (3, 100)] {
        let mut pair = Pair::up(&settings(100, 100, detect_mult));
        pair.run_with(millis(60_000), |_| Some(Duration::ZERO));
        let to_one: Vec<Instant> = { pair.log.iter() }
            .filter(|(_, to, control)| *to == 1 && !control.is_final)
            .map(|(at, ..)| *at)
            .collect();
        let gaps: Vec<Duration> = to_one.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, greatest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least >= millis(75) && *least < millis(77), "{least:?}");
        assert!(*greatest <= millis(most) && *greatest > millis(most - 2), "{greatest:?}");
    }
}

#[test]
fn who_can_receive_more_gets_more_at_once() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    let end = &mut pair.ends[0];
    let slow = Control { required_min_rx: 1_000_000, is_final: false, ..answer() };
    end.receive(&slow.encode(0), now).unwrap();
    let sent = end.due();
    end.transmit(sent).expect("it is time");
    assert!(end.due() > sent + millis(700), "{:?}", end.due() - sent);
    end.receive(&answer().encode(0), sent).unwrap();
    assert!((sent + millis(15)..=sent + millis(20)).contains(&end.due()));
}

/// Sections 6.8.7 and 6.6: of who can receive none, or has them on demand only.
#[test]
fn who_wants_no_periodic_packets_gets_none() {
    for (required_min_rx, demand) in [(0, false), (10_000, true)] {
        let mut pair = Pair::up(&settings(FAST, FAST, 3));
        let now = pair.now;
        let control = Control {
            poll: true,
            is_final: false,
            demand,
            detect_mult: 255,
            desired_min_tx: 1_000_000,
            required_min_rx,
            ..answer()
        };
        let end = &mut pair.ends[0];
        end.receive(&control.encode(0), now).unwrap();
        assert_eq!(end.deadline(), Some(now));
        let answer = end.transmit(now).expect("a poll is answered all the same");
        assert!(Control::parse(&answer).unwrap().0.is_final);
        assert_eq!(end.transmit(now + millis(60_000)), None);
        assert_eq!(end.deadline(), Some(now + Duration::from_secs(255)));
    }
}

/// Section 6.8.7: nor while a Poll Sequence is still to begin.
#[test]
fn a_poll_that_waits_sends_nothing_to_who_has_packets_on_demand() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    let end = &mut pair.ends[0];
    end.set_intervals(intervals(FAST, 20), now);
    end.transmit(now).expect("it polls");
    end.set_intervals(intervals(FAST, 30), now);
    end.transmit(now).expect("there is something new to say");
    end.receive(&Control { demand: true, ..answer() }.encode(0), now).unwrap();
    assert_eq!((end.poll, end.transmit(now + millis(20))), (Poll::Waiting, None));
    end.receive(&Control { demand: true, is_final: false, ..answer() }.encode(0), now).unwrap();
    let poll = end.transmit(now + millis(20)).expect("it polls");
    assert!(Control::parse(&poll).unwrap().0.poll);
}

/// What somebody wants who is not heard any more does not hold.
#[test]
fn a_wish_for_rare_packets_is_forgotten() {
    for is_down in [false, true] {
        let mut pair = Pair::same(&settings(FAST, FAST, 3));
        let now = pair.now;
        let end = &mut pair.ends[0];
        end.set_admin_down(is_down, now);
        let never = Control {
            state: State::AdminDown,
            is_final: false,
            your_discriminator: 0,
            detect_mult: 1,
            desired_min_tx: 1,
            required_min_rx: u32::MAX,
            ..answer()
        };
        end.receive(&never.encode(0), now).unwrap();
        while end.transmit(now).is_some() {}
        assert!(end.due() > now + millis(1_000_000));
        let gone = now + millis(10);
        end.expire(gone);
        assert!(end.deadline().unwrap() <= now + millis(1000));
    }
}
