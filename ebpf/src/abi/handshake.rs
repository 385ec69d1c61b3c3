use super::{MAX_UPLINKS, assert_layout};

/// A handshake of TCP that a LAN host has begun by an uplink, and whose answer is timed. 16 bytes, shared with
/// other CPUs.
///
/// There are few places, and each is kept until the answer is there, or for [`ATTEMPT_PATIENCE`], also where there is
/// a refusal: so those that are timed are a sample, of which slow ones are as likely to be as quick ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Attempt<W = u64> {
    /// An [`AttemptKey`]; zero where there is none.
    pub key: W,
    /// When the first SYN left, in nanoseconds of the monotonic clock.
    pub sent: W,
}

assert_layout!(Attempt, size 16, align 8, key: 8, sent: 8);

impl<M> Attempt<M> {
    /// The same with other words: `with` of each.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Attempt<N> {
        Attempt { key: with(&self.key), sent: with(&self.sent) }
    }
}

/// How many [`Attempt`]s an uplink has places for.
const PLACES: u32 = 64;

/// How many [`Attempt`]s there are.
pub const ATTEMPTS: usize = MAX_UPLINKS * PLACES as usize;

/// After how many nanoseconds no answer is expected any more: when a SYN has been repeated twice (RFC 6298
/// sections 2 and 5.5), before it is repeated a third time.
pub const ATTEMPT_PATIENCE: u64 = 4_000_000_000;

/// What a SYN and its answer have in common, whatever is translated: the uplink, the port of who is asked, and the
/// initial sequence number. Hosts draw that at random (RFC 6528); who sends the same to many looks as if it
/// repeated itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptKey(pub u64);

impl AttemptKey {
    const TAKEN: u64 = 1 << 63;
    const REPEATED: u64 = 1 << 62;

    /// Of the first SYN by this uplink to this port, a number.
    #[inline(always)]
    pub const fn new(uplink: u8, port: u16, sequence: u32) -> Self {
        Self(Self::TAKEN | (uplink as u64) << 48 | (port as u64) << 32 | sequence as u64)
    }

    /// The uplink.
    #[inline(always)]
    pub const fn uplink(self) -> u8 {
        (self.0 >> 48) as u8 & (MAX_UPLINKS as u8 - 1)
    }

    /// The only place that it may have: the index of an [`Attempt`].
    #[inline(always)]
    pub const fn place(self) -> u32 {
        // Multiplication by the golden ratio spreads what differs little (Knuth, TAOCP vol. 3, section 6.4).
        let spread = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.uplink() as u32 * PLACES + (spread as u32 & (PLACES - 1))
    }

    /// The same, of which more than one SYN has been seen.
    #[inline(always)]
    #[must_use]
    pub const fn repeated(self) -> Self {
        Self(self.0 | Self::REPEATED)
    }

    /// Whether more than one has.
    #[inline(always)]
    pub const fn is_repeated(self) -> bool {
        self.0 & Self::REPEATED != 0
    }

    /// Whether it is of the same handshake.
    #[inline(always)]
    pub const fn is_of(self, other: Self) -> bool {
        self.repeated().0 == other.repeated().0
    }
}

/// How many words an uplink's handshakes are counted in.
pub const HANDSHAKE_WORDS: usize = 128;

/// What is counted of the handshakes of one uplink, as [`HandshakeCount::word`] has it. It grows, but for what two CPUs
/// that count at a time lose.
pub type HandshakeCounts = [u64; HANDSHAKE_WORDS];

/// What of an uplink's handshakes is counted, as the index of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeCount(u32);

impl HandshakeCount {
    /// Those of which a SYN found a place: the first, unless that found none.
    pub const BEGUN: Self = Self(0);
    /// SYNs of those that came again.
    pub const REPEATED: Self = Self(1);
    /// Answers after that, of which nobody knows which one they are to (Karn and Partridge, SIGCOMM '87): a second
    /// after the first SYN, at least (RFC 6298 section 2).
    pub const LATE: Self = Self(2);

    /// The first of the words of answers by time.
    const ANSWERED: u32 = 3;
    /// The binary logarithms of the shortest and the longest time that are told apart, in nanoseconds: 131
    /// microseconds, and more than four seconds.
    const SHORTEST: u32 = 17;
    const LONGEST: u32 = 32;
    /// The logarithm of how many parts what lies between two powers of two has.
    const PARTS: u32 = 3;

    /// How many words there are of answers by time.
    pub const TIMES: u32 = (Self::LONGEST - Self::SHORTEST) << Self::PARTS;

    /// Answers after this many nanoseconds.
    #[inline(always)]
    pub fn answered_after(nanoseconds: u64) -> Self {
        let longest = (1 << Self::LONGEST) - 1;
        let time = nanoseconds.clamp(1 << Self::SHORTEST, longest);
        let octave = u64::BITS - 1 - time.leading_zeros();
        let part = (time >> (octave - Self::PARTS)) as u32 & ((1 << Self::PARTS) - 1);
        Self(Self::ANSWERED + ((octave - Self::SHORTEST) << Self::PARTS) + part)
    }

    /// Answers by time, from the shortest on: of this index, below [`Self::TIMES`].
    pub const fn answered(index: u32) -> Self {
        Self(Self::ANSWERED + index)
    }

    /// The middle of the times that this index stands for, in nanoseconds: a sixteenth from any of them, at most.
    pub const fn time(index: u32) -> u64 {
        let (octave, part) = (index >> Self::PARTS, index as u64 & ((1 << Self::PARTS) - 1));
        let halves = ((1 << Self::PARTS) + part) * 2 + 1;
        halves << (octave + Self::SHORTEST - Self::PARTS - 1)
    }

    /// The index among the words of one uplink.
    pub const fn word(self) -> usize {
        self.0 as usize
    }

    /// The index among those of all, of this uplink.
    #[inline(always)]
    pub const fn of(self, uplink: u8) -> u32 {
        let uplink = uplink as u32 & (MAX_UPLINKS as u32 - 1);
        uplink * HANDSHAKE_WORDS as u32 + self.0
    }
}

const _: () = assert!(HandshakeCount::answered(HandshakeCount::TIMES).word() <= HANDSHAKE_WORDS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_with_those_near_it() {
        for time in [1 << 17, 200_000, 1_000_000, 12_345_678, 999_999_999, (1 << 32) - 1] {
            let count = HandshakeCount::answered_after(time);
            let index = (0..HandshakeCount::TIMES)
                .find(|index| HandshakeCount::answered(*index) == count)
                .expect("it is one of the times");
            let middle = HandshakeCount::time(index);
            assert!(time.abs_diff(middle) * 100 <= time * 7, "{time} ns are taken for {middle} ns");
        }
        let longest = HandshakeCount::answered(HandshakeCount::TIMES - 1);
        for (time, count) in [
            (0, HandshakeCount::answered(0)),
            ((1 << 17) - 1, HandshakeCount::answered(0)),
            (1 << 32, longest),
            (u64::MAX, longest),
        ] {
            assert_eq!(HandshakeCount::answered_after(time), count, "{time} ns");
        }
    }

    #[test]
    fn longer_times_have_higher_indices() {
        let times: [u64; HandshakeCount::TIMES as usize] =
            core::array::from_fn(|index| HandshakeCount::time(index as u32));
        assert!(times.is_sorted_by(|time, next| time < next));
        for (index, time) in (0..).zip(times) {
            assert_eq!(HandshakeCount::answered_after(time), HandshakeCount::answered(index));
        }
    }

    #[test]
    fn an_uplink_has_places_of_its_own() {
        for uplink in [0, 1, 63] {
            let places = (0..1000).map(|sequence| AttemptKey::new(uplink, 443, sequence).place());
            let first = u32::from(uplink) * PLACES;
            let used: std::collections::BTreeSet<u32> = places.collect();
            assert!(used.iter().all(|place| (first..first + PLACES).contains(place)));
            assert_eq!(used.len(), PLACES as usize, "all of them are used");
        }
    }

    #[test]
    fn a_key_knows_its_own_again() {
        let key = AttemptKey::new(63, u16::MAX, u32::MAX);
        assert!(key.is_of(key) && key.repeated().is_of(key) && key.is_of(key.repeated()));
        assert!(key.repeated().is_repeated() && !key.is_repeated());
        for other in [
            AttemptKey::default(),
            AttemptKey::new(62, u16::MAX, u32::MAX),
            AttemptKey::new(63, u16::MAX - 1, u32::MAX),
            AttemptKey::new(63, u16::MAX, u32::MAX - 1),
        ] {
            assert!(!key.is_of(other) && !other.is_of(key));
        }
        assert!(!AttemptKey::default().is_of(AttemptKey::new(0, 0, 0)));
    }
}
