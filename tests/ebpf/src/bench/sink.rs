//! The sink: what becomes of the frames is counted by [`Finding`], and that is their end, or they
//! are answered. These programs are for IPv4.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_action},
    macros::{map, xdp},
    maps::{Array, HashMap, PerCpuArray},
    programs::XdpContext,
};

use super::{
    frame::{Frame, Frame4, TCP, TCP_NUMBER, UDP_NUMBER, adds_up},
    setting,
    traffic::{FRAME_LEN, Finding, Flow, UDP, flow},
};

/// The sink's MAC, its first four bytes and its last two, as numbers.
#[unsafe(no_mangle)]
pub(super) static SINK_MAC: [u32; 2] = [0; 2];

/// The source addresses that the gateway may send from: a prefix and its mask, in host byte order.
#[unsafe(no_mangle)]
static SINK_SOURCE: [u32; 2] = [0; 2];

/// The time to live, or hop limit, of every frame.
#[unsafe(no_mangle)]
pub(super) static SINK_TTL: u32 = 0;

/// The VLAN whose tag every frame has, or zero.
#[unsafe(no_mangle)]
pub(super) static SINK_VLAN: u32 = 0;

/// The same of what comes back to the generator.
#[unsafe(no_mangle)]
pub(super) static RETURNS_VLAN: u32 = 0;

/// How many ends the flows have in the LAN, as a power of two.
#[unsafe(no_mangle)]
pub(super) static SINK_ENDS: u32 = 8;

/// Frames by [`Finding`].
#[map]
pub(super) static SINK_FOUND: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Finding::ALL.len() as u32, 0);

/// The number of the flow that a public address and port stand for towards a destination. The
/// loader sizes it.
#[map]
static SINK_TRANSLATIONS: HashMap<Translation, u32> = HashMap::with_max_entries(1, 0);

/// How many translations there are.
#[map]
static SINK_CLAIMED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The next sequence number of every TCP flow, or zero. The loader sizes it.
#[map]
static SINK_SEQUENCES: Array<u32> = Array::with_max_entries(1, 0);

/// Answers that came back to the generator, by [`Finding`].
#[map]
pub(super) static RETURNS_FOUND: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Finding::ALL.len() as u32, 0);

/// The next sequence number of every TCP flow in what comes back, or zero. The loader sizes it.
#[map]
static RETURNS_SEQUENCES: Array<u32> = Array::with_max_entries(1, 0);

/// In host byte order. Of IPv6 addresses, what follows the prefix.
#[repr(C)]
pub(super) struct Translation {
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) source_port: u32,
}

/// Looks at the addresses and the TTL only, so that little of what is timed is the sink.
#[xdp]
fn sink(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, glance, |_| xdp_action::XDP_DROP)
}

/// Looks at all there is.
#[xdp]
fn sink_verify(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, verify, |_| xdp_action::XDP_DROP)
}

/// Looks at all there is, and answers.
#[xdp]
fn sink_answer(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, verify, |frame| {
        frame.turn();
        xdp_action::XDP_TX
    })
}

/// Answers TCP segments, and looks at all of them and at their order; other frames are given a
/// glance and no answer.
#[xdp]
fn sink_paced(context: XdpContext) -> u32 {
    let look = |frame: &Frame4| match glance(frame) {
        Finding::Good if frame.byte(23) == TCP => match verify(frame) {
            Finding::Good => follow(&SINK_SEQUENCES, frame),
            finding => finding,
        },
        finding => finding,
    };
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, look, |frame| {
        if frame.byte(23) != TCP {
            return xdp_action::XDP_DROP;
        }
        frame.turn();
        xdp_action::XDP_TX
    })
}

/// The generator's own network card: looks at all there is of the answers, and counts them.
#[xdp]
fn returns(context: XdpContext) -> u32 {
    examine(&context, setting!(RETURNS_VLAN), &RETURNS_FOUND, came_back, |_| xdp_action::XDP_DROP)
}

#[inline(always)]
fn examine(
    context: &XdpContext,
    vlan: u32,
    found: &PerCpuArray<u64>,
    look: impl Fn(&Frame4) -> Finding,
    good: impl Fn(&Frame4) -> u32,
) -> u32 {
    match Frame::of(context, vlan) {
        Some(frame) if frame.half(12) == 0x0800 => conclude(&frame, found, look, good),
        // An ARP request is shorter, and so on.
        _ => xdp_action::XDP_PASS,
    }
}

/// Counts what is found in a frame, and says what becomes of it.
#[inline(always)]
pub(super) fn conclude<const LEN: usize>(
    frame: &Frame<LEN>,
    found: &PerCpuArray<u64>,
    look: impl Fn(&Frame<LEN>) -> Finding,
    good: impl Fn(&Frame<LEN>) -> u32,
) -> u32 {
    let finding = look(frame);
    count(found, finding as u32);
    if finding == Finding::Good { good(frame) } else { xdp_action::XDP_DROP }
}

#[inline(always)]
fn count(counters: &PerCpuArray<u64>, index: u32) {
    if let Some(counter) = counters.get_ptr_mut(index) {
        // SAFETY: the element is this CPU's own.
        unsafe { *counter += 1 };
    }
}

#[inline(always)]
fn glance(frame: &Frame4) -> Finding {
    let [network, mask] = setting!(SINK_SOURCE);
    if !is_for_sink(frame) {
        Finding::Station
    } else if frame.word(26) & mask != network {
        Finding::Source
    } else if u32::from(frame.byte(22)) != setting!(SINK_TTL) {
        Finding::Ttl
    } else {
        Finding::Good
    }
}

/// Whether a frame is addressed to the sink's MAC.
#[inline(always)]
pub(super) fn is_for_sink<const LEN: usize>(frame: &Frame<LEN>) -> bool {
    let [head, tail] = setting!(SINK_MAC);
    frame.station() == [head, tail]
}

#[inline(always)]
fn verify(frame: &Frame4) -> Finding {
    let finding = glance(frame);
    if finding != Finding::Good {
        return finding;
    }
    let Some((number, flow)) = flow_of(frame) else {
        return Finding::Shape;
    };
    if (frame.word(30), frame.half(36)) != (flow.destination, flow.destination_port) {
        return Finding::Shape;
    }
    match checksums(frame) {
        Finding::Good => {}
        finding => return finding,
    }
    let translation = Translation {
        source: frame.word(26),
        destination: flow.destination,
        // TCP has ports of its own.
        source_port: u32::from(frame.half(34)) | u32::from(frame.byte(23)) << 16,
    };
    claim(&translation, number)
}

/// Looks at an answer.
#[inline(always)]
fn came_back(frame: &Frame4) -> Finding {
    let Some((_, flow)) = flow_of(frame) else {
        return Finding::Shape;
    };
    let ends = (frame.word(26), frame.half(34), frame.word(30), frame.half(36));
    if ends != (flow.destination, flow.destination_port, flow.source, flow.source_port) {
        return Finding::Shape;
    }
    match checksums(frame) {
        Finding::Good if frame.byte(23) == TCP => follow(&RETURNS_SEQUENCES, frame),
        finding => finding,
    }
}

/// The flow whose number a frame carries, if it is one of the benchmark's.
#[inline(always)]
fn flow_of(frame: &Frame4) -> Option<(u32, Flow)> {
    if (frame.byte(14), frame.half(16)) != (0x45, FRAME_LEN as u16 - 14) {
        return None;
    }
    let number = match frame.byte(23) {
        UDP => frame.word(UDP_NUMBER),
        TCP => frame.word(TCP_NUMBER),
        _ => return None,
    };
    Some((number, flow(number, setting!(SINK_ENDS))))
}

#[inline(always)]
fn checksums(frame: &Frame4) -> Finding {
    if !adds_up(frame.sum(14, 34)) {
        return Finding::HeaderChecksum;
    }
    let protocol = frame.byte(23);
    let length = FRAME_LEN as u32 - 34;
    let pseudo = frame.sum(26, 34) + u32::from(protocol) + length;
    let is_left_out = protocol == UDP && frame.half(40) == 0;
    if is_left_out || !adds_up(pseudo + frame.sum(34, FRAME_LEN)) {
        return Finding::TransportChecksum;
    }
    Finding::Good
}

/// Notes whose translation this is, or finds that it is another flow's.
#[inline(always)]
pub(super) fn claim(translation: &Translation, number: u32) -> Finding {
    if SINK_TRANSLATIONS.insert(translation, number, u64::from(BPF_NOEXIST)).is_ok() {
        count(&SINK_CLAIMED, 0);
        return Finding::Good;
    }
    match SINK_TRANSLATIONS.get_ptr(translation) {
        // SAFETY: the element outlives the program's run, and nothing changes it.
        Some(owner) if unsafe { *owner } == number => Finding::Good,
        _ => Finding::Shared,
    }
}

/// Whether a segment is the one that its flow has next.
#[inline(always)]
fn follow(sequences: &Array<u32>, frame: &Frame4) -> Finding {
    let Some(next) = sequences.get_ptr_mut(frame.word(TCP_NUMBER)) else {
        return Finding::Shape;
    };
    let sequence = frame.word(38);
    // SAFETY: the element is valid, and all traffic is on one CPU.
    let expected = unsafe { next.replace(sequence + 1) };
    if sequence == expected { Finding::Good } else { Finding::Sequence }
}
