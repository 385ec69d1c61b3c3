//! The sink's programs for IPv6.

use aya_ebpf::{bindings::xdp_action, macros::xdp, maps::PerCpuArray, programs::XdpContext};

use super::{
    frame::{Frame, adds_up},
    frame6::{DATAGRAM_LEN, Frame6, NUMBER},
    setting,
    sink::{
        RETURNS_FOUND, RETURNS_VLAN, SINK_ENDS, SINK_FOUND, SINK_TTL, SINK_VLAN, Translation,
        claim, conclude, is_for_sink,
    },
    traffic::{FRAME_LEN_IPV6, Finding, Flow, Prefix, UDP, flow},
};

/// What arrives at the sink is from and to: the prefixes of the LAN hosts' addresses, as the gateway
/// is to translate them, and of the destinations.
#[unsafe(no_mangle)]
static SINK_PREFIXES: [Prefix; 2] = [[0; 3]; 2];

/// The rest of the address that the gateway is to send all from, by ports of its choice. Zero where hosts
/// keep theirs.
#[unsafe(no_mangle)]
static SINK_SHARED: u32 = 0;

/// What comes back to the generator is from and to: the prefixes of the destinations, and of the LAN
/// hosts' own addresses.
#[unsafe(no_mangle)]
static RETURNS_PREFIXES: [Prefix; 2] = [[0; 3]; 2];

/// Looks at the source's prefix and the hop limit only, so that little of what is timed is the sink.
#[xdp]
fn sink_ipv6(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, glance, |_| xdp_action::XDP_DROP)
}

/// Looks at all there is.
#[xdp]
fn sink_verify_ipv6(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, verify, |_| xdp_action::XDP_DROP)
}

/// Looks at all there is, and answers.
#[xdp]
fn sink_answer_ipv6(context: XdpContext) -> u32 {
    examine(&context, setting!(SINK_VLAN), &SINK_FOUND, verify, |frame| {
        frame.turn();
        xdp_action::XDP_TX
    })
}

/// The generator's own network card: looks at all there is of the answers, and counts them.
#[xdp]
fn returns_ipv6(context: XdpContext) -> u32 {
    examine(&context, setting!(RETURNS_VLAN), &RETURNS_FOUND, came_back, |_| xdp_action::XDP_DROP)
}

#[inline(always)]
fn examine(
    context: &XdpContext,
    vlan: u32,
    found: &PerCpuArray<u64>,
    look: impl Fn(&Frame6) -> Finding,
    good: impl Fn(&Frame6) -> u32,
) -> u32 {
    match Frame::of(context, vlan) {
        // What the gateway's kernel has to say on the link is to groups, and no traffic.
        Some(frame) if frame.half(12) == 0x86dd && !frame.is_to_group() => {
            conclude(&frame, found, look, good)
        }
        _ => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn glance(frame: &Frame6) -> Finding {
    let [source, _] = setting!(SINK_PREFIXES);
    if !is_for_sink(frame) {
        Finding::Station
    } else if !frame.has_prefix(22, source) {
        Finding::Source
    } else if u32::from(frame.byte(21)) != setting!(SINK_TTL) {
        Finding::Ttl
    } else {
        Finding::Good
    }
}

#[inline(always)]
fn verify(frame: &Frame6) -> Finding {
    let finding = glance(frame);
    if finding != Finding::Good {
        return finding;
    }
    let Some((number, flow)) = flow_of(frame) else {
        return Finding::Shape;
    };
    let [_, destination] = setting!(SINK_PREFIXES);
    let (source, source_port) = (frame.word(34), frame.half(54));
    let expected = match setting!(SINK_SHARED) {
        0 => (flow.source, flow.source_port),
        shared => (shared, source_port),
    };
    if (source, source_port) != expected {
        return Finding::Source;
    }
    if !frame.has_prefix(38, destination)
        || (frame.word(50), frame.half(56)) != (flow.destination, flow.destination_port)
    {
        return Finding::Shape;
    }
    if !is_intact(frame) {
        return Finding::TransportChecksum;
    }
    let translation =
        Translation { source, destination: flow.destination, source_port: source_port.into() };
    claim(&translation, number)
}

/// Looks at an answer.
#[inline(always)]
fn came_back(frame: &Frame6) -> Finding {
    let Some((_, flow)) = flow_of(frame) else {
        return Finding::Shape;
    };
    let [source, destination] = setting!(RETURNS_PREFIXES);
    let ends = (frame.word(34), frame.half(54), frame.word(50), frame.half(56));
    if !frame.has_prefix(22, source)
        || !frame.has_prefix(38, destination)
        || ends != (flow.destination, flow.destination_port, flow.source, flow.source_port)
    {
        return Finding::Shape;
    }
    if is_intact(frame) { Finding::Good } else { Finding::TransportChecksum }
}

/// The flow whose number a frame carries, if it is one of the benchmark's.
#[inline(always)]
fn flow_of(frame: &Frame6) -> Option<(u32, Flow)> {
    let shape = (frame.word(14), frame.half(18), frame.byte(20), frame.half(58));
    if shape != (0x6000_0000, DATAGRAM_LEN, UDP, DATAGRAM_LEN) {
        return None;
    }
    let number = frame.word(NUMBER);
    Some((number, flow(number, setting!(SINK_ENDS))))
}

/// Whether the checksum is there and right.
#[inline(always)]
fn is_intact(frame: &Frame6) -> bool {
    let pseudo = frame.sum(22, 54) + u32::from(UDP) + u32::from(DATAGRAM_LEN);
    frame.half(60) != 0 && adds_up(pseudo + frame.sum(54, FRAME_LEN_IPV6))
}
