//! Datagrams that the other system might send, or somebody else.

use proptest::prelude::*;

use super::super::format::{AuthType, Key, MANDATORY, Packet};
use super::super::model::Model;
use crate::bfd::State;

/// The other system's discriminator.
const OTHER: u32 = 0x2222;

/// A packet that may be believed, but for its fault. What it is addressed to and sealed with are those of the
/// session that it is sent to.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) state: State,
    packet: Packet,
    names_session: bool,
    /// How far its sequence number is ahead of the last one, and what it is if none is known.
    ahead: u32,
    first: u32,
    reserved: u8,
}

/// What is wrong with a packet.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Vers(u8),
    NoDetectMult,
    Multipoint,
    NoMyDiscriminator,
    SentBack,
    NoYourDiscriminator,
    OtherYourDiscriminator(u32),
    PollAndFinal,
    /// As many bytes less than it has.
    LengthLess(u8),
    /// And more.
    LengthMore(u8),
    /// A section where there is to be none, or the other way round.
    Section,
    Secret,
    KeyId(u8),
    AuthType(AuthType),
    AuthLen(u8),
    /// The sequence number is as far behind the last one, or that one itself.
    Behind(u32),
    /// It is as far beyond the last one of the range.
    Beyond(u32),
    Truncated(usize),
    Flipped(usize),
}

impl Draft {
    pub(super) fn datagram(&self, to: &Model) -> Vec<u8> {
        self.sealed(self.addressed(to), to.auth.as_ref(), self.sequence(to))
    }

    fn addressed(&self, to: &Model) -> Packet {
        // Section 6.8.6: who is neither down nor held down has to.
        let names_session = self.names_session || matches!(self.state, State::Init | State::Up);
        Packet {
            sta: self.state as u8,
            your_discriminator: if names_session { to.local_discr } else { 0 },
            ..self.packet
        }
    }

    fn sequence(&self, to: &Model) -> u32 {
        if to.auth_seq_known { to.rcv_auth_seq.wrapping_add(self.ahead) } else { self.first }
    }

    fn sealed(&self, packet: Packet, key: Option<&Key>, sequence: u32) -> Vec<u8> {
        let length = MANDATORY + key.map_or(0, Key::auth_len);
        // What is in the field is by how much it is wrong.
        let length = (length as u8).wrapping_add(packet.length);
        let authentication_present = key.is_some();
        let mandatory = Packet { length, authentication_present, ..packet }.write();
        match key {
            Some(key) => key.seal_with(&mandatory, sequence, self.reserved),
            None => mandatory,
        }
    }

    /// The packet with a fault, by all else as it was, if it is one for which this session is to discard it.
    pub(super) fn with(&self, fault: &Fault, to: &Model) -> Option<Vec<u8>> {
        let mut packet = self.addressed(to);
        match *fault {
            Fault::Vers(vers) => packet.vers = vers,
            Fault::NoDetectMult => packet.detect_mult = 0,
            Fault::Multipoint => packet.multipoint = true,
            Fault::NoMyDiscriminator => packet.my_discriminator = 0,
            Fault::SentBack => packet.my_discriminator = to.local_discr,
            Fault::NoYourDiscriminator => {
                packet.your_discriminator = 0;
                packet.sta |= 2;
            }
            Fault::OtherYourDiscriminator(other) => packet.your_discriminator ^= other,
            Fault::PollAndFinal => (packet.poll, packet.is_final) = (true, true),
            Fault::LengthLess(less) => packet.length = less.wrapping_neg(),
            Fault::LengthMore(more) => packet.length = more,
            _ => return self.with_other_section(fault, packet, to),
        }
        Some(self.sealed(packet, to.auth.as_ref(), self.sequence(to)))
    }

    fn with_other_section(&self, fault: &Fault, packet: Packet, to: &Model) -> Option<Vec<u8>> {
        let other = Key { auth_type: AuthType::KeyedSha1, id: 1, secret: b"other".to_vec() };
        let sequence = self.sequence(to);
        if let Fault::Section = fault {
            let key = if to.auth.is_some() { None } else { Some(&other) };
            return Some(self.sealed(packet, key, sequence));
        }
        let whole = self.sealed(packet, to.auth.as_ref(), sequence);
        if let Fault::Truncated(length) = fault {
            return Some(whole[..length % whole.len()].to_vec());
        }
        let mut key = to.auth.clone()?;
        let is_numbered = key.auth_type != AuthType::SimplePassword;
        let is_meticulous = key.auth_type == AuthType::MeticulousKeyedSha1;
        let mut changed = None;
        let mut sequence = sequence;
        match *fault {
            Fault::Secret => key.secret[0] ^= 1,
            Fault::KeyId(other) => key.id ^= other,
            Fault::AuthType(other) if other != key.auth_type => key.auth_type = other,
            Fault::Behind(by) if is_numbered && to.auth_seq_known => {
                let by = if is_meticulous { by } else { by.max(1) };
                sequence = to.rcv_auth_seq.wrapping_sub(by);
            }
            Fault::Beyond(by) if is_numbered && to.auth_seq_known => {
                let range = 3 * u32::from(packet.detect_mult);
                sequence = to.rcv_auth_seq.wrapping_add(range + by);
            }
            Fault::AuthLen(other) => changed = Some((MANDATORY + 1, other)),
            Fault::Flipped(bit) if is_numbered => {
                let bit = bit % (8 * whole.len());
                changed = Some((bit / 8, 1 << (bit % 8)));
            }
            _ => return None,
        }
        let mut bytes = self.sealed(packet, Some(&key), sequence);
        if let Some((at, bits)) = changed {
            bytes[at] ^= bits;
        }
        Some(bytes)
    }
}

/// An interval that a packet says, in microseconds.
fn interval() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => 5_000_u32..200_000,
        4 => 900_000_u32..1_100_000,
        1 => 0_u32..3,
        1 => Just(u32::MAX),
    ]
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let state = prop_oneof![
        1 => Just(State::AdminDown),
        3 => Just(State::Down),
        4 => Just(State::Init),
        8 => Just(State::Up),
    ];
    let detect_mult = prop_oneof![6 => 1_u8..6, 1 => Just(255)];
    let my = prop_oneof![6 => Just(OTHER), 1 => 0x3333_u32..0x3336];
    let polls =
        prop_oneof![4 => Just((false, false)), 1 => Just((true, false)), 2 => Just((false, true))];
    let bits = (polls, any::<bool>(), prop::bool::weighted(0.1));
    let fields = (0_u8..32, detect_mult, my, [interval(), interval(), interval()]);
    let mandatory = (bits, fields).prop_map(|(bits, (diag, detect_mult, my, micros))| Packet {
        vers: 1,
        diag,
        poll: bits.0.0,
        is_final: bits.0.1,
        control_plane_independent: bits.1,
        demand: bits.2,
        detect_mult,
        my_discriminator: my,
        desired_min_tx_interval: micros[0],
        required_min_rx_interval: micros[1],
        required_min_echo_rx_interval: micros[2],
        ..Packet::default()
    });
    let numbers = (1_u32..=3, prop_oneof![any::<u32>(), u32::MAX - 3..=u32::MAX], any::<u8>());
    (state, mandatory, any::<bool>(), numbers).prop_map(
        |(state, packet, names_session, (ahead, first, reserved))| Draft {
            state,
            packet,
            names_session,
            ahead,
            first,
            reserved,
        },
    )
}

pub(super) fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        prop_oneof![Just(0_u8), 2_u8..8].prop_map(Fault::Vers),
        Just(Fault::NoDetectMult),
        Just(Fault::Multipoint),
        Just(Fault::NoMyDiscriminator),
        Just(Fault::SentBack),
        Just(Fault::NoYourDiscriminator),
        (1_u32..).prop_filter_map("it names the session", |bits| {
            (bits != super::lab::DISCRIMINATOR).then_some(Fault::OtherYourDiscriminator(bits))
        }),
        Just(Fault::PollAndFinal),
        (1_u8..=24).prop_map(Fault::LengthLess),
        (1_u8..100).prop_map(Fault::LengthMore),
        Just(Fault::Section),
        Just(Fault::Secret),
        (1_u8..).prop_map(Fault::KeyId),
        prop::sample::select(&AuthType::ALL[..]).prop_map(Fault::AuthType),
        (1_u8..).prop_map(Fault::AuthLen),
        prop_oneof![0_u32..4, 0_u32..1 << 31].prop_map(Fault::Behind),
        prop_oneof![1_u32..4, 1_u32..1 << 30].prop_map(Fault::Beyond),
        any::<usize>().prop_map(Fault::Truncated),
        any::<usize>().prop_map(Fault::Flipped),
    ]
}
