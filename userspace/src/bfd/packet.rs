use super::{Diagnostic, State};

/// The version of the protocol (RFC 5880 section 4.1).
pub const VERSION: u8 = 1;

/// The length of the mandatory section, in bytes.
pub(super) const MANDATORY_LEN: usize = 24;

/// The least that an authentication section takes: its type and its length.
const SECTION_LEN: usize = 2;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The mandatory section of a control packet (RFC 5880 section 4.1). Numbers are in host byte order,
/// intervals in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Why the sender's session was last brought down.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// Whether the sender asks for an answer with the final bit (P).
    pub poll: bool,
    /// Whether it is such an answer (F).
    pub is_final: bool,
    /// Whether the sender wants no periodic packets while the session is up (D).
    pub demand: bool,
    /// How many packets may be missed.
    pub detect_mult: u8,
    /// The sender's name for the session, not zero.
    pub my_discriminator: u32,
    /// The receiver's, or zero where the sender does not know it.
    pub your_discriminator: u32,
    /// The least interval that the sender would like to send at.
    pub desired_min_tx: u32,
    /// The least interval that it can receive at, or zero where it wants no periodic packets.
    pub required_min_rx: u32,
    /// The least interval between echo packets that it sends back, or zero where it sends none.
    pub required_min_echo_rx: u32,
}

/// Why a datagram is no control packet (RFC 5880 section 6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends before the mandatory section does.
    #[error("it ends after {0} bytes")]
    Short(usize),
    /// Its version is another.
    #[error("its version is {0}, and not {VERSION}")]
    Version(u8),
    /// The length that it says it has is too small, or larger than what there is of it.
    #[error("its length field says {length}, and it has {available} bytes")]
    Length {
        /// What it says.
        length: u8,
        /// What there is.
        available: usize,
    },
    /// Its detection multiplier is zero.
    #[error("its detection multiplier is zero")]
    DetectMult,
    /// Its multipoint bit is set.
    #[error("its multipoint bit is set")]
    Multipoint,
    /// Its own discriminator is zero.
    #[error("its own discriminator is zero")]
    MyDiscriminator,
    /// It names no session, and its sender's is not down.
    #[error("it names no session, in the state {0}")]
    YourDiscriminator(State),
    /// Both the poll and the final bit are set (section 6.5).
    #[error("its poll bit and its final bit are set")]
    PollAndFinal,
}

impl Control {
    /// Reads a datagram's payload. Returns also the whole packet, without what may follow it, where it has an
    /// authentication section, which starts after the mandatory one.
    ///
    /// # Errors
    /// Where it is to be discarded whatever the session is.
    pub fn parse(datagram: &[u8]) -> Result<(Self, Option<&[u8]>), Malformed> {
        let header: &[u8; MANDATORY_LEN] =
            datagram.first_chunk().ok_or(Malformed::Short(datagram.len()))?;
        let [first, flags, detect_mult, length, ..] = *header;
        let version = first >> 5;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let is_authenticated = flags & AUTHENTICATED != 0;
        let least = if is_authenticated { MANDATORY_LEN + SECTION_LEN } else { MANDATORY_LEN };
        let whole = datagram.get(..usize::from(length)).filter(|whole| whole.len() >= least);
        let whole = whole.ok_or(Malformed::Length { length, available: datagram.len() })?;
        if detect_mult == 0 {
            return Err(Malformed::DetectMult);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        if flags & (POLL | FINAL) == POLL | FINAL {
            return Err(Malformed::PollAndFinal);
        }
        let (words, _) = header.as_chunks::<4>();
        let word = |number: usize| u32::from_be_bytes(words[number]);
        let state = State::ALL[usize::from(flags >> 6)];
        let [my_discriminator, your_discriminator] = [word(1), word(2)];
        if my_discriminator == 0 {
            return Err(Malformed::MyDiscriminator);
        }
        if your_discriminator == 0 && !matches!(state, State::Down | State::AdminDown) {
            return Err(Malformed::YourDiscriminator(state));
        }
        let control = Self {
            diagnostic: Diagnostic::from_bits(first),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            detect_mult,
            my_discriminator,
            your_discriminator,
            desired_min_tx: word(3),
            required_min_rx: word(4),
            required_min_echo_rx: word(5),
        };
        Ok((control, is_authenticated.then_some(whole)))
    }

    /// The packet, with room for an authentication section of this length, which is zeros.
    pub(super) fn encode(&self, section_len: usize) -> Vec<u8> {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(section_len != 0, AUTHENTICATED)
            | flag(self.demand, DEMAND);
        let length = MANDATORY_LEN + section_len;
        let mut packet = Vec::with_capacity(length);
        let first = VERSION << 5 | self.diagnostic.to_bits();
        packet.extend([first, flags, self.detect_mult, length as u8]);
        for word in [
            self.my_discriminator,
            self.your_discriminator,
            self.desired_min_tx,
            self.required_min_rx,
            self.required_min_echo_rx,
        ] {
            packet.extend(word.to_be_bytes());
        }
        packet.resize(length, 0);
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTROL: Control = Control {
        diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN,
        state: State::Init,
        poll: true,
        is_final: false,
        demand: false,
        detect_mult: 5,
        my_discriminator: 0x0102_0304,
        your_discriminator: 0x0506_0708,
        desired_min_tx: 1_000_000,
        required_min_rx: 10_000,
        required_min_echo_rx: 0,
    };

    /// Field by field from the figure of RFC 5880 section 4.1.
    const BYTES: [u8; MANDATORY_LEN] = [
        0x23, 0xa0, 5, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x0f, 0x42, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0,
        0,
    ];

    #[test]
    fn every_field_is_where_the_rfc_has_it() {
        assert_eq!(CONTROL.encode(0), BYTES);
        assert_eq!(Control::parse(&BYTES), Ok((CONTROL, None)));
    }

    #[test]
    fn what_follows_a_packet_is_none_of_it() {
        let mut packet = CONTROL.encode(28);
        packet.extend([0xff; 9]);
        assert_eq!(Control::parse(&packet), Ok((CONTROL, Some(&packet[..52]))));
    }

    #[test]
    fn what_the_rfc_discards_is_malformed() {
        let with = |changes: &[(usize, u8)]| {
            let mut packet = BYTES;
            changes.iter().for_each(|(at, byte)| packet[*at] = *byte);
            Control::parse(&packet).unwrap_err()
        };
        assert_eq!(with(&[(0, 0x03)]), Malformed::Version(0));
        assert_eq!(with(&[(0, 0x43)]), Malformed::Version(2));
        for length in [0, 23, 25] {
            assert_eq!(with(&[(3, length)]), Malformed::Length { length, available: 24 });
        }
        // With the bit, there is a section.
        assert_eq!(with(&[(1, 0xa4)]), Malformed::Length { length: 24, available: 24 });
        assert_eq!(with(&[(2, 0)]), Malformed::DetectMult);
        assert_eq!(with(&[(1, 0xa1)]), Malformed::Multipoint);
        assert_eq!(with(&[(1, 0xb0)]), Malformed::PollAndFinal);
        let nothing = |at: usize| [0, 1, 2, 3].map(|more| (at + more, 0));
        assert_eq!(with(&nothing(4)), Malformed::MyDiscriminator);
        assert_eq!(with(&nothing(8)), Malformed::YourDiscriminator(State::Init));
        for length in 0..MANDATORY_LEN {
            assert_eq!(Control::parse(&BYTES[..length]), Err(Malformed::Short(length)));
        }
    }

    #[test]
    fn a_system_that_is_down_need_not_name_a_session() {
        for state in [State::Down, State::AdminDown] {
            let control = Control { your_discriminator: 0, state, ..CONTROL };
            assert_eq!(Control::parse(&control.encode(0)), Ok((control, None)));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            // Most of what is random has another version, and the bits of no other system's concern.
            let length = bytes.len() as u8;
            if let [first, flags, _, len, ..] = &mut bytes[..] {
                *first = *first & 0x1f | VERSION << 5;
                *flags &= !0x09;
                *len = length;
            }
            match Control::parse(&bytes) {
                Ok((control, section)) => {
                    let section_len = section.map_or(0, |whole| whole.len() - MANDATORY_LEN);
                    let mut again = control.encode(section_len);
                    again[3] = length;
                    prop_assert_eq!(&again[..MANDATORY_LEN], &bytes[..MANDATORY_LEN]);
                }
                Err(Malformed::Version(_) | Malformed::Multipoint) => prop_assert!(false),
                Err(_) => {}
            }
        }
    }
}
