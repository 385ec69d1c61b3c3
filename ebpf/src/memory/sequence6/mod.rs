//! Random sequences of packets of IPv6 and events, as [`super::sequence`] has them of IPv4.

mod generate;
mod play;
mod setup;
mod values;

pub use generate::generate;
pub use play::{Player6, address_of, mac_of};
pub use setup::{Mappings6, Setup6};

use std::vec::Vec;

use super::packet6::Body6;
use super::sequence::{Bytes, Interface};

/// An address, as the eight words that it is written in.
pub type Address = [u16; 8];

/// An address and a port, or an echo's identifier.
pub type End = (Address, u16);

/// A gateway, and what happens to it.
#[derive(Clone, Debug)]
pub struct Sequence6 {
    /// How the gateway starts.
    pub setup: Setup6,
    /// What happens, in order.
    pub steps: Vec<Step6>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step6 {
    /// A packet comes in.
    Send(Packet6),
    /// A packet comes back for what an earlier step, named by its index, sent on: its interface and
    /// its ends are those, turned round.
    Reply(usize, Packet6),
    /// An ICMPv6 error about what an earlier step sent on, or about what it was given.
    Error(usize, Packet6),
    /// The clock goes on by this many milliseconds.
    Wait(u32),
    /// Which of both uplinks are alive.
    Alive(bool, bool),
    /// Which of both uplinks the group prefers.
    Prefer(bool, bool),
    /// Which of both uplinks the group uses.
    Use(bool, bool),
    /// What comes in by which of both uplinks: anything, or only answers.
    Invite(bool, bool),
    /// An uplink gets another generation, if it carries IPv6.
    Renew(Interface),
    /// The sweep removes some pins: which, this number says.
    Sweep(u32),
    /// What is left of a step that was cut out.
    Nothing,
}

/// A packet to be made.
#[derive(Clone, Debug)]
pub struct Packet6 {
    /// Where it comes in.
    pub interface: Interface,
    /// Its source.
    pub source: End,
    /// Its destination.
    pub destination: End,
    /// Its upper layer's header.
    pub body: Body6,
    /// Its extension headers: of each the type and the length.
    pub extensions: Bytes,
    /// What its fragment headers say.
    pub fragment: u16,
    /// And which packet's they are.
    pub identification: u32,
    /// Its hop limit.
    pub hop_limit: u8,
    /// How many bytes follow the upper layer's header.
    pub payload: u16,
    /// How many bytes of what it is about an error quotes.
    pub quoted: u16,
    /// How many bytes follow the packet.
    pub padding: u8,
    /// Bytes of the frame that are replaced: where, and by what.
    pub damage: [Option<(u16, u8)>; 2],
    /// Whether the checksum is right after that.
    pub repaired: bool,
    /// How many bytes are left of the frame.
    pub cut: Option<u16>,
}

impl Default for Packet6 {
    fn default() -> Self {
        Self {
            interface: Interface::Lan,
            source: ([0xfd00, 1, 0, 1, 0, 0, 0, 2], 4000),
            destination: ([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x53], 80),
            body: Body6::Udp,
            extensions: Bytes::default(),
            fragment: 0,
            identification: 7,
            hop_limit: 64,
            payload: 6,
            quoted: u16::MAX,
            padding: 0,
            damage: [None; 2],
            repaired: false,
            cut: None,
        }
    }
}
