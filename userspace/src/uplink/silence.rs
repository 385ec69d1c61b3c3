//! What traffic shows of an uplink by itself: that it sends, and that nothing comes back.

use std::time::{Duration, Instant};

/// When an uplink's silence is remarkable, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// For how long it has to send, and get nothing.
    pub window: Duration,
    /// How many packets it has to send meanwhile, at least.
    pub packets: u64,
    /// What follows from that.
    pub action: Suspicion,
}

/// What becomes of an uplink that sends and gets nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing.
    #[default]
    Ignored,
    /// It is probed more often: somebody may send who wants no answer.
    Probed,
    /// It is down, until something comes in by it, or else for this long. Then it is on trial again.
    Believed(Duration),
}

impl Listening {
    /// To nothing.
    pub const NEVER: Self =
        Self { window: Duration::MAX, packets: u64::MAX, action: Suspicion::Ignored };
}

/// How many packets have been forwarded through an uplink so far, out and in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the LAN.
    pub sent: u64,
    /// To the LAN.
    pub received: u64,
}

/// Since when nothing has come in, and what was sent since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// How many packets were sent.
    pub packets: u64,
    /// How long after the first of them it was noticed.
    pub time: Duration,
}

/// Whether an uplink is silent.
#[derive(Clone, Debug, Default)]
pub struct Silence {
    /// What was counted last.
    known: Option<Carried>,
    quiet: Option<Quiet>,
    /// What it is believed to be down for, and how long.
    down: Option<(Silent, Instant)>,
}

/// What was sent since something came in.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    first: Instant,
    last: Instant,
    packets: u64,
}

impl Silence {
    /// Takes in what has been counted by `now`. To be told several times in a window.
    pub fn observe(&mut self, rules: &Listening, carried: Carried, now: Instant) {
        let Some(known) = self.known.replace(carried) else { return };
        let sent = carried.sent.saturating_sub(known.sent);
        if carried.received != known.received || rules.action == Suspicion::Ignored {
            (self.quiet, self.down) = (None, None);
            return;
        }
        if self.down.is_some_and(|(_, until)| until <= now) {
            // What was sent before says nothing of how it is now.
            (self.quiet, self.down) = (None, None);
        }
        if sent > 0 {
            let quiet = self.quiet.get_or_insert(Quiet { first: now, last: now, packets: 0 });
            quiet.last = now;
            quiet.packets = quiet.packets.saturating_add(sent);
        } else if self.quiet.is_some_and(|quiet| now - quiet.last >= rules.window) {
            // Who has stopped to send expects nothing.
            self.quiet = None;
        }
        match (rules.action, self.suspicion(rules, now)) {
            (Suspicion::Believed(time), Some(silent)) if self.down.is_none() => {
                self.down = Some((silent, now + time));
            }
            (Suspicion::Believed(_), _) => {}
            _ => self.down = None,
        }
    }

    /// What makes it suspect at `now`, if something does.
    pub fn suspicion(&self, rules: &Listening, now: Instant) -> Option<Silent> {
        let quiet = self.quiet.filter(|quiet| quiet.packets >= rules.packets)?;
        let time = now.saturating_duration_since(quiet.first);
        (time >= rules.window).then_some(Silent { packets: quiet.packets, time })
    }

    /// What it is believed to be down for, if it is.
    pub fn verdict(&self) -> Option<Silent> {
        self.down.map(|(silent, _)| silent)
    }

    /// Forgets what was sent: it is no wonder that nothing came back.
    pub fn excuse(&mut self) {
        self.quiet = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);
    const RULES: Listening =
        Listening { window: Duration::from_secs(2), packets: 10, action: Suspicion::Probed };
    const RETRY: Duration = Duration::from_secs(30);
    const BELIEVED: Listening = Listening { action: Suspicion::Believed(RETRY), ..RULES };

    struct Lab {
        rules: Listening,
        silence: Silence,
        carried: Carried,
        now: Instant,
    }

    impl Lab {
        fn new(rules: Listening) -> Self {
            let mut lab = Self {
                rules,
                silence: Silence::default(),
                // Of before the daemon looked.
                carried: Carried { sent: 1000, received: 7 },
                now: Instant::now(),
            };
            lab.silence.observe(&rules, lab.carried, lab.now);
            lab
        }

        /// So many packets each way, and a step.
        fn pass(&mut self, sent: u64, received: u64) {
            self.now += STEP;
            self.carried.sent += sent;
            self.carried.received += received;
            self.silence.observe(&self.rules, self.carried, self.now);
        }

        fn passes(&mut self, steps: u32, sent: u64, received: u64) {
            (0..steps).for_each(|_| self.pass(sent, received));
        }

        fn suspicion(&self) -> Option<Silent> {
            self.silence.suspicion(&self.rules, self.now)
        }
    }

    #[test]
    fn who_sends_and_gets_nothing_for_the_window_is_suspect() {
        let mut lab = Lab::new(RULES);
        lab.passes(20, 3, 0);
        assert_eq!(lab.suspicion(), None, "not for the whole window yet");
        lab.pass(3, 0);
        assert_eq!(lab.suspicion(), Some(Silent { packets: 63, time: RULES.window }));
        assert_eq!(lab.silence.verdict(), None);
        // One packet is enough.
        lab.pass(3, 1);
        assert_eq!(lab.suspicion(), None);
        lab.passes(20, 3, 0);
        assert_eq!(lab.suspicion(), None);
        lab.pass(3, 0);
        assert!(lab.suspicion().is_some());
    }

    #[test]
    fn answers_keep_it_beyond_suspicion() {
        let mut lab = Lab::new(BELIEVED);
        for _ in 0..100 {
            lab.passes(19, 100, 0);
            lab.pass(0, 1);
            assert_eq!((lab.suspicion(), lab.silence.verdict()), (None, None));
        }
    }

    #[test]
    fn few_packets_say_nothing() {
        let mut lab = Lab::new(RULES);
        for packets in 1..10 {
            lab.pass(1, 0);
            lab.passes(10, 0, 0);
            assert_eq!(lab.suspicion(), None, "{packets} packets");
        }
        lab.pass(1, 0);
        assert_eq!(lab.suspicion().map(|silent| silent.packets), Some(10));
    }

    #[test]
    fn who_has_stopped_sending_expects_nothing() {
        let mut lab = Lab::new(RULES);
        lab.passes(21, 3, 0);
        assert!(lab.suspicion().is_some());
        lab.passes(19, 0, 0);
        assert!(lab.suspicion().is_some());
        lab.pass(0, 0);
        assert_eq!(lab.suspicion(), None);
        // Nor is what was sent long ago added to what is sent now.
        lab.passes(20, 3, 0);
        assert_eq!(lab.suspicion(), None);
    }

    #[test]
    fn it_is_down_until_something_comes_or_for_a_while() {
        let mut lab = Lab::new(BELIEVED);
        lab.passes(21, 3, 0);
        let silent = Silent { packets: 63, time: RULES.window };
        assert_eq!(lab.silence.verdict(), Some(silent));
        let until = lab.now + RETRY;
        // Its flows have gone elsewhere.
        lab.passes(299, 0, 0);
        assert_eq!(lab.silence.verdict(), Some(silent), "it stays what it was for");
        lab.pass(0, 0);
        assert_eq!((lab.now, lab.silence.verdict()), (until, None));
        // On trial, it has the whole window again.
        lab.passes(20, 3, 0);
        assert_eq!(lab.silence.verdict(), None);
        lab.pass(3, 0);
        assert_eq!(lab.silence.verdict(), Some(silent));
        lab.pass(0, 1);
        assert_eq!(lab.silence.verdict(), None);
    }

    #[test]
    fn also_as_the_last_resort_it_is_on_trial_again() {
        let mut lab = Lab::new(BELIEVED);
        lab.passes(21, 3, 0);
        lab.passes(299, 3, 0);
        assert!(lab.silence.verdict().is_some());
        lab.pass(3, 0);
        assert_eq!(lab.silence.verdict(), None);
        lab.passes(20, 3, 0);
        assert!(lab.silence.verdict().is_some());
    }

    #[test]
    fn other_rules_hold_at_once() {
        let mut lab = Lab::new(BELIEVED);
        lab.passes(21, 3, 0);
        assert!(lab.silence.verdict().is_some());
        lab.rules = RULES;
        lab.pass(3, 0);
        assert_eq!((lab.silence.verdict(), lab.suspicion().is_some()), (None, true));
        lab.rules = Listening::NEVER;
        lab.pass(3, 0);
        assert_eq!((lab.silence.verdict(), lab.suspicion()), (None, None));
    }

    #[test]
    fn what_cannot_get_through_is_excused() {
        let mut lab = Lab::new(RULES);
        lab.passes(20, 3, 0);
        lab.silence.excuse();
        lab.passes(20, 3, 0);
        assert_eq!(lab.suspicion(), None);
    }
}
