//! NAT66: hosts of the LAN share an address of an uplink, and ports tell them apart, for providers that give
//! no prefix to translate to.
//!
//! Mappings, ports, filtering and how many mappings a host may have are those of IPv4 (RFC 4787, RFC 5382,
//! RFC 5508), by the same tables ([`NAT66_SIDE`]). A flow has two pins, one for each direction
//! ([`Masquerade`]); one that is not answered has that from the LAN only, which the answer finds by the
//! mapping.
//!
//! The identification of a datagram in fragments stays, so those of two hosts to one destination may have one
//! in common, as rarely as two of one host.
//!
//! An established packet takes the stages of IPv6, and so does what needs no more than its pin: [`Rewrite`]
//! is all that is different there.
//!
//! [`NAT66_SIDE`]: crate::abi::NAT66_SIDE
//! [`Masquerade`]: crate::abi::Masquerade

mod error_in;
mod error_out;
mod invitation;
mod mapped;
mod moved;
mod opening;
mod promotion;
mod quoted;
mod reply;
mod rewrite;

pub(super) use reply::may_be_mapped;
pub(super) use rewrite::Rewrite;

use super::Packet6;
use crate::path::{Note, Stage, Step, Tables6, stages, step};
use crate::verdict::{PassReason, Verdict};
use crate::wire::Frame;

stages! {
    Tables6, Packet6, Stage::Answer6;
    /// [`Stage::Opening66`].
    opening: opening::run,
    /// [`Stage::Mapping66`].
    mapping: opening::map,
    /// [`Stage::Moved66`].
    moved: moved::run,
    /// [`Stage::Inbound66`].
    inbound: reply::run,
    /// [`Stage::Invitation66`].
    invitation: invitation::run,
    /// [`Stage::Promotion66`].
    promotion: promotion::run,
    /// [`Stage::ErrorOut66`].
    error_out: error_out::run,
    /// [`Stage::ErrorIn66`].
    error_in: error_in::run,
}
