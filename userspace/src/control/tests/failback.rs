use super::*;

const AFTER: Duration = Duration::from_secs(600);
const FIBER: u64 = 1;
const LTE: u64 = 2;

fn wishes(fit: u64, after: Option<Duration>) -> Wishes {
    Wishes { fit, metered: 0, after }
}

fn metered(fit: u64, after: Option<Duration>) -> Wishes {
    Wishes { metered: LTE, ..wishes(fit, after) }
}

/// What is due at the deadline, which is so long after `start`.
#[track_caller]
fn due(failback: &mut Failback, start: Instant, after: Duration) -> Option<Terms> {
    assert_eq!(failback.deadline(), Some(start + after));
    assert_eq!(failback.take_due(start + after - Duration::from_nanos(1)), None);
    let terms = failback.take_due(start + after);
    assert_eq!((failback.deadline(), failback.take_due(start + after)), (None, None));
    terms
}

#[test]
fn an_uplink_that_stays_gets_its_flows_back_once() {
    let start = Instant::now();
    let mut failback = Failback::default();
    failback.observe(wishes(LTE, Some(AFTER)), start);
    assert_eq!(failback.deadline(), None);
    failback.observe(wishes(FIBER | LTE, Some(AFTER)), start);
    failback.observe(wishes(FIBER | LTE, Some(AFTER)), start + AFTER / 2);
    assert_eq!(due(&mut failback, start, AFTER), Some(Terms::GENTLE));
}

#[test]
fn one_that_goes_again_gets_none() {
    let start = Instant::now();
    let mut failback = Failback::default();
    for fit in [LTE, FIBER | LTE, LTE] {
        failback.observe(wishes(fit, Some(AFTER)), start);
    }
    assert_eq!(failback.deadline(), None);
    failback.observe(wishes(FIBER | LTE, Some(AFTER)), start + AFTER);
    assert_eq!(due(&mut failback, start + AFTER, AFTER), Some(Terms::GENTLE));
}

#[test]
fn without_the_key_nothing_is_given_back() {
    let start = Instant::now();
    let mut failback = Failback::default();
    failback.observe(wishes(LTE, None), start);
    failback.observe(wishes(FIBER | LTE, None), start);
    assert_eq!((failback.deadline(), failback.take_due(start + AFTER)), (None, None));
}

/// All that it carries, after half a minute where the group says nothing; of the others nothing then.
#[test]
fn a_metered_uplink_gives_all_back() {
    let entirely = Terms { gently: 0, entirely: LTE };
    let both = Terms { gently: u64::MAX, entirely: LTE };
    for (after, grace, terms) in [(None, METERED_AFTER, entirely), (Some(AFTER), AFTER, both)] {
        let start = Instant::now();
        let mut failback = Failback::default();
        failback.observe(metered(LTE, after), start);
        failback.observe(metered(FIBER | LTE, after), start);
        assert_eq!(due(&mut failback, start, grace), Some(terms));
    }
}

/// That it is back itself is no reason for it to give anything back.
#[test]
fn the_return_of_a_metered_uplink_breaks_nothing() {
    let start = Instant::now();
    let mut failback = Failback::default();
    failback.observe(metered(FIBER, None), start);
    failback.observe(metered(FIBER | LTE, None), start);
    assert_eq!(failback.deadline(), None);
    let mut failback = Failback::default();
    failback.observe(metered(FIBER, Some(AFTER)), start);
    failback.observe(metered(FIBER | LTE, Some(AFTER)), start);
    assert_eq!(due(&mut failback, start, AFTER), Some(Terms::GENTLE));
}

#[test]
fn a_reload_that_asks_for_less_is_heeded() {
    let start = Instant::now();
    let mut failback = Failback::default();
    failback.observe(wishes(LTE, Some(AFTER)), start);
    failback.observe(wishes(FIBER | LTE, Some(AFTER)), start);
    failback.observe(wishes(FIBER | LTE, None), start);
    assert_eq!(failback.deadline(), None);
}
