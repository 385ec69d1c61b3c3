//! Control packets, bit by bit from the figures of RFC 5880 sections 4.1, 4.2 and 4.4: nothing here is of the
//! code under test.

use sha1::{Digest as _, Sha1};

/// The length of the mandatory section.
pub(super) const MANDATORY: usize = 24;

/// The fields of the mandatory section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) vers: u8,
    pub(super) diag: u8,
    pub(super) sta: u8,
    pub(super) poll: bool,
    pub(super) is_final: bool,
    pub(super) control_plane_independent: bool,
    pub(super) authentication_present: bool,
    pub(super) demand: bool,
    pub(super) multipoint: bool,
    pub(super) detect_mult: u8,
    pub(super) length: u8,
    pub(super) my_discriminator: u32,
    pub(super) your_discriminator: u32,
    pub(super) desired_min_tx_interval: u32,
    pub(super) required_min_rx_interval: u32,
    pub(super) required_min_echo_rx_interval: u32,
}

impl Packet {
    /// What the first bytes say, whatever it is, if there are as many.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let head: &[u8; MANDATORY] = payload.first_chunk()?;
        // Bits are numbered as in the figure, from the left.
        let bit = |number: usize| head[number / 8] >> (7 - number % 8) & 1 == 1;
        let word =
            |at: usize| head[at..at + 4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        Some(Self {
            vers: head[0] >> 5,
            diag: head[0] & 31,
            sta: head[1] >> 6,
            poll: bit(10),
            is_final: bit(11),
            control_plane_independent: bit(12),
            authentication_present: bit(13),
            demand: bit(14),
            multipoint: bit(15),
            detect_mult: head[2],
            length: head[3],
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx_interval: word(12),
            required_min_rx_interval: word(16),
            required_min_echo_rx_interval: word(20),
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let bits = [
            self.poll,
            self.is_final,
            self.control_plane_independent,
            self.authentication_present,
            self.demand,
            self.multipoint,
        ];
        let flags = bits.iter().fold(self.sta, |all, bit| all << 1 | u8::from(*bit));
        let mut bytes = vec![self.vers << 5 | self.diag, flags, self.detect_mult, self.length];
        for word in [
            self.my_discriminator,
            self.your_discriminator,
            self.desired_min_tx_interval,
            self.required_min_rx_interval,
            self.required_min_echo_rx_interval,
        ] {
            bytes.extend(word.to_be_bytes());
        }
        bytes
    }
}

/// The authentication types of section 4.1 that are in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthType {
    SimplePassword = 1,
    KeyedSha1 = 4,
    MeticulousKeyedSha1 = 5,
}

impl AuthType {
    pub(super) const ALL: [Self; 3] =
        [Self::SimplePassword, Self::KeyedSha1, Self::MeticulousKeyedSha1];
}

/// One end's side of what both have agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) auth_type: AuthType,
    pub(super) id: u8,
    pub(super) secret: Vec<u8>,
}

impl Key {
    pub(super) fn auth_len(&self) -> usize {
        match self.auth_type {
            AuthType::SimplePassword => 3 + self.secret.len(),
            AuthType::KeyedSha1 | AuthType::MeticulousKeyedSha1 => 28,
        }
    }

    /// The packet with the authentication section that follows this mandatory one.
    pub(super) fn seal(&self, mandatory: &[u8], sequence: u32) -> Vec<u8> {
        self.seal_with(mandatory, sequence, 0)
    }

    /// The reserved byte is ignored on receipt (section 4.4), and yet the hash is of it.
    pub(super) fn seal_with(&self, mandatory: &[u8], sequence: u32, reserved: u8) -> Vec<u8> {
        let mut packet = mandatory.to_vec();
        packet.extend([self.auth_type as u8, self.auth_len() as u8, self.id]);
        if self.auth_type == AuthType::SimplePassword {
            packet.extend(&self.secret);
        } else {
            packet.push(reserved);
            packet.extend(sequence.to_be_bytes());
            let hash = self.hash(&packet);
            packet.extend(hash);
        }
        packet
    }

    /// SHA1 of a whole packet whose Auth Key/Hash field, which ends it, holds the key (section 6.7.4). This is
    /// all before that field.
    pub(super) fn hash(&self, before: &[u8]) -> [u8; 20] {
        let mut packet = before.to_vec();
        packet.extend(&self.secret);
        packet.resize(before.len() + 20, 0);
        Sha1::digest(&packet).into()
    }
}
