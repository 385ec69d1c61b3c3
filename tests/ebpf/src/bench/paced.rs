//! TCP flows at a steady pace, and a flood beside them. `BPF_PROG_TEST_RUN` with live frames runs
//! it, once for each frame: it waits until the next one of either is due.

use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_ktime_get_ns,
    macros::{map, xdp},
    maps::Array,
    programs::XdpContext,
};

use super::{
    frame::ACK,
    generator::{random, send, send_datagram, send_segment},
    setting,
    traffic::Flow,
};

/// The time between two segments, of any of the flows, in nanoseconds.
#[unsafe(no_mangle)]
static PACED_INTERVAL: u64 = 1;

/// The time between two frames of the flood, in nanoseconds.
#[unsafe(no_mangle)]
static FLOOD_INTERVAL: u64 = 1;

/// How many flows have a pace. They are the first ones of all.
#[unsafe(no_mangle)]
static PACED_FLOWS: u32 = 1;

/// The LAN host that floods, 10.1.2.1, in host byte order.
const FLOODER: u32 = 0x0a01_0201;

/// The destinations of its random packets, 198.19.0.0/16, in host byte order.
const FLOOD_DESTINATIONS: u32 = 0xc613_0000;

/// How often the clock is read for one frame at most: much longer than any interval.
const LOOKS: u32 = 4096;

/// Where the two stand.
#[repr(C)]
struct Schedule {
    /// When the next segment is due, in nanoseconds of the monotonic clock; zero before the first.
    paced_due: u64,
    /// The same of the flood.
    flood_due: u64,
    /// By how much a segment was late at most, in nanoseconds.
    latest: u64,
    /// How many segments were sent.
    segments: u32,
    /// The flow of the next segment.
    flow: u32,
    /// Its sequence number.
    sequence: u32,
    reserved: u32,
}

#[map]
static SCHEDULE: Array<Schedule> = Array::with_max_entries(1, 0);

/// Sends the next frame, when it is due; the flood is of flows that are known.
#[xdp]
fn generate_beside_known(context: XdpContext) -> u32 {
    next(&context, send_datagram).unwrap_or(xdp_action::XDP_ABORTED)
}

/// The same; the flood is of random addresses and ports.
#[xdp]
fn generate_beside_random(context: XdpContext) -> u32 {
    next(&context, send_random).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn next(context: &XdpContext, flood: impl Fn(&XdpContext, u32) -> Option<u32>) -> Option<u32> {
    // SAFETY: the element is valid, and only one thread runs the program.
    let schedule = unsafe { &mut *SCHEDULE.get_ptr_mut(0)? };
    if schedule.paced_due == 0 {
        schedule.paced_due = clock();
        schedule.flood_due = schedule.paced_due;
    }
    if schedule.paced_due > schedule.flood_due {
        wait(schedule.flood_due);
        schedule.flood_due += setting!(FLOOD_INTERVAL);
        return flood(context, random());
    }
    let late = wait(schedule.paced_due).saturating_sub(schedule.paced_due);
    schedule.latest = schedule.latest.max(late);
    schedule.paced_due += setting!(PACED_INTERVAL);
    schedule.segments += 1;
    let (flow, sequence) = (schedule.flow, schedule.sequence);
    schedule.flow = flow + 1;
    if schedule.flow >= setting!(PACED_FLOWS) {
        schedule.flow = 0;
        schedule.sequence = sequence + 1;
    }
    send_segment(context, flow, (ACK, sequence + 1))
}

/// Sends a datagram with addresses and ports that 32 random bits stand for.
#[inline(always)]
fn send_random(context: &XdpContext, random: u32) -> Option<u32> {
    let flow = Flow {
        source: FLOODER,
        destination: FLOOD_DESTINATIONS + (random & 0xffff),
        source_port: (random >> 16) as u16 | 1024,
        destination_port: random as u16,
    };
    send(context, &flow, random)
}

/// Waits until it is as late, and returns how late it is.
#[inline(always)]
fn wait(due: u64) -> u64 {
    let mut now = clock();
    for _ in 0..LOOKS {
        if now >= due {
            break;
        }
        now = clock();
    }
    now
}

#[inline(always)]
fn clock() -> u64 {
    // SAFETY: the helper takes nothing and has no precondition.
    unsafe { bpf_ktime_get_ns() }
}
