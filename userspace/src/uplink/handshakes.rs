//! What the handshakes of the LAN's TCP connections show of an uplink's path.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pointsman_ebpf::abi::{HandshakeCount, HandshakeCounts};

use super::Percentiles;

/// How long handshakes count: those of the latest minute, at least.
const WINDOW: Duration = Duration::from_secs(60);

/// From one count that is kept to the next.
const STEP: Duration = Duration::from_secs(5);

/// The time of an answer to a SYN that was sent again: after this time it is (RFC 6298 section 2), at the earliest.
const LATE: Duration = Duration::from_secs(1);

/// What has been counted of an uplink's handshakes lately.
#[derive(Clone, Debug, Default)]
pub struct Handshakes {
    /// The first is as old as the window, or older.
    counts: VecDeque<(Instant, Box<HandshakeCounts>)>,
}

/// What handshakes have shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandshakeQuality {
    /// How many were looked at: a sample of all.
    pub begun: u64,
    /// How many SYNs of these were sent again.
    pub repeated: u64,
    /// How long the answers took. One to a SYN that was sent again counts for a second, and may have taken longer.
    pub rtt: Option<Percentiles>,
}

impl HandshakeQuality {
    /// The share of the SYNs that were sent again, 0 to 1.
    pub fn repeated_share(&self) -> Option<f64> {
        let sent = self.begun + self.repeated;
        (sent != 0).then(|| self.repeated as f64 / sent as f64)
    }
}

impl Handshakes {
    /// Takes in what has been counted by `now`. To be told about once a second.
    pub fn record(&mut self, counts: &HandshakeCounts, now: Instant) {
        if self.counts.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) < STEP) {
            return;
        }
        // What is before the last one that is old enough.
        while let Some((next, _)) = self.counts.get(1)
            && now.saturating_duration_since(*next) >= WINDOW
        {
            self.counts.pop_front();
        }
        self.counts.push_back((now, Box::new(*counts)));
    }

    /// What has been counted of the latest minute, `counts` being what has been now. `None` where no handshake was
    /// begun or answered.
    pub fn quality(&self, counts: &HandshakeCounts) -> Option<HandshakeQuality> {
        let (_, before) = self.counts.front()?;
        let of = |count: HandshakeCount| {
            let word = count.word();
            counts[word].saturating_sub(before[word])
        };
        let in_time = (0..HandshakeCount::TIMES).map(|index| {
            let time = Duration::from_nanos(HandshakeCount::time(index));
            (time, of(HandshakeCount::answered(index)))
        });
        let late = (LATE, of(HandshakeCount::LATE));
        let mut answered: Vec<(Duration, u64)> = in_time.chain([late]).collect();
        answered.sort_unstable();
        let total: u64 = answered.iter().map(|(_, count)| count).sum();
        let percentile = |percent: u64| {
            let rank = (total * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let (time, _) = answered.iter().find(|(_, count)| {
                seen += count;
                seen >= rank
            })?;
            Some(*time)
        };
        let rtt = percentile(50).zip(percentile(95)).map(|(p50, p95)| Percentiles { p50, p95 });
        let (begun, repeated) = (of(HandshakeCount::BEGUN), of(HandshakeCount::REPEATED));
        (begun + repeated + total != 0).then_some(HandshakeQuality { begun, repeated, rtt })
    }
}

#[cfg(test)]
mod tests {
    use pointsman_ebpf::abi::HANDSHAKE_WORDS;

    use super::*;

    const MS: u64 = 1_000_000;

    fn add(counts: &mut HandshakeCounts, what: HandshakeCount, count: u64) {
        counts[what.word()] += count;
    }

    /// Counts with so many answers of each time, in milliseconds.
    fn answered(counts: &mut HandshakeCounts, answers: &[(u64, u64)]) {
        for (time, count) in answers {
            add(counts, HandshakeCount::BEGUN, *count);
            add(counts, HandshakeCount::answered_after(time * MS), *count);
        }
    }

    fn is_near(time: Duration, milliseconds: u64) -> bool {
        time.abs_diff(Duration::from_millis(milliseconds)) * 100 < 7 * time
    }

    #[test]
    fn percentiles_are_those_of_the_answers() {
        let (mut handshakes, now) = (Handshakes::default(), Instant::now());
        let mut counts = [0; HANDSHAKE_WORDS];
        answered(&mut counts, &[(900, 1000)]);
        handshakes.record(&counts, now);
        assert_eq!(handshakes.quality(&counts), None, "what was before does not count");
        answered(&mut counts, &[(10, 50), (20, 44), (80, 6)]);
        add(&mut counts, HandshakeCount::BEGUN, 4);
        add(&mut counts, HandshakeCount::REPEATED, 8);
        let quality = handshakes.quality(&counts).expect("there were some");
        assert_eq!((quality.begun, quality.repeated), (104, 8));
        let rtt = quality.rtt.expect("there were answers");
        assert!(is_near(rtt.p50, 10) && is_near(rtt.p95, 80), "{rtt:?}");
        let share = quality.repeated_share().expect("some were sent");
        assert!((share - 8.0 / 112.0).abs() < 1e-9);
    }

    #[test]
    fn late_answers_are_among_the_slow_ones() {
        let mut handshakes = Handshakes::default();
        let mut counts = [0; HANDSHAKE_WORDS];
        handshakes.record(&counts, Instant::now());
        answered(&mut counts, &[(30, 90)]);
        add(&mut counts, HandshakeCount::LATE, 10);
        let rtt = handshakes.quality(&counts).and_then(|quality| quality.rtt);
        let rtt = rtt.expect("there were answers");
        assert!(is_near(rtt.p50, 30), "{rtt:?}");
        assert_eq!(rtt.p95, LATE);
    }

    #[test]
    fn without_answers_there_are_no_times() {
        let mut handshakes = Handshakes::default();
        let mut counts = [0; HANDSHAKE_WORDS];
        assert_eq!(handshakes.quality(&counts), None);
        handshakes.record(&counts, Instant::now());
        add(&mut counts, HandshakeCount::BEGUN, 2);
        add(&mut counts, HandshakeCount::REPEATED, 2);
        let quality = handshakes.quality(&counts).expect("there were some");
        assert_eq!((quality.rtt, quality.repeated_share()), (None, Some(0.5)));
    }

    #[test]
    fn those_of_more_than_a_minute_ago_are_forgotten() {
        let (mut handshakes, start) = (Handshakes::default(), Instant::now());
        let mut counts = [0; HANDSHAKE_WORDS];
        for second in 0..600 {
            handshakes.record(&counts, start + Duration::from_secs(second));
            // One each second.
            answered(&mut counts, &[(10, 1)]);
            let begun = handshakes.quality(&counts).expect("there were some").begun;
            assert!((second.min(59) + 1..=second.min(64) + 1).contains(&begun), "{begun}");
            assert!(handshakes.counts.len() <= 14, "{}", handshakes.counts.len());
        }
    }
}
