//! The path of IPv6.
//!
//! What an uplink translates is the prefix, both ways the same and without any state (RFC 6296), or
//! nothing. So a flow has one entry for both directions, known by the internal address, its [`Pin`]: it
//! says which uplink the flow keeps to, how its LAN host is reached, and whether anybody has answered.
//! Where LAN hosts share an address, an uplink translates ports too, and a flow has two (`nat66/`).
//!
//! Invariant: what is under way to a host's address arrives, by whichever uplink; what leaves, leaves by
//! the one it is pinned to.
//!
//! Neighbour discovery and what else concerns the link only is the kernel's, and never crosses.
//!
//! [`Pin`]: crate::abi::Pin

mod admission;
mod answer;
pub(super) mod error;
mod established;
pub(super) mod fragment;
mod hairpin;
mod inbound;
mod invitation;
mod lost;
pub(super) mod nat66;
mod opening;
mod outbound;
mod parse;
mod pin;
pub(super) mod reset;
mod send;
mod translate;

pub use established::established;
pub use parse::Packet6;

use super::{Note, Stage, Step, Tables6, stages, step};
use crate::verdict::{PassReason, Verdict};
use crate::wire::Frame;

stages! {
    Tables6, Packet6, Stage::Answer6;
    /// [`Stage::Outbound6`].
    outbound: outbound::run,
    /// [`Stage::Lost6`].
    lost: lost::run,
    /// [`Stage::Opening6`].
    opening: opening::run,
    /// [`Stage::Inbound6`].
    inbound: inbound::run,
    /// [`Stage::Invitation6`].
    invitation: invitation::run,
    /// [`Stage::Hairpin6`].
    hairpin: hairpin::run,
    /// [`Stage::Fragment6`].
    fragment: fragment::run,
    /// [`Stage::Error6`].
    error: error::run,
    /// [`Stage::Answer6`].
    answer: answer::run,
}
