//! The sink: what becomes of the frames is counted by [`Finding`], and that is their end.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_action},
    macros::{map, xdp},
    maps::{HashMap, PerCpuArray},
    programs::XdpContext,
};

use super::{
    packet, setting,
    traffic::{FRAME_LEN, Finding, UDP, flow},
};

/// The sink's MAC, its first four bytes and its last two, as numbers.
#[unsafe(no_mangle)]
static SINK_MAC: [u32; 2] = [0; 2];

/// The source addresses that the gateway may send from: a prefix and its mask, in host byte order.
#[unsafe(no_mangle)]
static SINK_SOURCE: [u32; 2] = [0; 2];

/// The time to live of every frame.
#[unsafe(no_mangle)]
static SINK_TTL: u32 = 0;

/// Frames by [`Finding`].
#[map]
static SINK_FOUND: PerCpuArray<u64> = PerCpuArray::with_max_entries(Finding::ALL.len() as u32, 0);

/// The number of the flow that a public address and port stand for towards a destination. The
/// loader sizes it.
#[map]
static SINK_TRANSLATIONS: HashMap<Translation, u32> = HashMap::with_max_entries(1, 0);

/// In host byte order.
#[repr(C)]
struct Translation {
    source: u32,
    destination: u32,
    source_port: u32,
}

/// Looks at the addresses and the TTL only, so that little of what is timed is the sink.
#[xdp]
fn sink(context: XdpContext) -> u32 {
    examine(&context, glance)
}

/// Looks at all there is.
#[xdp]
fn sink_verify(context: XdpContext) -> u32 {
    examine(&context, |frame| match glance(frame) {
        Finding::Good => verify(frame),
        finding => finding,
    })
}

/// A frame that can be read at any offset below its length.
struct Frame(*const u8);

impl Frame {
    #[inline(always)]
    fn byte(&self, offset: usize) -> u8 {
        // SAFETY: all offsets in this file are constants below `FRAME_LEN`, as the verifier checks.
        unsafe { self.0.add(offset).read() }
    }

    #[inline(always)]
    fn half(&self, offset: usize) -> u16 {
        // SAFETY: as for `byte`.
        u16::from_be(unsafe { self.0.add(offset).cast::<u16>().read_unaligned() })
    }

    #[inline(always)]
    fn word(&self, offset: usize) -> u32 {
        // SAFETY: as for `byte`.
        u32::from_be(unsafe { self.0.add(offset).cast::<u32>().read_unaligned() })
    }
}

#[inline(always)]
fn examine(context: &XdpContext, look: impl Fn(&Frame) -> Finding) -> u32 {
    let Some(start) = packet::<[u8; FRAME_LEN]>(context) else {
        // An ARP request is shorter.
        return xdp_action::XDP_PASS;
    };
    let frame = Frame(start.cast());
    if frame.half(12) != 0x0800 {
        return xdp_action::XDP_PASS;
    }
    if let Some(found) = SINK_FOUND.get_ptr_mut(look(&frame) as u32) {
        // SAFETY: the element is this CPU's own.
        unsafe { *found += 1 };
    }
    xdp_action::XDP_DROP
}

#[inline(always)]
fn glance(frame: &Frame) -> Finding {
    let [head, tail] = setting!(SINK_MAC);
    let [network, mask] = setting!(SINK_SOURCE);
    if frame.word(0) != head || u32::from(frame.half(4)) != tail {
        Finding::Station
    } else if frame.word(26) & mask != network {
        Finding::Source
    } else if u32::from(frame.byte(22)) != setting!(SINK_TTL) {
        Finding::Ttl
    } else {
        Finding::Good
    }
}

#[inline(always)]
fn verify(frame: &Frame) -> Finding {
    let number = frame.word(42);
    let flow = flow(number);
    let to = (frame.word(30), frame.half(36));
    let length = FRAME_LEN as u16 - 14;
    if (frame.byte(14), frame.half(16), frame.byte(23)) != (0x45, length, UDP)
        || to != (flow.destination, flow.destination_port)
    {
        return Finding::Shape;
    }
    if !adds_up(sum(frame, 14, 34)) {
        return Finding::HeaderChecksum;
    }
    let pseudo = sum(frame, 26, 34) + u32::from(UDP) + u32::from(length - 20);
    if frame.half(40) == 0 || !adds_up(pseudo + sum(frame, 34, FRAME_LEN)) {
        return Finding::TransportChecksum;
    }
    let translation = Translation {
        source: frame.word(26),
        destination: flow.destination,
        source_port: u32::from(frame.half(34)),
    };
    claim(&translation, number)
}

/// Notes whose translation this is, or finds that it is another flow's.
#[inline(always)]
fn claim(translation: &Translation, number: u32) -> Finding {
    if SINK_TRANSLATIONS.insert(translation, number, u64::from(BPF_NOEXIST)).is_ok() {
        return Finding::Good;
    }
    match SINK_TRANSLATIONS.get_ptr(translation) {
        // SAFETY: the element outlives the program's run, and nothing changes it.
        Some(owner) if unsafe { *owner } == number => Finding::Good,
        _ => Finding::Shared,
    }
}

/// The sum of the words between two even offsets.
#[inline(always)]
fn sum(frame: &Frame, from: usize, to: usize) -> u32 {
    let mut sum = 0;
    let mut offset = from;
    while offset < to {
        sum += u32::from(frame.half(offset));
        offset += 2;
    }
    sum
}

/// Whether a sum over a checksum and all that it covers is as it should be (RFC 1071).
#[inline(always)]
const fn adds_up(sum: u32) -> bool {
    let sum = (sum >> 16) + (sum & 0xffff);
    (sum >> 16) + (sum & 0xffff) == 0xffff
}
