use sha1::{Digest as _, Sha1};

use super::packet::MANDATORY_LEN;

/// How long a password is at most, and a key of SHA1, in bytes (RFC 5880 sections 4.2 and 4.4).
const MAX_PASSWORD: usize = 16;
const KEY_LEN: usize = 20;

/// Types of authentication sections (RFC 5880 section 4.1).
const SIMPLE_PASSWORD: u8 = 1;
const KEYED_SHA1: u8 = 4;
const METICULOUS_KEYED_SHA1: u8 = 5;

/// The length of a section with SHA1: type, length, key identifier, a reserved byte, sequence number, digest.
const SHA1_SECTION_LEN: usize = 8 + KEY_LEN;

/// Where its sequence number and its digest stand in the packet.
pub(super) const SEQUENCE: usize = MANDATORY_LEN + 4;
const DIGEST: usize = MANDATORY_LEN + 8;

/// How the packets of a session are authenticated (RFC 5880 section 6.7): by one secret, the same for both
/// systems. `Debug` does not show it.
///
/// Some systems take the number of packets that they themselves may miss for how far sequence numbers go ahead
/// at most, and not that of who sends them. With such a one, give both the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    key_id: u8,
    secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Password(Vec<u8>),
    /// Padded with zeros.
    Sha1 {
        key: [u8; KEY_LEN],
        meticulous: bool,
    },
}

/// Why a packet is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is authenticated, and those of the session are not.
    #[error("it is authenticated, and the session is not")]
    Unexpected,
    /// It is not authenticated, and those of the session are.
    #[error("it is not authenticated, and the session is")]
    Missing,
    /// It is of another type, of another length, or of another key.
    #[error("its authentication is of another type or key than the session's")]
    Other,
    /// Its password is wrong, or its digest.
    #[error("its password or digest is wrong")]
    Wrong,
    /// Its sequence number is not among those that may come next: it is a replay, perhaps.
    #[error("its sequence number {sequence} is not among those that may come after {last}")]
    Sequence {
        /// Its own.
        sequence: u32,
        /// The last one that was believed.
        last: u32,
    },
}

impl Authentication {
    /// By a password of 1 to 16 bytes, in clear (section 6.7.2). Nothing where it is not as long.
    pub fn simple(key_id: u8, password: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_PASSWORD).contains(&password.len());
        fits.then(|| Self { key_id, secret: Secret::Password(password.to_vec()) })
    }

    /// By SHA1 of packet and key, of 1 to 20 bytes (section 6.7.4), whose sequence number goes on with each
    /// packet if it is `meticulous`. Nothing where the key is not as long.
    pub fn sha1(key_id: u8, secret: &[u8], meticulous: bool) -> Option<Self> {
        let mut key = [0; KEY_LEN];
        key.get_mut(..secret.len()).filter(|part| !part.is_empty())?.copy_from_slice(secret);
        Some(Self { key_id, secret: Secret::Sha1 { key, meticulous } })
    }

    /// Which of the secrets that a system may have it is.
    pub fn key_id(&self) -> u8 {
        self.key_id
    }

    /// By what, as the configuration calls it.
    pub fn kind_name(&self) -> &'static str {
        match self.secret {
            Secret::Password(_) => "simple",
            Secret::Sha1 { meticulous: false, .. } => "sha1",
            Secret::Sha1 { meticulous: true, .. } => "meticulous-sha1",
        }
    }

    /// The length of its section, in bytes.
    pub(super) fn section_len(&self) -> usize {
        match &self.secret {
            Secret::Password(password) => 3 + password.len(),
            Secret::Sha1 { .. } => SHA1_SECTION_LEN,
        }
    }

    /// Whether packets have sequence numbers.
    pub(super) fn is_numbered(&self) -> bool {
        matches!(self.secret, Secret::Sha1 { .. })
    }

    /// Whether its sequence number goes on with each packet.
    pub(super) fn is_meticulous(&self) -> bool {
        matches!(self.secret, Secret::Sha1 { meticulous: true, .. })
    }

    fn kind(&self) -> u8 {
        match self.secret {
            Secret::Password(_) => SIMPLE_PASSWORD,
            Secret::Sha1 { meticulous: false, .. } => KEYED_SHA1,
            Secret::Sha1 { meticulous: true, .. } => METICULOUS_KEYED_SHA1,
        }
    }

    /// Fills the section of a packet that has the room for it.
    pub(super) fn seal(&self, packet: &mut [u8], sequence: u32) {
        let head = [self.kind(), self.section_len() as u8, self.key_id];
        packet[MANDATORY_LEN..][..3].copy_from_slice(&head);
        match &self.secret {
            Secret::Password(password) => {
                packet[MANDATORY_LEN + 3..].copy_from_slice(password);
            }
            Secret::Sha1 { key, .. } => {
                packet[SEQUENCE..DIGEST].copy_from_slice(&sequence.to_be_bytes());
                let digest = digest(packet, key);
                packet[DIGEST..].copy_from_slice(&digest);
            }
        }
    }

    /// Whether a packet with a section is of who knows the secret, and comes after that with the sequence
    /// number `last`, if one is known. Returns its own, where it has one.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn verify(
        &self,
        packet: &[u8],
        last: Option<u32>,
        detect_mult: u8,
    ) -> Result<Option<u32>, Rejected> {
        let section_len = self.section_len();
        let head = [self.kind(), section_len as u8, self.key_id];
        if packet.len() != MANDATORY_LEN + section_len || packet[MANDATORY_LEN..][..3] != head {
            return Err(Rejected::Other);
        }
        match &self.secret {
            Secret::Password(password) => match are_equal(&packet[MANDATORY_LEN + 3..], password) {
                true => Ok(None),
                false => Err(Rejected::Wrong),
            },
            Secret::Sha1 { key, meticulous } => {
                if !are_equal(&packet[DIGEST..], &digest(packet, key)) {
                    return Err(Rejected::Wrong);
                }
                let sequence = packet[SEQUENCE..].first_chunk().copied().map(u32::from_be_bytes);
                let sequence = sequence.ok_or(Rejected::Other)?;
                match last {
                    Some(last) if !follows(sequence, last, *meticulous, detect_mult) => {
                        Err(Rejected::Sequence { sequence, last })
                    }
                    _ => Ok(Some(sequence)),
                }
            }
        }
    }
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authentication {{ kind: {}, key_id: {}, .. }}", self.kind(), self.key_id)
    }
}

/// SHA1 of a packet with the key in the place of the digest (section 6.7.4).
fn digest(packet: &[u8], key: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    Sha1::new().chain_update(&packet[..DIGEST]).chain_update(key).finalize().into()
}

/// Whether a sequence number is among the three times as many as may be missed that are accepted after
/// another, in circular arithmetic: that one itself too, unless it is `meticulous` (section 6.7.4).
fn follows(sequence: u32, last: u32, meticulous: bool, detect_mult: u8) -> bool {
    let ahead = sequence.wrapping_sub(last);
    ahead >= u32::from(meticulous) && ahead <= window(detect_mult)
}

/// How far the sequence number of a packet may be ahead of that of the last one that was believed.
pub(super) const fn window(detect_mult: u8) -> u32 {
    3 * detect_mult as u32
}

/// Whether both are the same, in a time that does not say how much of them is.
pub(super) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bfd::{Control, Diagnostic, State};

    fn packet(authentication: &Authentication, sequence: u32) -> Vec<u8> {
        let control = Control {
            diagnostic: Diagnostic::NONE,
            state: State::Up,
            poll: false,
            is_final: false,
            demand: false,
            detect_mult: 3,
            my_discriminator: 1,
            your_discriminator: 2,
            desired_min_tx: 10_000,
            required_min_rx: 10_000,
            required_min_echo_rx: 0,
        };
        let mut packet = control.encode(authentication.section_len());
        authentication.seal(&mut packet, sequence);
        packet
    }

    fn sha1(meticulous: bool) -> Authentication {
        Authentication::sha1(7, b"secret", meticulous).unwrap()
    }

    #[test]
    fn a_password_is_in_clear() {
        let simple = Authentication::simple(9, b"secret").unwrap();
        let packet = packet(&simple, 5);
        assert_eq!(packet[MANDATORY_LEN..], *b"\x01\x09\x09secret");
        assert_eq!(simple.verify(&packet, None, 3), Ok(None));
        let other = Authentication::simple(9, b"sacred").unwrap();
        assert_eq!(other.verify(&packet, None, 3), Err(Rejected::Wrong));
        let longer = Authentication::simple(9, b"secrets").unwrap();
        assert_eq!(longer.verify(&packet, None, 3), Err(Rejected::Other));
    }

    /// The digest is what Python's `hashlib` says of the packet with the padded key.
    #[test]
    fn the_digest_is_of_the_packet_and_the_key() {
        let packet = packet(&sha1(true), 0x0102_0304);
        assert_eq!(packet[MANDATORY_LEN..DIGEST], [5, 28, 7, 0, 1, 2, 3, 4]);
        let digest = packet[DIGEST..].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(digest, "310221dcceb6bec431bd98645e2eb85ce98b050b");
    }

    #[test]
    fn each_bit_of_a_packet_is_vouched_for() {
        let whole = packet(&sha1(true), 4);
        assert_eq!(sha1(true).verify(&whole, None, 3), Ok(Some(4)));
        for bit in 0..8 * whole.len() {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sha1(true).verify(&changed, None, 3).is_err(), "bit {bit}");
        }
        let other = Authentication::sha1(7, b"sacred", true).unwrap();
        assert_eq!(other.verify(&whole, None, 3), Err(Rejected::Wrong));
        assert_eq!(sha1(false).verify(&whole, None, 3), Err(Rejected::Other));
    }

    /// RFC 5880 section 6.7.4: from the last one, or the one after it, to three times the multiplier on.
    #[test]
    fn what_was_sent_before_is_a_replay() {
        for (meticulous, first) in [(false, 0), (true, 1)] {
            for last in [100, u32::MAX - 3] {
                let by = |ahead: u32| {
                    let packet = packet(&sha1(meticulous), last.wrapping_add(ahead));
                    sha1(meticulous).verify(&packet, Some(last), 3).is_ok()
                };
                let accepted: Vec<u32> = (0..12).filter(|ahead| by(*ahead)).collect();
                assert_eq!(accepted, (first..=9).collect::<Vec<_>>(), "after {last}");
                assert!(!by(u32::MAX) && !by(1 << 31));
            }
        }
    }

    #[test]
    fn secrets_have_a_length() {
        assert_eq!(Authentication::simple(1, b""), None);
        assert_eq!(Authentication::simple(1, &[1; 17]), None);
        assert_eq!(Authentication::sha1(1, b"", true), None);
        assert_eq!(Authentication::sha1(1, &[1; 21], true), None);
        assert!(Authentication::sha1(1, &[1; 20], true).is_some());
        assert!(!format!("{:?}", sha1(true)).contains("secret"));
    }
}
