//! Sessions with authentication (RFC 5880 section 6.7): the daemon gets what is heard, for only it computes
//! digests.

use pointsman_ebpf::abi::{Sequence, Watch};
use pointsman_ebpf::memory::site::A;

use super::harness::{
    AHEAD, CONTROL, DETECTION, Gateway, SINGLE_HOP, gateway, monitor, packet, store,
};

/// The last sequence number that the daemon has believed, and how far the next may be ahead.
const BELIEVED: u32 = u32::MAX - 1;
const AT_MOST: u32 = 6;

/// A control packet with this section behind the mandatory one.
fn control(section: &[u8]) -> Vec<u8> {
    let mut control = CONTROL;
    control[1] |= 0x04;
    control[3] += section.len() as u8;
    [&control[..], section].concat()
}

/// A gateway whose session has this section, of which so many bytes never change.
fn expecting(section: &[u8], fixed: usize, sequence: Sequence) -> Gateway {
    let gateway = gateway(Watch::new(SINGLE_HOP, 255, section.len() as u8, sequence));
    let monitor = monitor(&gateway.tables, &A);
    store(&monitor.control, control(section)[..24].try_into().unwrap());
    let [mut expected, mut mask] = [[0; 24]; 2];
    let len = section.len().min(24);
    expected[..len].copy_from_slice(&section[..len]);
    mask[..fixed].fill(0xff);
    store(&monitor.section, expected);
    store(&monitor.mask, mask);
    monitor.believed.store(u64::from(AT_MOST) << 32 | u64::from(BELIEVED));
    monitor.taken.store(u64::from(BELIEVED));
    gateway
}

impl Gateway {
    /// The packet puts off the deadline, which is what it was before again then.
    #[track_caller]
    fn believes(&self, section: &[u8]) {
        self.hears_and_passes(&packet(&control(section)).build(), DETECTION);
        monitor(&self.tables, &A).heard.store(u64::MAX);
        self.tables.put_off(A.id, AHEAD);
    }

    #[track_caller]
    fn doubts(&self, section: &[u8]) {
        self.ignores(&packet(&control(section)).build());
    }
}

/// A section with a password (RFC 5880 section 4.2).
fn password(key: u8, password: &[u8]) -> Vec<u8> {
    [&[1, 3 + password.len() as u8, key], password].concat()
}

/// Of any length: from 1 to 16 bytes.
#[test]
fn a_password() {
    for len in [1, 5, 6, 15, 16] {
        let word = &b"correct horse ba"[..len];
        let section = password(7, word);
        let gateway = expecting(&section, section.len(), Sequence::None);
        gateway.believes(&section);
        gateway.doubts(&password(8, word));
        gateway.doubts(&password(7, &word[..len - 1]));
        gateway.doubts(&password(7, &[word, b"x"].concat()));
        for at in 0..len {
            let mut wrong = word.to_vec();
            wrong[at] ^= 0x40;
            gateway.doubts(&password(7, &wrong));
        }
        gateway.doubts(&[]);
        gateway.ignores(&packet(&CONTROL).build());
    }
}

/// What ends before its section does, whatever its UDP header says.
#[test]
fn cut_short() {
    let section = password(7, b"secret");
    let gateway = expecting(&section, section.len(), Sequence::None);
    for len in 0..section.len() {
        let mut frame = packet(&control(&section)[..24 + len]).build();
        frame[38..40].copy_from_slice(&[0, 32 + section.len() as u8]);
        gateway.ignores(&frame);
    }
    // The same with nothing in it that is compared.
    let gateway = expecting(&sha1(7, BELIEVED), 0, Sequence::Keyed);
    for len in 0..8 {
        let mut frame = packet(&control(&sha1(7, BELIEVED))[..24 + len]).build();
        frame[38..40].copy_from_slice(&[0, 60]);
        gateway.ignores(&frame);
    }
}

/// A section with a digest of SHA1 (RFC 5880 section 4.4), which is not looked at.
fn sha1(key: u8, sequence: u32) -> Vec<u8> {
    [&[4, 28, key, 0][..], &sequence.to_be_bytes(), &sequence.to_le_bytes().repeat(5)].concat()
}

/// The sequence number that is so far behind the one that the daemon has believed last.
fn ahead(step: u32) -> Vec<u8> {
    sha1(7, BELIEVED.wrapping_add(step))
}

#[test]
fn sequence_numbers() {
    for (sequence, may_stay) in [(Sequence::Keyed, true), (Sequence::Meticulous, false)] {
        let gateway = expecting(&sha1(7, BELIEVED), 4, sequence);
        let stays = |step| match may_stay {
            true => gateway.believes(&ahead(step)),
            false => gateway.doubts(&ahead(step)),
        };
        stays(0);
        gateway.doubts(&ahead(u32::MAX));
        gateway.doubts(&ahead(1 << 31));
        gateway.believes(&ahead(1));
        gateway.doubts(&ahead(0));
        stays(1);
        gateway.doubts(&ahead(AT_MOST + 1));
        gateway.believes(&ahead(4));
        for overtaken in 0..4 {
            gateway.doubts(&ahead(overtaken));
        }
        stays(4);
        gateway.believes(&ahead(AT_MOST));
        stays(AT_MOST);
        gateway.doubts(&ahead(AT_MOST + 1));
        assert_eq!(monitor(&gateway.tables, &A).taken.load(), 4);
    }
}

/// Neither of these takes a number.
#[test]
fn what_is_not_of_the_session_takes_no_number() {
    let gateway = expecting(&sha1(7, BELIEVED), 4, Sequence::Meticulous);
    gateway.doubts(&sha1(8, BELIEVED.wrapping_add(1)));
    let mut other = control(&ahead(1));
    other[7] ^= 1;
    gateway.ignores(&packet(&other).build());
    assert_eq!(monitor(&gateway.tables, &A).taken.load(), u64::from(BELIEVED));
    gateway.believes(&ahead(1));
}
