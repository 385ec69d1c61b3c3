//! Random sequences of packets between hosts of IPv6 and servers of IPv4, and events, of a gateway that
//! translates for hosts of IPv4 too, as [`super::sequence`] has them.

mod generate;
mod play;
mod setup;

pub use generate::generate;
pub use play::Player64;
pub use setup::Setup64;

use std::vec::Vec;

use super::sequence::{Packet, Step};
use super::sequence6::Packet6;

/// A gateway, and what happens to it.
#[derive(Clone, Debug)]
pub struct Sequence64 {
    /// How the gateway starts.
    pub setup: Setup64,
    /// What happens, in order.
    pub steps: Vec<Step64>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step64 {
    /// A packet of IPv4 that is about no other, or an event that is no sweep.
    Four(Step),
    /// A packet of IPv6 comes in.
    Send(Packet6),
    /// A packet comes back for what an earlier step, named by its index, sent on: of the version that
    /// has.
    Reply(usize, Packet, Packet6),
    /// An error about what an earlier step sent on, or about what it was given: of the version that has.
    Error(usize, Packet, Packet6),
    /// What is left of a step that was cut out.
    Nothing,
}
