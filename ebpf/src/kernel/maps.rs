//! The maps. Their names and types are part of the ABI.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, xdp_action},
    macros::map,
    maps::{Array, DevMap, HashMap, PerCpuArray},
};
use pointsman_ebpf::{
    abi::{
        BUCKETS_PER_GROUP, Bucket, COUNTERS, Counter, CounterId, Flow, FlowKey, Group,
        LocalAddress, MAX_GROUPS, MAX_UPLINKS, PORT_SLOTS, Port, Settings, SharedU64, Uplink,
    },
    verdict::{DropReason, Verdict},
    wire::Frame as _,
};

use super::PacketFrame;

/// The uplinks that are alive, a bit each: one element of eight bytes, which the daemon writes
/// through shared memory by one aligned store.
#[map]
pub(super) static SWITCH: Array<SharedU64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The only [`Settings`].
#[map]
pub(super) static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// [`Port`]s, by interface index modulo the size and linear probing.
#[map]
pub(super) static PORTS: Array<Port> = Array::with_max_entries(PORT_SLOTS as u32, 0);

/// [`Uplink`]s by identifier.
#[map]
pub(super) static UPLINKS: Array<Uplink> = Array::with_max_entries(MAX_UPLINKS as u32, 0);

/// [`Group`]s by identifier.
#[map]
pub(super) static GROUPS: Array<Group> = Array::with_max_entries(MAX_GROUPS as u32, 0);

/// The buckets of all groups. The daemon sizes it for the groups that there are.
#[map]
pub(super) static BUCKETS: Array<Bucket> = Array::with_max_entries(BUCKETS_PER_GROUP as u32, 0);

/// Both directions of every flow. The daemon sizes it.
#[map]
pub(super) static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(1 << 19, 0);

/// The gateway's own addresses.
#[map]
pub(super) static LOCAL: HashMap<LocalAddress, u8> = HashMap::with_max_entries(1024, 0);

/// [`Counter`]s by [`CounterId`].
#[map]
static COUNTER: PerCpuArray<Counter> = PerCpuArray::with_max_entries(COUNTERS, 0);

/// Egress interfaces.
#[map]
static EGRESS: DevMap = DevMap::with_max_entries(PORT_SLOTS as u32, 0);

/// Sends the packet out of an interface. Where there is none in the slot, the verdict is a drop.
#[inline(always)]
pub(crate) fn redirect(egress: u16, verdict: Verdict) -> (u32, Verdict) {
    match EGRESS.redirect(u32::from(egress), 0) {
        Ok(action) => (action, verdict),
        Err(_) => (xdp_action::XDP_DROP, Verdict::Drop(DropReason::Redirect)),
    }
}

/// Counts the packet.
#[inline(always)]
pub(crate) fn count(counter: CounterId, frame: &PacketFrame) {
    if let Some(counter) = COUNTER.get_ptr_mut(counter.index()) {
        // SAFETY: the element is this CPU's own, and an XDP program is not interrupted by another
        // on its CPU.
        let counter = unsafe { &mut *counter };
        counter.packets += 1;
        counter.bytes += frame.len() as u64;
    }
}
