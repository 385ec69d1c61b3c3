//! 1 and 2. From bytes to what the path decides by.

use core::mem::MaybeUninit;

use super::{Stage, Stop};
use crate::abi::{FlowKey, L4Port, LanSide, Mac, Mark, Port};
use crate::verdict::{DropReason, PassReason};
use crate::wire::{
    ETHERNET_LEN, Echo, EtherType, Frame, IPV4_LEN, Ipv4Header, Protocol, Tags, Tcp, Udp,
    icmp_type, tcp_flags,
};

/// A packet that is well formed: what the path decides by. Opaque to all but the path.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Packet {
    /// Its flow key.
    pub(super) key: FlowKey,
    /// The bits of [`Mark`] that it sets.
    pub(super) seen: u32,
    /// Of a fragment: where it starts in the datagram's payload, in bytes, plus one for all but the
    /// last.
    pub(super) fragment: u16,
    /// Where the transport header starts in the frame.
    transport: u16,
    /// Time to live, as it came in.
    pub(super) ttl: u8,
    /// What it can do for a flow.
    pub(super) kind: Kind,
    /// Whether it is a TCP segment with SYN: what its direction has seen before was of another
    /// connection.
    pub(super) starts: bool,
    /// The uplink that it came in by.
    pub(super) uplink: u8,
}

impl Packet {
    /// Whether it is the first of several fragments.
    #[inline(always)]
    pub(super) fn is_first_fragment(&self) -> bool {
        self.fragment == 1
    }

    /// Where the transport header starts in the frame. The mask is for the verifier, which has to
    /// know a bound: no header is longer than 60 bytes.
    #[inline(always)]
    pub(super) fn transport(&self) -> usize {
        usize::from(self.transport & 0x7f)
    }

    /// The sender's MAC.
    #[inline(always)]
    pub(super) fn source_mac<F: Frame>(&self, frame: &F) -> Option<Mac> {
        frame.ethernet().map(|ethernet| ethernet.source())
    }

    /// Whether it came by `port` from where this side says.
    #[inline(always)]
    pub(super) fn is_from<F: Frame>(&self, frame: &F, port: &Port, lan: LanSide) -> bool {
        frame.source().is_some_and(|source| lan.is_of(source, port.egress))
    }

    /// The sequence number of a TCP segment.
    #[inline(always)]
    pub(super) fn sequence<F: Frame>(&self, frame: &F) -> Option<u32> {
        frame.read(self.transport()).map(|tcp: Tcp| tcp.sequence())
    }

    /// The length of the IPv4 packet without its header, in bytes.
    #[inline(always)]
    pub(super) fn body<F: Frame>(&self, frame: &F) -> Option<u16> {
        let header: Ipv4Header = frame.read(ETHERNET_LEN)?;
        Some(header.total_len().saturating_sub(header.header_len()) as u16)
    }

    /// Whether it is a reset of TCP.
    #[inline(always)]
    pub(super) fn is_reset(&self) -> bool {
        self.seen & Mark::RST != 0
    }
}

/// What a packet can do for a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Opens a flow, or belongs to one.
    Opens,
    /// Belongs to a flow, but opens none.
    Continues,
    /// A later fragment: no ports to find a flow by.
    Tail,
    /// An ICMP error: it belongs to the flow of the packet that it quotes.
    Error,
    /// A message of ICMP that is not translated.
    Untranslatable,
    /// A message of ICMPv6 that concerns one link only.
    OfLink,
}

/// Looks at the Ethernet header of a frame that came in on `port`.
///
/// # Errors
/// Where the frame is not for the gateway, or not of IPv4, or has a tag: the stages of those begin anew.
#[inline(always)]
pub(super) fn link<F: Frame>(frame: &F, port: &Port) -> Result<(), Stop> {
    let ethernet = frame.ethernet().ok_or(DropReason::Truncated)?;
    if ethernet.destination() != port.mac {
        // A VLAN's interface may have a MAC of its own.
        return Err(match is_tagged(frame) {
            true => Stop::to(Stage::Tagged),
            false => PassReason::NotForUs.into(),
        });
    }
    if ethernet.ether_type != EtherType::IPV4 {
        return Err(match ethernet.ether_type {
            EtherType::IPV6 => Stop::to(Stage::Ipv6),
            EtherType::VLAN | EtherType::SERVICE_VLAN if is_tagged(frame) => {
                Stop::to(Stage::Tagged)
            }
            EtherType::VLAN | EtherType::SERVICE_VLAN => DropReason::Truncated.into(),
            _ => PassReason::NotIp.into(),
        });
    }
    Ok(())
}

/// Whether a frame has a VLAN tag, a whole one, that is not hidden.
#[inline(always)]
pub(super) fn is_tagged<F: Frame>(frame: &F) -> bool {
    Tags::read::<false>(frame).is_some()
}

/// Parses the packet of a header that was read of a frame, into `place`.
///
/// A `Result` of a packet by value would share its first bytes with the error, and the compiler
/// would then build the key, which stays in memory, out of pieces that the verifier calls
/// misaligned.
#[inline(always)]
pub(super) fn packet<'p, F: Frame>(
    frame: &F,
    header: &Ipv4Header,
    port: &Port,
    place: &'p mut MaybeUninit<Packet>,
) -> Result<&'p Packet, Stop> {
    check_header(frame, header)?;
    let offset = ETHERNET_LEN + header.header_len();
    let transport = if header.fragment_offset() != 0 {
        Transport::without_ports(Kind::Tail)
    } else {
        transport(frame, header, offset)?
    };
    let [source, destination] = transport.ports;
    let key = FlowKey::new(
        (header.source(), L4Port::new(source)),
        (header.destination(), L4Port::new(destination)),
        header.protocol,
        port.realm(header.destination()),
    );
    Ok(place.write(Packet {
        key,
        kind: transport.kind,
        ttl: header.ttl,
        transport: offset as u16,
        uplink: port.uplink,
        fragment: header.fragment_offset() as u16 + u16::from(header.more_fragments()),
        seen: transport.seen,
        starts: transport.starts,
    }))
}

/// What a router must check of every IPv4 header (RFC 1812 section 5.2.2).
#[inline(always)]
fn check_header<F: Frame>(frame: &F, header: &Ipv4Header) -> Result<(), Stop> {
    let header_len = header.header_len();
    if header.version() != 4 || header_len < IPV4_LEN || header.total_len() < header_len {
        return Err(DropReason::BadHeader.into());
    }
    if !frame.reaches(ETHERNET_LEN + header.total_len()) {
        return Err(DropReason::Truncated.into());
    }
    match header.verify(frame, ETHERNET_LEN) {
        Some(true) => Ok(()),
        Some(false) => Err(DropReason::BadChecksum.into()),
        None => Err(DropReason::Truncated.into()),
    }
}

/// What stands in the place of a port where there is none.
pub(super) const NO_PORT: [u8; 2] = [0; 2];

/// What the path reads of a transport header.
pub(super) struct Transport {
    /// Or what stands for them in a [`FlowKey`].
    pub(super) ports: [[u8; 2]; 2],
    pub(super) seen: u32,
    pub(super) starts: bool,
    pub(super) kind: Kind,
}

impl Transport {
    #[inline(always)]
    pub(super) fn new(kind: Kind, ports: [[u8; 2]; 2]) -> Self {
        Self { ports, seen: Mark::ANY, starts: false, kind }
    }

    #[inline(always)]
    pub(super) fn without_ports(kind: Kind) -> Self {
        Self::new(kind, [NO_PORT; 2])
    }

    /// Of TCP.
    #[inline(always)]
    pub(super) fn of_tcp(tcp: &Tcp) -> Self {
        // A segment in mid-stream opens a flow too: it is how a connection whose uplink died goes
        // on, or learns from its peer's reset that it cannot.
        let kind = if tcp.flags & tcp_flags::RST == 0 { Kind::Opens } else { Kind::Continues };
        let starts = tcp.flags & tcp_flags::SYN != 0;
        Self { ports: tcp.ports.octets(), seen: seen(tcp.flags), starts, kind }
    }
}

/// Reads the transport header: ports, or an echo's identifier in the place of one.
#[inline(always)]
fn transport<F: Frame>(frame: &F, header: &Ipv4Header, offset: usize) -> Result<Transport, Stop> {
    let room = header.total_len() - header.header_len();
    match header.protocol {
        Protocol::TCP if room >= size_of::<Tcp>() => {
            let tcp: Tcp = frame.read(offset).ok_or(DropReason::Truncated)?;
            Ok(Transport::of_tcp(&tcp))
        }
        Protocol::UDP if room >= size_of::<Udp>() => {
            let udp: Udp = frame.read(offset).ok_or(DropReason::Truncated)?;
            Ok(Transport::new(Kind::Opens, udp.ports.octets()))
        }
        Protocol::ICMP if room >= size_of::<Echo>() => {
            let echo: Echo = frame.read(offset).ok_or(DropReason::Truncated)?;
            Ok(self::echo(&echo))
        }
        // An attacker's, to slip the rest of the header past a filter (RFC 1858 section 3).
        Protocol::TCP | Protocol::UDP | Protocol::ICMP if header.is_fragment() => {
            Err(DropReason::FragmentTiny.into())
        }
        Protocol::TCP | Protocol::UDP | Protocol::ICMP => Err(DropReason::Truncated.into()),
        _ => Ok(Transport::without_ports(Kind::Opens)),
    }
}

#[inline(always)]
fn echo(echo: &Echo) -> Transport {
    let identifier = echo.identifier().octets();
    match (echo.icmp_type, echo.code) {
        (icmp_type::ECHO_REQUEST, 0) => Transport::new(Kind::Opens, [identifier, NO_PORT]),
        (icmp_type::ECHO_REPLY, 0) => Transport::new(Kind::Continues, [NO_PORT, identifier]),
        (icmp_type::UNREACHABLE | icmp_type::TIME_EXCEEDED | icmp_type::PARAMETER_PROBLEM, _) => {
            Transport::without_ports(Kind::Error)
        }
        _ => Transport::without_ports(Kind::Untranslatable),
    }
}

#[inline(always)]
fn seen(flags: u8) -> u32 {
    let flags = u32::from(flags);
    // Each bit is moved to its place: on BPF a condition is a jump.
    let bit = |flag: u8| flags >> flag.trailing_zeros() & 1;
    let ack = bit(tcp_flags::ACK) & !bit(tcp_flags::SYN);
    let (fin, rst) = (bit(tcp_flags::FIN), bit(tcp_flags::RST));
    Mark::ANY + Mark::ACK * ack + Mark::FIN * fin + Mark::RST * rst
}
