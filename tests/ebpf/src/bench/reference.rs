//! The two gateways to compare with. They do not translate.

use aya_ebpf::{
    bindings::xdp_action,
    macros::{map, xdp},
    maps::{DevMap, HashMap},
    programs::XdpContext,
};

use super::{packet, setting};

/// The first 12 bytes of every frame that [`bare`] sends.
#[unsafe(no_mangle)]
static BARE_MACS: [u32; 3] = [0; 3];

/// The interface to send by.
#[map]
static REFERENCE_EGRESS: DevMap = DevMap::with_max_entries(1, 0);

/// The table of [`minimal`], which its loader sizes and fills: 16 bytes of key, 64 of value.
#[map]
static MINIMAL_TABLE: HashMap<Key, Value> = HashMap::with_max_entries(1, 0);

/// A flow, in network byte order.
#[repr(C)]
struct Key {
    source: u32,
    destination: u32,
    ports: u32,
    protocol: u32,
}

#[repr(C)]
struct Value {
    packets: u64,
    macs: [u32; 3],
    reserved: [u32; 11],
}

/// The headers of a packet without IP options.
#[repr(C, packed)]
struct Headers {
    macs: [u32; 3],
    ethertype: u16,
    version_and_length: u8,
    service: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    header_checksum: u16,
    source: u32,
    destination: u32,
    ports: u32,
}

/// Sends every frame on, and looks nothing up.
#[xdp]
fn bare(context: XdpContext) -> u32 {
    let Some(macs) = packet::<[u32; 3]>(&context, 0) else {
        return xdp_action::XDP_ABORTED;
    };
    let new = setting!(BARE_MACS);
    // SAFETY: the packet is long enough.
    unsafe { macs.write_unaligned(new) };
    egress()
}

/// What any flow table on this map type costs at least: one look-up, one change of the entry.
#[xdp]
fn minimal(context: XdpContext) -> u32 {
    look_up(&context).unwrap_or(xdp_action::XDP_PASS)
}

#[inline(always)]
fn look_up(context: &XdpContext) -> Option<u32> {
    let headers = packet::<Headers>(context, 0)?;
    // SAFETY: the packet is long enough, and the type has no alignment of its own.
    let headers = unsafe { &mut *headers };
    if headers.ethertype != 0x0800_u16.to_be() || headers.version_and_length != 0x45 {
        return None;
    }
    let key = Key {
        source: headers.source,
        destination: headers.destination,
        ports: headers.ports,
        protocol: u32::from(headers.protocol),
    };
    let value = MINIMAL_TABLE.get_ptr_mut(&key)?;
    // SAFETY: the element outlives the program's run, and all traffic is on one CPU.
    let value = unsafe { &mut *value };
    value.packets += 1;
    headers.macs = value.macs;
    Some(egress())
}

#[inline(always)]
fn egress() -> u32 {
    REFERENCE_EGRESS.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}
