//! The generator. It is not attached: `BPF_PROG_TEST_RUN` with live frames runs it.
//!
//! The kernel reuses the frames' pages, so the programs find what the gateway made of an earlier
//! frame, and write all of it anew.

use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_get_prandom_u32,
    macros::{map, xdp},
    maps::{Array, DevMap},
    programs::XdpContext,
};

use super::{
    frame::{Link, SYN, write_datagram, write_segment},
    frame6::write_datagram6,
    setting,
    traffic::{Flow, Prefix, flow},
};

/// How many flows there are: a power of two.
#[unsafe(no_mangle)]
static GENERATOR_FLOWS: u32 = 1;

/// The number of the first.
#[unsafe(no_mangle)]
static GENERATOR_FIRST: u32 = 0;

/// How many ends in the LAN they have, as a power of two.
#[unsafe(no_mangle)]
static GENERATOR_ENDS: u32 = 8;

/// The first 12 bytes of every frame: the gateway's MAC, then the generator's.
#[unsafe(no_mangle)]
static GENERATOR_MACS: [u32; 3] = [0; 3];

/// The VLAN whose tag every frame has, or zero.
#[unsafe(no_mangle)]
static GENERATOR_VLAN: u32 = 0;

/// What IPv6 frames are from and to: the prefixes of the LAN hosts and of the destinations.
#[unsafe(no_mangle)]
static GENERATOR_PREFIXES: [Prefix; 2] = [[0; 3]; 2];

/// The interface to send by.
#[map]
static GENERATOR_EGRESS: DevMap = DevMap::with_max_entries(1, 0);

/// How many frames the programs have sent that take the flows in turn.
#[map]
static GENERATOR_SENT: Array<u32> = Array::with_max_entries(1, 0);

/// Sends a datagram of a flow that is drawn at random.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    send_datagram(&context, random()).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Sends a datagram of the next flow.
#[xdp]
fn generate_each(context: XdpContext) -> u32 {
    next().and_then(|number| send_datagram(&context, number)).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Sends a datagram over IPv6, of a flow that is drawn at random.
#[xdp]
fn generate_ipv6(context: XdpContext) -> u32 {
    send_datagram6(&context, random()).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Sends a datagram over IPv6, of the next flow.
#[xdp]
fn generate_each_ipv6(context: XdpContext) -> u32 {
    next().and_then(|number| send_datagram6(&context, number)).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Sends the SYN of the next flow.
#[xdp]
fn generate_syn(context: XdpContext) -> u32 {
    let send = |number| send_segment(&context, number, (SYN, 0));
    next().and_then(send).unwrap_or(xdp_action::XDP_ABORTED)
}

/// 32 random bits.
#[inline(always)]
pub(super) fn random() -> u32 {
    // SAFETY: the helper takes nothing and has no precondition.
    unsafe { bpf_get_prandom_u32() }
}

/// Counts one up.
#[inline(always)]
fn next() -> Option<u32> {
    let sent = GENERATOR_SENT.get_ptr_mut(0)?;
    // SAFETY: the element is valid, and only one thread runs the program.
    let number = unsafe { *sent };
    // SAFETY: as above.
    unsafe { *sent = number.wrapping_add(1) };
    Some(number)
}

/// The flow that a number of any size stands for.
#[inline(always)]
fn numbered(number: u32) -> u32 {
    setting!(GENERATOR_FIRST) + (number & (setting!(GENERATOR_FLOWS) - 1))
}

#[inline(always)]
pub(super) fn send_datagram(context: &XdpContext, number: u32) -> Option<u32> {
    let number = numbered(number);
    let flow = flow(number, setting!(GENERATOR_ENDS));
    send(context, &flow, number)
}

#[inline(always)]
fn send_datagram6(context: &XdpContext, number: u32) -> Option<u32> {
    let number = numbered(number);
    let flow = flow(number, setting!(GENERATOR_ENDS));
    let prefixes = setting!(GENERATOR_PREFIXES);
    write_datagram6(context, link(), prefixes, &flow, number)?;
    egress()
}

/// Sends a segment with these flags and this sequence number.
#[inline(always)]
pub(super) fn send_segment(context: &XdpContext, number: u32, state: (u16, u32)) -> Option<u32> {
    let number = numbered(number);
    let flow = flow(number, setting!(GENERATOR_ENDS));
    write_segment(context, link(), &flow, number, state)?;
    egress()
}

/// Sends a datagram of any flow.
#[inline(always)]
pub(super) fn send(context: &XdpContext, flow: &Flow, number: u32) -> Option<u32> {
    write_datagram(context, link(), flow, number)?;
    egress()
}

#[inline(always)]
fn link() -> Link {
    Link { macs: setting!(GENERATOR_MACS), vlan: setting!(GENERATOR_VLAN) }
}

#[inline(always)]
fn egress() -> Option<u32> {
    GENERATOR_EGRESS.redirect(0, 0).ok()
}
