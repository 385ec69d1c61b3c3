//! 4. IPv4 that no uplink translates: prefixes of the site's own, which reach it by several uplinks.
//!
//! Its flows are entries as those of NAT44 are, of which address and port stay what they are, and go by
//! the routed side of an uplink ([`ROUTED_SIDE`]). What comes in for such a prefix has a realm that all
//! uplinks share ([`ROUTED_REALM`]), so a flow is found whichever uplink its packet came by.
//!
//! Invariant: what is under way to a host's address arrives, by whichever uplink routes it; what leaves,
//! leaves by the one its flow is pinned to, and never by one that does not route its source (BCP 38).
//!
//! [`ROUTED_SIDE`]: crate::abi::ROUTED_SIDE
//! [`ROUTED_REALM`]: crate::abi::ROUTED_REALM

mod inbound;
mod invitation;
mod opening;

pub(super) use inbound::run as inbound;
pub(super) use invitation::run as invitation;
pub(super) use opening::run as opening;

use super::entry;
use super::{FlowTable, Tables};
use crate::abi::{Direction, Flow, FlowKey, Ipv4, LAN_REALM, SharedU64, Track};
use crate::verdict::DropReason;

/// The uplinks that packets from this address may leave by, a bit each, if it is of a prefix that is
/// routed.
#[inline(always)]
pub(super) fn uplinks<T: Tables>(tables: &T, source: Ipv4) -> Option<u64> {
    if tables.settings()?.routed == 0 {
        return None;
    }
    tables.site_prefix(&source.into()).map(|prefix| prefix.uplinks)
}

/// Whether what a LAN host sends from this address may leave by the uplink as it is. The gateway's own
/// is nobody's there.
#[inline(always)]
pub(super) fn may_leave<T: Tables>(tables: &T, source: Ipv4, uplink: u8) -> bool {
    uplinks(tables, source).is_some_and(|uplinks| uplinks >> (uplink & 63) & 1 == 1)
        && tables.local(&source.into()).is_none()
}

/// The routed flow that nobody has answered, or that the LAN has yet to answer, which a packet from
/// outside belongs to, by what the LAN sends of it.
#[inline(always)]
pub(super) fn find_unanswered<'a, T: Tables>(
    tables: &'a T,
    table: FlowTable,
    out_key: &FlowKey,
) -> Option<&'a Flow<SharedU64>> {
    tables.flow(table, out_key).filter(|flow| flow.is_routed())
}

/// Puts both entries of a routed flow into the table of established ones, `out` under `key` and that of
/// what comes in, of which `came` is noted, and takes it out of `table`, if that is another.
///
/// But for that note, and the direction, they are the same, so one is made of the other.
///
/// # Errors
/// Where there is no room for both. Then there is neither.
#[inline(always)]
fn establish<T: Tables>(
    tables: &T,
    table: FlowTable,
    key: &FlowKey,
    out: &mut Flow,
    came: Track,
) -> Result<(), DropReason> {
    let peer_key = key.peer(out);
    let left = Track { mark: out.mark, progress: out.progress };
    turn(out, Direction::In, came);
    let inserted = tables.replace_flow(FlowTable::Established, &peer_key, out);
    inserted.map_err(|_| DropReason::FlowTableFull)?;
    turn(out, Direction::Out, left);
    let inserted = tables.replace_flow(FlowTable::Established, key, out);
    inserted.map_err(|_| {
        tables.retract_flow(FlowTable::Established, &peer_key);
        DropReason::FlowTableFull
    })?;
    if table != FlowTable::Established {
        entry::take_out(tables, table, key);
    }
    Ok(())
}

/// Makes of an entry that of the other direction.
#[inline(always)]
fn turn(flow: &mut Flow, direction: Direction, track: Track) {
    flow.direction = direction as u8;
    flow.mark = track.mark;
    flow.progress = track.progress;
}

/// What the LAN sends of the flow of a packet from outside.
#[inline(always)]
pub(super) fn out_key(key: &FlowKey) -> FlowKey {
    FlowKey::new(key.to(), key.from(), key.protocol(), LAN_REALM)
}
