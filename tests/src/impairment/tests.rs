use super::*;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A direction, and a clock that stands still unless it is moved.
struct Line {
    impairer: Impairer,
    now: Instant,
}

impl Line {
    fn new(seed: u64, impairment: Impairment) -> Self {
        let mut impairer = Impairer::new(seed);
        impairer.set(impairment);
        Self { impairer, now: Instant::now() }
    }

    fn send(&mut self, numbers: impl IntoIterator<Item = u16>) {
        for number in numbers {
            self.impairer.send(&number.to_be_bytes(), self.now);
        }
    }

    /// What has arrived after so much more time.
    fn receive_after(&mut self, time: Duration) -> Vec<u16> {
        self.now += time;
        let mut numbers = Vec::new();
        while let Some(frame) = self.impairer.receive(self.now) {
            numbers.push(u16::from_be_bytes(frame.try_into().unwrap()));
        }
        numbers
    }
}

/// What arrives of a thousand frames, in whatever time it takes.
fn arrivals(seed: u64, impairment: Impairment) -> Vec<u16> {
    let mut line = Line::new(seed, impairment);
    line.send(0..1000);
    line.receive_after(HOUR)
}

#[test]
fn without_an_impairment_everything_arrives_at_once_and_in_order() {
    let mut line = Line::new(1, Impairment::default());
    line.send(0..1000);
    assert_eq!(line.receive_after(Duration::ZERO), (0..1000).collect::<Vec<_>>());
    assert_eq!(line.impairer.deadline(), None);
}

#[test]
fn about_the_given_share_is_lost_and_the_seed_decides_which() {
    let loss = Impairment { loss: 0.3, ..Impairment::default() };
    let some = arrivals(1, loss);
    assert!((650..750).contains(&some.len()), "{} arrived", some.len());
    assert!(some.is_sorted());
    assert_eq!(arrivals(1, loss), some);
    assert_ne!(arrivals(2, loss), some);
    assert!(arrivals(1, Impairment { loss: 1.0, ..loss }).is_empty());
}

#[test]
fn about_the_given_share_arrives_twice_in_a_row() {
    let duplicate = Impairment { duplicate: 0.2, ..Impairment::default() };
    let some = arrivals(1, duplicate);
    assert!((1150..1250).contains(&some.len()), "{} arrived", some.len());
    assert!(some.is_sorted());
    let all = arrivals(1, Impairment { duplicate: 1.0, ..duplicate });
    assert_eq!(all, (0..1000).flat_map(|number| [number; 2]).collect::<Vec<_>>());
}

#[test]
fn a_delayed_frame_arrives_when_it_is_due_and_not_before() {
    let mut line = Line::new(1, Impairment { delay: 20 * MS, ..Impairment::default() });
    line.send([7]);
    assert_eq!(line.impairer.deadline(), Some(line.now + 20 * MS));
    assert!(line.receive_after(19 * MS).is_empty());
    line.send([8]);
    assert_eq!(line.receive_after(MS), [7]);
    assert_eq!(line.impairer.deadline(), Some(line.now + 19 * MS));
    assert_eq!(line.receive_after(19 * MS), [8]);
}

#[test]
fn jitter_is_within_its_bound_and_changes_no_order() {
    let jitter = Impairment { delay: 10 * MS, jitter: 5 * MS, ..Impairment::default() };
    let mut line = Line::new(1, jitter);
    let mut before = 0;
    for number in 0..100 {
        line.send([number]);
        assert!(line.receive_after(10 * MS - Duration::from_nanos(1)).is_empty());
        before += line.receive_after(3 * MS).len();
        line.receive_after(2 * MS);
        assert_eq!(line.impairer.deadline(), None, "frame {number} takes too long");
    }
    assert!((40..80).contains(&before), "{before} of 100 were late by less than 3 ms of 5");
    assert_eq!(arrivals(1, jitter), (0..1000).collect::<Vec<_>>());
}

#[test]
fn some_frames_overtake_those_that_are_delayed() {
    let reorder = Impairment { delay: 10 * MS, reorder: 0.1, ..Impairment::default() };
    let mut line = Line::new(1, reorder);
    line.send(0..1000);
    let first = line.receive_after(Duration::ZERO);
    assert!((70..130).contains(&first.len()), "{} overtook", first.len());
    let rest = line.receive_after(10 * MS);
    assert_eq!(first.len() + rest.len(), 1000);
    assert!(first.is_sorted() && rest.is_sorted());
    // Without a delay there is nothing to overtake.
    let at_once = arrivals(1, Impairment { delay: Duration::ZERO, ..reorder });
    assert!(at_once.is_sorted() && at_once.len() == 1000);
}

#[test]
fn a_blackhole_swallows_what_comes_and_what_is_under_way() {
    let slow = Impairment { delay: 10 * MS, ..Impairment::default() };
    let mut line = Line::new(1, slow);
    line.send([1]);
    line.impairer.set(Impairment::BLACKHOLE);
    line.send([2]);
    line.impairer.set(Impairment::default());
    line.send([3]);
    assert_eq!(line.receive_after(HOUR), [3]);
}

#[test]
fn a_shorter_delay_overtakes_nothing() {
    let mut line = Line::new(1, Impairment { delay: 10 * MS, ..Impairment::default() });
    line.send([1]);
    line.impairer.set(Impairment::default());
    line.send([2]);
    assert!(line.receive_after(Duration::ZERO).is_empty());
    assert_eq!(line.receive_after(10 * MS), [1, 2]);
}

#[test]
fn what_became_of_earlier_frames_does_not_change_what_becomes_of_a_frame() {
    let loss = Impairment { loss: 0.5, ..Impairment::default() };
    let from_500 = |before: Impairment| {
        let mut line = Line::new(1, before);
        line.send(0..500);
        line.receive_after(HOUR);
        line.impairer.set(loss);
        line.send(500..1000);
        line.receive_after(HOUR)
    };
    let expected: Vec<_> = arrivals(1, loss).into_iter().filter(|number| *number >= 500).collect();
    let all =
        Impairment { delay: MS, jitter: MS, reorder: 0.5, duplicate: 0.5, ..Impairment::default() };
    assert_eq!(from_500(Impairment::default()), expected);
    assert_eq!(from_500(Impairment::BLACKHOLE), expected);
    assert_eq!(from_500(all), expected);
}
