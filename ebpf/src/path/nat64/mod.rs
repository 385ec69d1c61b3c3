//! NAT64: hosts of the LAN that have IPv6 only reach servers that have IPv4 only (RFC 6146), by an IPv6
//! prefix that IPv4 addresses stand in (RFC 6052).
//!
//! Towards the uplinks it is NAT44: mappings, ports, filtering, limits of hosts and the choice of an
//! uplink are those of IPv4, by the same tables, of which a flow has two entries. The one from the LAN is
//! known by a digest of its addresses, as a pin is ([`FlowKey::nat64`]), the one from the uplink by what
//! IPv4 has ([`Direction::In64`]).
//!
//! Headers are translated as RFC 7915 says, each on its own: nothing is fragmented here, so what is too
//! large for the next link is answered, whatever its sender allows.
//!
//! [`FlowKey::nat64`]: crate::abi::FlowKey::nat64
//! [`Direction::In64`]: crate::abi::Direction::In64

mod admission;
mod entry;
mod error_in;
mod error_out;
mod header;
mod icmp;
mod inbound;
mod invitation;
mod known;
mod lost;
mod moved;
mod new_flow;
mod opening;
mod outbound;
mod reply;
mod send;

pub(super) use outbound::established;

use super::{Note, Packet, Packet6, Stage, Step, Tables6, stages, step};
use crate::verdict::{PassReason, Verdict};
use crate::wire::Frame;

stages! {
    Tables6, Packet6, Stage::Answer6;
    /// [`Stage::Outbound64`].
    outbound: outbound::run,
    /// [`Stage::Known64`].
    known: known::run,
    /// [`Stage::Moved64`].
    moved: moved::run,
    /// [`Stage::Lost64`].
    lost: lost::run,
    /// [`Stage::Opening64`].
    opening: opening::run,
    /// [`Stage::Entry64`].
    entry: new_flow::run,
    /// [`Stage::Mapping64`].
    mapping: new_flow::map,
    /// [`Stage::ErrorOut64`].
    error_out: error_out::run,
}

stages! {
    Tables6, Packet, Stage::Answer;
    /// [`Stage::Inbound64`].
    inbound: inbound::run,
    /// [`Stage::Reply64`].
    reply: reply::run,
    /// [`Stage::Promotion64`].
    promotion: reply::promote,
    /// [`Stage::Invitation64`].
    invitation: invitation::run,
    /// [`Stage::ErrorIn64`].
    error_in: error_in::run,
}
