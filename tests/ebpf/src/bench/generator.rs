//! The generator. It is not attached: `BPF_PROG_TEST_RUN` with live frames runs it.
//!
//! The kernel reuses the frames' pages, so the program finds what the gateway made of an earlier
//! frame, and writes all headers anew.

use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_get_prandom_u32,
    macros::{map, xdp},
    maps::{Array, DevMap},
    programs::XdpContext,
};

use super::{
    packet, setting,
    traffic::{FRAME_LEN, TTL, UDP, flow},
};

/// How many flows there are: a power of two.
#[unsafe(no_mangle)]
static GENERATOR_FLOWS: u32 = 1;

/// The first 12 bytes of every frame: the gateway's MAC, then the generator's.
#[unsafe(no_mangle)]
static GENERATOR_MACS: [u32; 3] = [0; 3];

/// The interface to send by.
#[map]
static GENERATOR_EGRESS: DevMap = DevMap::with_max_entries(1, 0);

/// How many frames [`generate_each`] has sent.
#[map]
static GENERATOR_SENT: Array<u32> = Array::with_max_entries(1, 0);

/// Sends a frame of a flow that is drawn at random.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    // SAFETY: the helper takes nothing and has no precondition.
    send(&context, unsafe { bpf_get_prandom_u32() })
}

/// Sends a frame of the next flow.
#[xdp]
fn generate_each(context: XdpContext) -> u32 {
    let Some(sent) = GENERATOR_SENT.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: the element is valid, and only one thread runs the program.
    let number = unsafe { *sent };
    // SAFETY: as above.
    unsafe { *sent = number.wrapping_add(1) };
    send(&context, number)
}

/// The headers of a frame, and its flow's number as the payload. All in network byte order.
#[repr(C, packed)]
struct Headers {
    macs: [u32; 3],
    ethertype: u16,
    version_and_service: u16,
    total_length: u16,
    identification: u16,
    fragment: u16,
    ttl_and_protocol: u16,
    header_checksum: u16,
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
    udp_length: u16,
    udp_checksum: u16,
    number: u32,
}

const TOTAL_LENGTH: u16 = FRAME_LEN as u16 - 14;
const UDP_LENGTH: u16 = TOTAL_LENGTH - 20;
const VERSION_AND_SERVICE: u16 = 0x4500;
const DO_NOT_FRAGMENT: u16 = 0x4000;
const TTL_AND_PROTOCOL: u16 = (TTL as u16) << 8 | UDP as u16;

/// The part of the header checksum's sum that no flow changes.
const HEADER_SUM: u32 = VERSION_AND_SERVICE as u32
    + TOTAL_LENGTH as u32
    + DO_NOT_FRAGMENT as u32
    + TTL_AND_PROTOCOL as u32;

/// The same of UDP's: protocol and length from the pseudo-header, and the length again (RFC 768).
const UDP_SUM: u32 = UDP as u32 + 2 * UDP_LENGTH as u32;

#[inline(always)]
fn send(context: &XdpContext, number: u32) -> u32 {
    let Some(headers) = packet::<Headers>(context) else {
        return xdp_action::XDP_ABORTED;
    };
    let number = number & (setting!(GENERATOR_FLOWS) - 1);
    let flow = flow(number);
    let addresses = words(flow.source) + words(flow.destination);
    let ports = u32::from(flow.source_port) + u32::from(flow.destination_port);
    let udp_checksum = checksum(UDP_SUM + addresses + ports + words(number));
    let frame = Headers {
        macs: setting!(GENERATOR_MACS),
        ethertype: 0x0800_u16.to_be(),
        version_and_service: VERSION_AND_SERVICE.to_be(),
        total_length: TOTAL_LENGTH.to_be(),
        identification: 0,
        fragment: DO_NOT_FRAGMENT.to_be(),
        ttl_and_protocol: TTL_AND_PROTOCOL.to_be(),
        header_checksum: checksum(HEADER_SUM + addresses).to_be(),
        source: flow.source.to_be(),
        destination: flow.destination.to_be(),
        source_port: flow.source_port.to_be(),
        destination_port: flow.destination_port.to_be(),
        udp_length: UDP_LENGTH.to_be(),
        // Zero would say that there is none (RFC 768).
        udp_checksum: if udp_checksum == 0 { 0xffff } else { udp_checksum.to_be() },
        number: number.to_be(),
    };
    // SAFETY: the packet is long enough, and the type has no alignment of its own.
    unsafe { headers.write(frame) };
    GENERATOR_EGRESS.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

/// The sum of the two words.
#[inline(always)]
const fn words(value: u32) -> u32 {
    (value >> 16) + (value & 0xffff)
}

/// The Internet checksum of this sum (RFC 1071).
#[inline(always)]
const fn checksum(sum: u32) -> u16 {
    !(words(words(sum)) as u16)
}
