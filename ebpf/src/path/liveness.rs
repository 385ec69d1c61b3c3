//! Whether a packet that is for the kernel shows that the other system of an uplink's BFD session is there
//! (RFC 5880): then the uplink's deadline is put off, without the daemon.
//!
//! What counts is a packet like the last one that the daemon has believed, bit for bit but for those of a Poll
//! Sequence: so it is of the session, says that the other system is up, and agrees to nothing new. Of an
//! authenticated session the digest is not computed, but what says which key it is by, and the sequence
//! number, are compared; the daemon gets to see such packets too. Nobody who is not on the link sends a TTL
//! of 255 (RFC 5082), and over several hops (RFC 5883) the discriminators are 64 bits to guess.
//!
//! What a router sends back of the gateway's own packets (RFC 9747) puts nothing off: who sends them knows
//! whether silence means anything, and sets a deadline only where it does.

use core::hint::black_box;

use super::Tables;
use crate::abi::{Monitor, PortKey, PortRole, SharedU64, Watch};
use crate::wire::{
    ETHERNET_LEN, EtherType, Ethernet, Frame, IPV6_LEN, Ipv4Header, Ipv6Header, Ports, Protocol,
};

/// The lengths of a UDP header, and of a control packet without authentication, in bytes.
const UDP_LEN: usize = 8;
const CONTROL_LEN: usize = 24;

/// The bytes of a word.
const WORD: usize = size_of::<u64>();

/// In the first word of a control packet: its state, and poll and final.
const STATE_BITS: u64 = 0xc000;
const POLL_AND_FINAL: u64 = 0x3000;

/// The version with the diagnostic, and the state, of a system that has not heard the other for the detection
/// time (RFC 5880 section 4.1); and the bits in which a packet with those is as any of the session: length
/// and own discriminator.
const SILENCE: u64 = 0x4021;
const SILENCE_BITS: u64 = STATE_BITS | 0x00ff;
const SESSION_BITS: u64 = 0xffff_ffff_ff00_0000;

/// How long such a system is believed to be there at most, without another packet, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;

/// Takes note of a frame that came in by a port and is handed to the kernel, with so many bytes of tags before
/// the packet. Says whether there is nothing in it that the daemon wants to know.
#[inline(always)]
pub fn hear<F: Frame, T: Tables>(frame: &F, tables: &T, port: PortKey, tags: usize) -> bool {
    listen(frame, tables, port, tags).unwrap_or(false)
}

#[inline(always)]
fn listen<F: Frame, T: Tables>(frame: &F, tables: &T, port: PortKey, tags: usize) -> Option<bool> {
    let port = tables.port(port).filter(|port| port.role == PortRole::Uplink as u8)?;
    let monitor = tables.monitor(port.uplink)?;
    let deadline = tables.deadline(port.uplink)?;
    // Before it is known what for: where the daemon has its say meanwhile, that stands.
    let known = deadline.acquire();
    let watch = Watch(monitor.watch.acquire());
    if watch == Watch::default() {
        return None;
    }
    // What is for another station, the kernel does not take either.
    if Ethernet::new(frame.macs()?, [0; 2]).destination() != port.mac {
        return None;
    }
    let (udp, ttl) = transport(frame, tags)?;
    let ports: Ports = frame.read(udp)?;
    let length = u16::from_be_bytes(frame.read(udp + 4)?);
    let section_len = usize::from(watch.section_len());
    let is_of_session = ttl >= watch.ttl()
        && ports.destination().to_host() == watch.port()
        && usize::from(length) == UDP_LEN + CONTROL_LEN + section_len;
    if !is_of_session {
        return None;
    }
    let words: [[u8; WORD]; 3] = frame.read(udp + UDP_LEN)?;
    let control = words.map(u64::from_le_bytes);
    let section = udp + UDP_LEN + CONTROL_LEN;
    if section_len != 0 && !has_section(frame, monitor, section) {
        return None;
    }
    let now = tables.exact_now();
    let holds = holds_for(monitor, watch, &control, now)?;
    if watch.is_numbered() && !takes(frame, monitor, watch, section) {
        return None;
    }
    deadline.replace(known, now.wrapping_add(holds));
    monitor.heard.store(now);
    let is_news = section_len != 0
        || control[0] & POLL_AND_FINAL != 0
        || control[0] & STATE_BITS != STATE_BITS;
    Some(!is_news)
}

/// The mandatory section, in words whose least significant byte comes first.
type Control = [u64; 3];

/// Where the UDP header is of the packet behind so many bytes of tags, and its TTL.
#[inline(always)]
fn transport<F: Frame>(frame: &F, tags: usize) -> Option<(usize, u8)> {
    // Were the compiler to count one from the other, the verifier would lose sight of a bound.
    let start = ETHERNET_LEN + black_box(tags);
    let ether_type: [u8; 2] = frame.read(ETHERNET_LEN - 2 + tags)?;
    if ether_type == EtherType::IPV4 {
        let header: Ipv4Header = frame.read(start)?;
        let is_whole = header.version() == 4 && !header.is_fragment();
        let is_udp = is_whole && header.protocol == Protocol::UDP;
        is_udp.then(|| (start + header.header_len(), header.ttl))
    } else if ether_type == EtherType::IPV6 {
        let header: Ipv6Header = frame.read(start)?;
        let is_udp = header.version() == 6 && header.next_header == Protocol::UDP;
        is_udp.then_some((start + IPV6_LEN, header.hop_limit))
    } else {
        None
    }
}

/// How long a packet holds the uplink alive, in nanoseconds, if it is what is expected.
#[inline(always)]
fn holds_for(
    monitor: &Monitor<SharedU64>,
    watch: Watch,
    control: &Control,
    now: u64,
) -> Option<u64> {
    let [head, discriminator, echo] = &monitor.control;
    let expected = [head, discriminator, echo].map(|word| u64::from_le(word.load()));
    if [control[0] & !POLL_AND_FINAL, control[1], control[2]] == expected {
        return Some(monitor.detection.load());
    }
    let is_silent = now.wrapping_sub(monitor.sent.load()) as i64 >= monitor.silence.load() as i64;
    if !is_silent || !reports_silence(control, &expected, watch) {
        return None;
    }
    Some(slow_detection(control)).filter(|time| *time != 0)
}

/// Whether the other system says that it hears nothing of this one any more. While the daemon is held up,
/// that is no wonder, and says that the uplink is fine. It has forgotten this system's discriminator
/// by then, or not (RFC 5880 section 6.8.1); over several hops it has to know it, for nothing else but its own
/// is to be guessed.
#[inline(always)]
fn reports_silence(control: &Control, expected: &Control, watch: Watch) -> bool {
    let named = control[1] as u32;
    control[0] & SILENCE_BITS == SILENCE
        && (control[0] ^ expected[0]) & SESSION_BITS == 0
        && (named == expected[1] as u32 || named == 0 && watch.ttl() != 0)
}

/// The detection time by the interval that the other system sends at (RFC 5880 section 6.8.4), in
/// nanoseconds: many times as long as that of a session that is up, for it is slow then. Zero where the
/// multiplier or the interval is, which neither may be (RFC 5880 sections 6.8.6 and 4.1).
#[inline(always)]
fn slow_detection(control: &Control) -> u64 {
    let mult = control[0] >> 16 & 0xff;
    let micros = u64::from(((control[1] >> 32) as u32).swap_bytes());
    (micros * mult * 1000).min(LONGEST)
}

/// Whether the authentication section that starts here is by the session's key, as far as can be told.
#[inline(always)]
fn has_section<F: Frame>(frame: &F, monitor: &Monitor<SharedU64>, start: usize) -> bool {
    let mut differs = 0;
    for (index, (expected, mask)) in monitor.section.iter().zip(&monitor.mask).enumerate() {
        let mut word = 0;
        for byte in 0..WORD {
            // A section may be shorter than what is compared, and the packet end with it.
            let value: u8 = frame.read(start + index * WORD + byte).unwrap_or(0);
            word |= u64::from(value) << (8 * byte);
        }
        differs |= (word ^ u64::from_le(expected.load())) & u64::from_le(mask.load());
    }
    differs == 0
}

/// Whether the sequence number behind the head of the section that starts here may come next. It is the highest
/// that was taken then.
#[inline(always)]
fn takes<F: Frame>(frame: &F, monitor: &Monitor<SharedU64>, watch: Watch, start: usize) -> bool {
    let Some(sequence) = frame.read(start + 4).map(u32::from_be_bytes) else { return false };
    let is_next = watch.is_next(sequence, monitor.taken.load() as u32, monitor.believed.load());
    if is_next {
        monitor.taken.store(u64::from(sequence));
    }
    is_next
}
