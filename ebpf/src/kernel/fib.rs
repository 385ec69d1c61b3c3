//! The kernel's routes and neighbours.

use core::hint::black_box;

use aya_ebpf::{
    bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, xdp_md},
    helpers::generated::bpf_fib_lookup,
};
use pointsman_ebpf::abi::{Ipv4, Ipv6, Mac};

/// `AF_INET` and `AF_INET6`.
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;

/// The kernel's `struct bpf_fib_lookup`, as words: of fields of their own, the compiler stores pieces
/// that the verifier calls misaligned. 64 bytes: family and ports; interface and flow; source;
/// destination, which of IPv4 is the first four bytes; VLAN and the first four octets of the source MAC; the last two, and the destination MAC.
#[repr(transparent)]
struct Query([u64; 8]);

/// Where a packet to an address would go.
pub(super) enum Route {
    /// By this interface to this MAC.
    Neighbour(u32, Mac),
    /// By this interface to the neighbour of this address, whose MAC is not known.
    Unknown(u32, Ipv6),
    /// The kernel would not forward it.
    Nowhere,
}

/// Where the kernel would forward a packet to this address, or to this IPv4-mapped one, that came in by
/// the interface.
#[inline(always)]
pub(super) fn route(context: *mut xdp_md, interface: u32, address: Ipv6) -> Route {
    // The compiler would make a call of clearing several words in a row.
    let zero = || black_box(0_u64);
    let (family, upper, lower) = match address.to_ipv4() {
        Some(address) => (AF_INET, u64::from(u32::from_ne_bytes(address.octets())), zero()),
        None => (AF_INET6, address.upper, address.lower),
    };
    let mut query = Query([
        family.to_le(),
        u64::from(interface).to_le(),
        zero(),
        zero(),
        upper,
        lower,
        zero(),
        zero(),
    ]);
    let size = size_of::<Query>() as i32;
    // SAFETY: the query has the size and the layout of the kernel's, and the context is the program's
    // own.
    let result = unsafe { bpf_fib_lookup(context.cast(), (&raw mut query).cast(), size, 0) };
    let [family, flow, _, _, upper, lower, _, macs] = query.0;
    let interface = flow.to_le() as u32;
    if result == i64::from(BPF_FIB_LKUP_RET_SUCCESS) {
        Route::Neighbour(interface, Mac::from_bits(macs.to_le() >> 16))
    } else if result == i64::from(BPF_FIB_LKUP_RET_NO_NEIGH) {
        // A route of IPv4 may have a gateway of IPv6, and says so.
        let is_ipv4 = family.to_le() & 0xff == AF_INET;
        let gateway = Ipv4::new((upper as u32).to_ne_bytes());
        let next_hop = if is_ipv4 { gateway.into() } else { Ipv6 { upper, lower } };
        Route::Unknown(interface, next_hop)
    } else {
        Route::Nowhere
    }
}
