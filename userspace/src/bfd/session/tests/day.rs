//! A whole day, over a wire that delays.

use fastrand::Rng;

use super::*;

const HOURS: u32 = 24;

/// Two sessions with this interval, in milliseconds, which may miss three packets, for a day. Each packet is late by
/// nearly two intervals at most, so some are overtaken, and each is just in time.
fn a_day(interval: u64) {
    let mut pair = Pair::up(&settings(interval, interval, 3));
    pair.run(millis(5000));
    let expected = 3_600_000 / interval as usize;
    let changes = pair.changes.len();
    let mut random = Rng::with_seed(interval);
    let latest = interval * 1900;
    for hour in 0..HOURS {
        pair.log.clear();
        pair.run_with(millis(3_600_000), |_| Some(Duration::from_micros(random.u64(0..latest))));
        assert_eq!(pair.changes[changes..], [], "hour {hour}");
        assert!(pair.log.len() >= 2 * expected, "{} packets", pair.log.len());
    }
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn there_is_no_false_alarm_in_a_day_of_100_milliseconds() {
    a_day(100);
}

/// Twenty million packets: for a release build.
#[test]
#[ignore = "it takes minutes"]
fn there_is_no_false_alarm_in_a_day_of_10_milliseconds() {
    a_day(10);
}
