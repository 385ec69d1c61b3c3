use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns},
    },
};
use pointsman_ebpf::{
    abi::{
        Bucket, Epoch, Flow, FlowKey, Group, LocalAddress, Mac, PORT_PROBES, PORT_SLOTS, Port,
        Settings, SharedU64, Uplink,
    },
    path::{self, InsertError, Tables},
    verdict::DropReason,
};

use super::maps::{BUCKETS, FLOWS, GROUPS, LOCAL, PORTS, SETTINGS, SWITCH, UPLINKS};

/// `EEXIST` of the kernel.
const EXISTS: i32 = -17;

/// The BPF maps.
pub(crate) struct KernelTables;

impl Tables for KernelTables {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and has no precondition.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn epoch(&self) -> Epoch {
        // SAFETY: as for `now`.
        Epoch::of_jiffies(unsafe { bpf_jiffies64() })
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: as for `now`.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn port(&self, ifindex: u32) -> Option<&Port> {
        for probe in 0..PORT_PROBES as u32 {
            let port = PORTS.get((ifindex + probe) & (PORT_SLOTS as u32 - 1))?;
            if port.ifindex == ifindex {
                return Some(port);
            }
        }
        None
    }

    #[inline(always)]
    fn alive(&self) -> u64 {
        SWITCH.get(0).map_or(0, SharedU64::load)
    }

    #[inline(always)]
    fn uplink(&self, uplink: u8) -> Option<&Uplink> {
        UPLINKS.get(u32::from(uplink))
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        let flow = FLOWS.get_ptr(key)?;
        // SAFETY: the memory is a `Flow` for as long as the map lives, for elements are
        // preallocated, and `Flow<SharedU64>` has the layout of `Flow`. An element that is removed
        // meanwhile may be given to another flow at once: the packet in hand may then be rewritten
        // by that one's entry, so no bit pattern may do harm, and none does.
        Some(unsafe { &*flow.cast() })
    }

    #[inline(always)]
    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        FLOWS.insert(key, flow, u64::from(BPF_NOEXIST)).map_err(insert_error)
    }

    #[inline(always)]
    fn replace_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        FLOWS.insert(key, flow, u64::from(BPF_ANY)).map_err(insert_error)
    }

    #[inline(always)]
    fn retract_flow(&self, key: &FlowKey) {
        // That it is gone already is what is wanted.
        let _ = FLOWS.remove(key);
    }

    #[inline(always)]
    fn is_local(&self, address: &LocalAddress) -> bool {
        LOCAL.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0).filter(|settings| settings.abi_version != 0)
    }

    #[inline(always)]
    fn group(&self, group: u8) -> Option<&Group> {
        GROUPS.get(u32::from(group))
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<Bucket> {
        BUCKETS.get(index).copied()
    }

    #[inline(always)]
    fn open(&self, key: &FlowKey, host: Mac, len: usize, port: &Port) -> Result<(), DropReason> {
        match open_flow(key, host.to_bits(), len, port) {
            OPENED => Ok(()),
            reason => Err(DropReason::from_index(reason).unwrap_or(DropReason::NotReady)),
        }
    }
}

/// What [`open_flow`] returns where it is not a [`DropReason`].
const OPENED: u32 = DropReason::COUNT as u32;

/// [`path::open_flow`] as a global BPF function: the symbol is exported, so the verifier takes
/// nothing from the caller for granted, and checks it once. Such a function takes integers and
/// pointers only.
///
/// Returns the index of a [`DropReason`], or [`OPENED`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn open_flow(key: *const FlowKey, host: u64, len: usize, port: *const Port) -> u32 {
    // SAFETY: the only caller passes references. To the verifier they may be null until compared.
    let (key, port) = unsafe { (key.as_ref(), port.as_ref()) };
    let (Some(key), Some(port)) = (key, port) else {
        return DropReason::NotReady as u32;
    };
    match path::open_flow(&KernelTables, key, Mac::from_bits(host), len, port) {
        Ok(()) => OPENED,
        Err(reason) => reason as u32,
    }
}

#[inline(always)]
fn insert_error(error: i32) -> InsertError {
    if error == EXISTS { InsertError::Exists } else { InsertError::Full }
}
