use super::{MAX_UPLINKS, SharedU64, assert_layout};

/// Which uplinks may send: what the daemon says, and until when somebody beyond them was heard. 536 bytes,
/// shared with the daemon through memory. All times are nanoseconds of the monotonic clock.
///
/// What a packet needs is in the first three words. The deadlines are only looked at when the scheduler's tick
/// has gone on since, so that a packet pays for no clock; an uplink is dead a tick after its deadline at
/// the latest, and never before it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Switch<W = u64> {
    /// The uplinks that are alive, a bit each: the daemon's word. One store to it is the failover.
    alive: W,
    /// Those whose deadline had passed when it was last looked at.
    late: W,
    /// The scheduler's tick at which that was.
    looked: W,
    /// By uplink: when it is dead unless somebody is heard before.
    deadlines: [W; MAX_UPLINKS],
}

assert_layout!(Switch, size 536, align 8, alive: 8, late: 8, looked: 8, deadlines: 512);

/// The deadline of an uplink that nobody is listened to by.
pub const NO_DEADLINE: u64 = i64::MAX as u64;

impl Default for Switch<SharedU64> {
    fn default() -> Self {
        Self::new()
    }
}

impl Switch<SharedU64> {
    /// Nobody is alive, and nobody has a deadline.
    pub const fn new() -> Self {
        Self {
            alive: SharedU64::new(0),
            late: SharedU64::new(0),
            looked: SharedU64::new(u64::MAX),
            deadlines: [const { SharedU64::new(NO_DEADLINE) }; MAX_UPLINKS],
        }
    }

    /// A copy, as it is now.
    pub fn copy(&self) -> Switch {
        Switch {
            alive: self.alive.load(),
            late: self.late.load(),
            looked: self.looked.load(),
            deadlines: self.deadlines.each_ref().map(SharedU64::load),
        }
    }

    /// Whether the deadlines are to be looked at, by [`Self::look`], before [`Self::alive`] is asked.
    #[inline(always)]
    pub fn is_due(&self, tick: u64) -> bool {
        self.looked.load() != tick
    }

    /// Finds out which deadlines have passed.
    #[inline(always)]
    pub fn look(&self, tick: u64, now: u64) {
        let mut late = 0;
        for (uplink, deadline) in self.deadlines.iter().enumerate() {
            // Without a branch, or the verifier would follow each uplink's both ways.
            late |= (deadline.load().wrapping_sub(now.wrapping_add(1)) >> 63) << uplink;
        }
        self.late.store(late);
        self.looked.store(tick);
    }

    /// The uplinks that may send, a bit each. Where all that the daemon holds for alive are late, none is taken
    /// for dead: either nothing helps, or it is the daemon that nobody hears.
    #[inline(always)]
    pub fn alive(&self) -> u64 {
        let alive = self.alive.load();
        let on_time = alive & !self.late.load();
        if on_time == 0 { alive } else { on_time }
    }

    /// The daemon's word. What was written before is there for who sees it.
    pub fn set_alive(&self, alive: u64) {
        self.alive.release(alive);
    }
}

impl<W> Switch<W> {
    /// When this uplink is dead unless somebody is heard before.
    #[inline(always)]
    pub fn deadline(&self, uplink: u8) -> Option<&W> {
        self.deadlines.get(usize::from(uplink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 1;

    fn with_deadlines(deadlines: &[(u8, u64)]) -> Switch<SharedU64> {
        let switch = Switch::new();
        switch.set_alive(0b111);
        for (uplink, deadline) in deadlines {
            switch.deadline(*uplink).unwrap().store(*deadline);
        }
        switch
    }

    #[test]
    fn an_uplink_is_dead_from_its_deadline_on_and_not_before() {
        for (now, alive) in [(99, 0b111), (100, 0b101), (u64::MAX >> 2, 0b101)] {
            let switch = with_deadlines(&[(1, 100)]);
            switch.look(TICK, now);
            assert_eq!(switch.alive(), alive, "{now}");
        }
        let switch = with_deadlines(&[(0, 100), (2, 50), (63, 1)]);
        switch.look(TICK, 60);
        assert_eq!(switch.alive(), 0b011);
    }

    #[test]
    fn it_is_looked_at_once_a_tick() {
        let switch = with_deadlines(&[(1, 100)]);
        assert!(switch.is_due(TICK));
        switch.look(TICK, 100);
        assert!(!switch.is_due(TICK) && switch.is_due(TICK + 1));
        switch.deadline(1).unwrap().store(300);
        assert_eq!(switch.alive(), 0b101);
        switch.look(TICK + 1, 200);
        assert_eq!(switch.alive(), 0b111);
    }

    #[test]
    fn the_daemon_has_the_last_word_and_nobody_is_dead_where_all_are() {
        let switch = with_deadlines(&[(0, 1), (1, 1), (2, 1)]);
        switch.look(TICK, 5);
        assert_eq!(switch.alive(), 0b111);
        switch.set_alive(0b1001);
        assert_eq!(switch.alive(), 0b1000);
        switch.set_alive(0);
        assert_eq!(switch.alive(), 0);
    }
}
