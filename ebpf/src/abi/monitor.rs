use super::{SharedU64, assert_layout};

/// What the data plane knows of the BFD session of an uplink (RFC 5880), so that it can tell by itself whether
/// the other system is there. 128 bytes, by uplink, shared with the daemon through memory. All times are
/// nanoseconds of the monotonic clock. Bytes of packets are in words as they stand there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Monitor<W = u64> {
    /// A [`Watch`]. The daemon clears it before it changes what packets are compared with, or `detection`,
    /// and writes it after that.
    pub watch: W,
    /// The mandatory section that the other system sends, without the poll and final bits: that of the last
    /// packet that the daemon has believed, which said that it is up.
    pub control: [W; 3],
    /// The authentication section behind it, in the bits of `mask`.
    pub section: [W; 3],
    /// Which bits of that do not change from packet to packet.
    pub mask: [W; 3],
    /// After how long a silence the other system is gone.
    pub detection: W,
    /// When the data plane has last heard it.
    pub heard: W,
    /// When the daemon has last sent to it.
    pub sent: W,
    /// After how long a silence of the daemon the other system holds it for gone.
    pub silence: W,
    /// The sequence number of the last packet that the daemon has believed, and in the upper half how far the
    /// next one may be ahead.
    pub believed: W,
    /// The highest sequence number that the data plane has taken.
    pub taken: W,
}

assert_layout!(Monitor, size 128, align 8, watch: 8, control: 24, section: 24, mask: 24, detection: 8,
    heard: 8, sent: 8, silence: 8, believed: 8, taken: 8);

impl Monitor<SharedU64> {
    /// Of an uplink without a session.
    pub const fn new() -> Self {
        const fn word() -> SharedU64 {
            SharedU64::new(0)
        }
        Self {
            watch: word(),
            control: [const { word() }; 3],
            section: [const { word() }; 3],
            mask: [const { word() }; 3],
            detection: word(),
            heard: word(),
            sent: word(),
            silence: word(),
            believed: word(),
            taken: word(),
        }
    }

    /// A copy, as it is now.
    pub fn copy(&self) -> Monitor {
        let words = |words: &[SharedU64; 3]| [words[0].load(), words[1].load(), words[2].load()];
        Monitor {
            watch: self.watch.load(),
            control: words(&self.control),
            section: words(&self.section),
            mask: words(&self.mask),
            detection: self.detection.load(),
            heard: self.heard.load(),
            sent: self.sent.load(),
            silence: self.silence.load(),
            believed: self.believed.load(),
            taken: self.taken.load(),
        }
    }
}

/// Which packets a [`Monitor`] is for: the UDP port that they are sent to, the least TTL that they come with,
/// the length of their authentication section in bytes, and what sequence numbers it has. Zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Watch(pub u64);

/// How the sequence numbers of a session's packets go on (RFC 5880 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sequence {
    /// There are none.
    None = 0,
    /// They may stay as they are.
    Keyed = 1,
    /// By each packet.
    Meticulous = 2,
}

impl Watch {
    /// Of packets to this port, a number, with a TTL of no less than this.
    pub const fn new(port: u16, ttl: u8, section_len: u8, sequence: Sequence) -> Self {
        Self((port as u64) << 32 | (ttl as u64) << 16 | (section_len as u64) << 8 | sequence as u64)
    }

    /// The port, as a number.
    #[inline(always)]
    pub const fn port(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The least TTL.
    #[inline(always)]
    pub const fn ttl(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// The length of the authentication section, in bytes.
    #[inline(always)]
    pub const fn section_len(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether a sequence number may come after the highest one that was taken, `taken`, if the daemon has last
    /// believed that in the lower half of `believed`. None may be ahead of that by more than the upper half.
    ///
    /// So what an attacker on the link makes up, which the data plane cannot tell from what is authentic, puts off
    /// the deadline a few times. The daemon goes by what it has checked itself.
    #[inline(always)]
    pub const fn is_next(self, sequence: u32, taken: u32, believed: u64) -> bool {
        let ahead = sequence.wrapping_sub(believed as u32) as u64;
        let step = sequence.wrapping_sub(taken);
        let goes_on = step >> 31 == 0 && (step != 0 || self.0 as u8 != Sequence::Meticulous as u8);
        goes_on && ahead <= believed >> 32
    }

    /// Whether packets have sequence numbers.
    #[inline(always)]
    pub const fn is_numbered(self) -> bool {
        self.0 as u8 != Sequence::None as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_what_it_was_made_of() {
        let watch = Watch::new(3784, 255, 28, Sequence::Keyed);
        assert_eq!((watch.port(), watch.ttl(), watch.section_len()), (3784, 255, 28));
        assert!(watch.is_numbered());
        assert!(!Watch::new(u16::MAX, 255, 255, Sequence::None).is_numbered());
    }

    #[test]
    fn sequence_numbers_go_on_and_not_too_far() {
        let keyed = Watch::new(3784, 255, 28, Sequence::Keyed);
        let meticulous = Watch::new(3784, 255, 28, Sequence::Meticulous);
        for last in [7, u32::MAX, u32::MAX - 3] {
            let believed = 9 << 32 | u64::from(last);
            let is_next = |watch: Watch, step: u32, taken: u32| {
                watch.is_next(last.wrapping_add(step), last.wrapping_add(taken), believed)
            };
            for watch in [keyed, meticulous] {
                assert!(is_next(watch, 1, 0) && is_next(watch, 9, 0) && is_next(watch, 9, 8));
                assert!(!is_next(watch, 10, 0), "too far");
                assert!(!is_next(watch, 3, 4), "it was overtaken");
                assert!(!is_next(watch, u32::MAX, 0), "it is an old one");
            }
            assert!(is_next(keyed, 0, 0) && is_next(keyed, 4, 4));
            assert!(!is_next(meticulous, 0, 0) && !is_next(meticulous, 4, 4));
        }
    }
}
