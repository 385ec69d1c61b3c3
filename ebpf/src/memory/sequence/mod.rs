//! Random sequences of packets and events, to run through two gateways that must agree.
//!
//! A [`Sequence`] is plain data, whose `Debug` output is the Rust that makes it: what fails can be
//! cut down step by step, and kept. What a packet holds may depend on what the gateway has sent
//! before (the port that it chose for a flow), so frames are made while the sequence is played, by a
//! [`Player`].

mod generate;
mod passage;
mod play;
mod setup;
mod tagging;

pub use generate::{Profile, generate};
pub(crate) use passage::Passages;
pub use play::Player;
pub use setup::{FORWARDS, ForwardRule, Routing, Setup, mac_of, public_addresses};
pub use tagging::Tagging;

use core::fmt;
use std::vec::Vec;

/// An address and a port, or an echo's identifier.
pub type End = ([u8; 4], u16);

/// A gateway, and what happens to it.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// How the gateway starts.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// An interface of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The LAN's.
    #[default]
    Lan,
    /// The first provider's.
    A,
    /// The second provider's.
    B,
    /// One that the gateway does not serve.
    Stranger,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A packet comes in.
    Send(Packet),
    /// A packet comes back for what an earlier step, named by its index, sent on: its interface and
    /// its ends are those, turned round.
    Reply(usize, Packet),
    /// An ICMP error about what an earlier step sent on, or about what it was given.
    Error(usize, Packet),
    /// The clock goes on by this many milliseconds.
    Wait(u32),
    /// Which of both uplinks are alive.
    Alive(bool, bool),
    /// Which of both uplinks the group prefers.
    Prefer(bool, bool),
    /// An uplink gets another generation, and the address of this index.
    Readdress(Interface, u8),
    /// The sweep removes some of what nobody uses: which, this number says.
    Sweep(u32),
    /// The gateway filters like this: [`Filtering`](crate::abi::Filtering) by number.
    Filter(u8),
    /// How many mappings, and how many unanswered flows, a host may have.
    Limit(u32, u32),
    /// A socket of the gateway's own takes a port: of UDP, or of TCP.
    Keep(bool, u16),
    /// What is left of a step that was cut out.
    Nothing,
}

/// A packet to be made.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it comes in.
    pub interface: Interface,
    /// Its source.
    pub source: End,
    /// Its destination.
    pub destination: End,
    /// Its transport header.
    pub body: Body,
    /// Its time to live.
    pub ttl: u8,
    /// Its identification.
    pub identification: u16,
    /// Flags and fragment offset, as the header has them.
    pub fragment: u16,
    /// IPv4 options: a multiple of four bytes.
    pub options: Bytes,
    /// How many bytes follow the transport header.
    pub payload: u16,
    /// How many bytes follow the IPv4 packet.
    pub padding: u8,
    /// Bytes of the frame that are replaced: where, and by what.
    pub damage: [Option<(u16, u8)>; 4],
    /// Whether the checksums are right after that.
    pub repaired: bool,
    /// How many bytes are left of the frame.
    pub cut: Option<u16>,
}

impl Default for Packet {
    fn default() -> Self {
        Self {
            interface: Interface::Lan,
            source: ([10, 1, 0, 2], 4000),
            destination: ([192, 0, 2, 53], 80),
            body: Body::Udp { checksum: true },
            ttl: 64,
            identification: 0x1234,
            fragment: 0,
            options: Bytes::default(),
            payload: 6,
            padding: 0,
            damage: [None; 4],
            repaired: false,
            cut: None,
        }
    }
}

/// A transport header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// TCP, with these control bits, sequence number and options.
    Tcp(u8, u32, Bytes),
    /// UDP.
    Udp {
        /// With a checksum, or with zero in its place.
        checksum: bool,
    },
    /// An ICMP message with an identifier, of this type and code: an echo, or something else.
    Icmp(u8, u8),
    /// A payload behind the IPv4 header.
    Other(u8),
    /// An ICMP error.
    Error {
        /// Type and code.
        message: (u8, u8),
        /// How many bytes of the packet it quotes.
        quoted: u16,
        /// Whether the quoted header's checksum is right after the packet was damaged.
        repaired: bool,
        /// IPv4 options that are put into the quoted header: a multiple of four bytes.
        options: Bytes,
    },
}

/// Bytes, shown as what makes them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// [`Bytes`] of a literal.
pub fn bytes(bytes: &[u8]) -> Bytes {
    Bytes(bytes.to_vec())
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes(&{:?})", self.0)
    }
}
