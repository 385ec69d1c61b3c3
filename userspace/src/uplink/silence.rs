//! What traffic shows of an uplink by itself: that it sends, and that nothing comes back.

use std::fmt;
use std::time::{Duration, Instant};

use humantime::format_duration;

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

/// What becomes of an uplink that sends and gets nothing, where no probe says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing.
    Ignored,
    /// It is probed more often: somebody may send who wants no answer.
    Probed,
    /// It is down for this long, or until what it sends all the same, as the last resort, is answered. Then it is on
    /// trial again.
    Believed(Duration),
}

impl Listening {
    /// Whether silence takes the uplink down.
    pub fn acts(&self) -> bool {
        matches!(self.action, Suspicion::Believed(_))
    }

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

/// What was sent since something has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// How many packets.
    pub packets: u64,
    /// For how long.
    pub time: Duration,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In whole seconds, but for less than that.
        let millis = self.time.as_millis() as u64;
        let time = if millis < 1000 { millis } else { millis / 1000 * 1000 };
        let time = format_duration(Duration::from_millis(time));
        write!(f, "{} packets sent in {time}, and none received", self.packets)
    }
}

/// Whether an uplink is silent.
#[derive(Clone, Debug, Default)]
pub struct Silence {
    /// What was counted last.
    known: Option<Carried>,
    quiet: Option<Quiet>,
    /// What it is believed to be down for.
    down: Option<Down>,
    /// When the latest probe was sent that was answered from beyond the link.
    answered: Option<Instant>,
}

/// What was sent since something came in.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    first: Instant,
    last: Instant,
    packets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    silent: Silent,
    /// When the first packet was sent that nobody answered.
    first: Instant,
    since: Instant,
    /// Whether something has been sent since.
    is_used: bool,
}

impl Silence {
    /// Takes in what has been counted by `now`. To be told several times in a window.
    pub fn observe(&mut self, rules: &Listening, carried: Carried, now: Instant) {
        let Some(known) = self.known.replace(carried) else { return };
        let sent = carried.sent.saturating_sub(known.sent);
        let has_received = carried.received != known.received;
        self.down = self.down.filter(|down| {
            let Suspicion::Believed(retry) = rules.action else { return false };
            // What comes to one that sends nothing, such as what servers repeat, answers nothing.
            now.saturating_duration_since(down.since) < retry && !(has_received && down.is_used)
        });
        match &mut self.down {
            Some(down) => {
                down.is_used |= sent > 0;
                // What was sent by then says nothing of how it is on trial.
                self.quiet = None;
            }
            None => self.listen(rules, (sent, has_received), now),
        }
    }

    fn listen(&mut self, rules: &Listening, (sent, has_received): (u64, bool), now: Instant) {
        if has_received {
            self.quiet = None;
        } else if sent > 0 {
            let quiet = self.quiet.get_or_insert(Quiet { first: now, last: now, packets: 0 });
            quiet.last = now;
            quiet.packets = quiet.packets.saturating_add(sent);
        } else if self.quiet.is_some_and(|quiet| now - quiet.last >= rules.window) {
            // Who has stopped to send expects nothing.
            self.quiet = None;
        }
        if let (Suspicion::Believed(_), Some(silent), Some(quiet)) =
            (rules.action, self.suspicion(rules, now), self.quiet)
        {
            self.down = Some(Down { silent, first: quiet.first, since: now, is_used: false });
        }
    }

    /// Takes in that a probe was answered that was sent then, by somebody beyond the link: packets get through.
    pub fn answered(&mut self, sent_at: Instant) {
        self.answered = self.answered.max(Some(sent_at));
        self.down = self.down.filter(|down| sent_at < down.first);
    }

    /// Takes in that such a probe was lost: what was answered before holds no longer, but from then on the window counts.
    pub fn lost(&mut self, sent_at: Instant) {
        if let Some(answered) = self.answered.take_if(|answered| *answered < sent_at)
            && let Some(quiet) = &mut self.quiet
        {
            quiet.first = quiet.first.max(answered);
        }
    }

    /// What makes it suspect at `now`, if something does.
    pub fn suspicion(&self, rules: &Listening, now: Instant) -> Option<Silent> {
        if rules.action == Suspicion::Ignored {
            return None;
        }
        if let Some(down) = &self.down {
            return Some(down.silent);
        }
        let enough = self.quiet.filter(|quiet| quiet.packets >= rules.packets);
        let quiet = enough.filter(|quiet| self.answered < Some(quiet.first))?;
        let time = now.saturating_duration_since(quiet.first);
        (time >= rules.window).then_some(Silent { packets: quiet.packets, time })
    }

    /// What it is believed to be down for, if it is.
    pub fn verdict(&self) -> Option<Silent> {
        self.down.map(|down| down.silent)
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
    fn it_is_down_for_a_while_or_until_it_is_answered() {
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
        // What servers repeat is no answer to anything.
        lab.pass(0, 1);
        assert_eq!(lab.silence.verdict(), Some(silent));
        // Here it is.
        lab.pass(1, 0);
        lab.pass(0, 1);
        assert_eq!(lab.silence.verdict(), None);
    }

    #[test]
    fn what_a_probe_says_counts_for_more() {
        let mut lab = Lab::new(BELIEVED);
        lab.silence.answered(lab.now);
        lab.passes(20, 3, 0);
        lab.silence.answered(lab.now - RULES.window + STEP);
        lab.passes(100, 3, 0);
        assert_eq!((lab.suspicion(), lab.silence.verdict()), (None, None));
        lab.pass(3, 1);
        lab.passes(20, 3, 0);
        assert_eq!(lab.silence.verdict(), None);
        lab.pass(3, 0);
        assert!(lab.silence.verdict().is_some(), "the probe was of before");
        // One that comes late speaks for it all the same.
        lab.silence.answered(lab.now);
        assert_eq!(lab.silence.verdict(), None);
    }

    #[test]
    fn what_a_probe_says_holds_until_one_is_lost() {
        let mut lab = Lab::new(BELIEVED);
        lab.pass(3, 0);
        lab.silence.answered(lab.now);
        lab.passes(50, 3, 0);
        assert_eq!((lab.suspicion(), lab.silence.verdict()), (None, None));
        let answered = lab.now;
        lab.silence.answered(answered);
        lab.silence.lost(answered - STEP);
        lab.passes(5, 3, 0);
        assert_eq!(lab.suspicion(), None, "that was before");
        lab.silence.lost(lab.now);
        lab.passes(14, 3, 0);
        assert_eq!(lab.suspicion(), None, "not for the whole window yet");
        lab.pass(3, 0);
        assert_eq!(lab.now - answered, RULES.window);
        assert!(lab.silence.verdict().is_some());
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
        lab.passes(50, 0, 0);
        lab.rules.action = Suspicion::Believed(Duration::from_secs(5));
        lab.pass(0, 0);
        assert_eq!(lab.silence.verdict(), None);
        lab.passes(21, 3, 0);
        assert!(lab.silence.verdict().is_some());
        lab.rules = RULES;
        lab.pass(0, 0);
        assert_eq!((lab.silence.verdict(), lab.suspicion().is_some()), (None, true));
        lab.rules = Listening::NEVER;
        lab.pass(3, 0);
        assert_eq!((lab.silence.verdict(), lab.suspicion()), (None, None));
    }

    #[test]
    fn it_reads_as_a_sentence_does() {
        for (millis, words) in [
            (600, "12 packets sent in 600ms, and none received"),
            (2100, "12 packets sent in 2s, and none received"),
        ] {
            let silent = Silent { packets: 12, time: Duration::from_millis(millis) };
            assert_eq!(silent.to_string(), words);
        }
    }
}
