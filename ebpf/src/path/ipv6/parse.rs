//! 1. From bytes to what the path decides by.

use core::mem::MaybeUninit;

use super::super::Stop;
use super::super::parse::{Kind, NO_PORT, Transport};
use crate::abi::{FlowKey, Ipv6, L4Port, LanSide, Mac, MacPair, Mark, Port};
use crate::verdict::DropReason;
use crate::wire::{
    ETHERNET_LEN, Echo, ExtensionError, Frame, IPV6_LEN, Ipv6Header, Protocol, Tcp, Udp, Upper,
    icmpv6_type,
};

/// A packet of IPv6 that is well formed: what the path decides by. Opaque to all but the path.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Packet6 {
    /// The key of its flow's pin. The ports are those of the LAN host, and of who is outside.
    pub(in crate::path) key: FlowKey,
    /// The address of the LAN host, as the LAN knows it; of a packet from an uplink that stands for
    /// none in the LAN, the destination as it is.
    pub(in crate::path) inside: Ipv6,
    /// The address of who is outside.
    pub(in crate::path) outside: Ipv6,
    /// The bits of [`Mark`] that it sets.
    pub(in crate::path) seen: u32,
    /// Of a fragment: [`Upper::fragment`].
    pub(in crate::path) fragment: u16,
    /// Where the upper layer's header starts in the frame.
    transport: u16,
    /// How many more routers it may cross, as it came in.
    pub(in crate::path) hop_limit: u8,
    /// What it can do for a flow.
    pub(in crate::path) kind: Kind,
    /// Whether it is a TCP segment with SYN.
    pub(in crate::path) starts: bool,
    /// Whether it came from the LAN.
    pub(in crate::path) from_lan: bool,
    /// Where the fragment header starts in the frame, or zero.
    fragment_header: u16,
    /// Where it stands in the frame how many hops of a source route are left, or zero, where none is.
    pub(in crate::path) segments_left: u16,
}

impl Packet6 {
    /// Whether it is the first of several fragments.
    #[inline(always)]
    pub(in crate::path) fn is_first_fragment(&self) -> bool {
        self.fragment == 1
    }

    /// Whether it has a fragment header, be it whole all the same.
    #[inline(always)]
    pub(in crate::path) fn has_fragment_header(&self) -> bool {
        self.fragment_header != 0
    }

    /// Where the upper layer's header starts in the frame. The mask is for the verifier, which has to
    /// know a bound: [`walk`](crate::wire::walk) has one below it.
    #[inline(always)]
    pub(in crate::path) fn transport(&self) -> usize {
        usize::from(self.transport & 0xff)
    }

    /// The sender's MAC.
    #[inline(always)]
    fn source_mac<F: Frame>(&self, frame: &F) -> Option<Mac> {
        frame.ethernet().map(|ethernet| ethernet.source())
    }

    /// Whether it came by `port` from where this side says.
    #[inline(always)]
    pub(in crate::path) fn is_from<F: Frame>(&self, frame: &F, port: &Port, lan: LanSide) -> bool {
        frame.source().is_some_and(|source| lan.is_of(source, port.egress))
    }

    /// How its sender is reached, if it came by `port` from the LAN.
    #[inline(always)]
    pub(in crate::path) fn sender<F: Frame>(
        &self,
        frame: &F,
        port: &Port,
    ) -> Result<LanSide, DropReason> {
        let mac = self.source_mac(frame).ok_or(DropReason::Truncated)?;
        Ok(LanSide::new(MacPair::new(mac, port.mac), port.egress, port.mtu))
    }

    /// The sequence number of a TCP segment.
    #[inline(always)]
    pub(in crate::path) fn sequence<F: Frame>(&self, frame: &F) -> Option<u32> {
        frame.read(self.transport()).map(|tcp: Tcp| tcp.sequence())
    }

    /// How many bytes the packet has from the upper layer's header on.
    #[inline(always)]
    pub(in crate::path) fn body<F: Frame>(&self, frame: &F) -> Option<usize> {
        let header: Ipv6Header = frame.read(ETHERNET_LEN)?;
        (ETHERNET_LEN + IPV6_LEN + header.payload_len()).checked_sub(self.transport())
    }

    /// Of the first fragment: how many bytes it carries of what is fragmented.
    #[inline(always)]
    pub(in crate::path) fn fragmented<F: Frame>(&self, frame: &F) -> Option<usize> {
        let header: Ipv6Header = frame.read(ETHERNET_LEN)?;
        let end = ETHERNET_LEN + IPV6_LEN + header.payload_len();
        end.checked_sub(usize::from(self.fragment_header) + FRAGMENT_HEADER_LEN)
    }

    /// What the fragments of a packet have in common besides addresses.
    #[inline(always)]
    pub(in crate::path) fn identification<F: Frame>(&self, frame: &F) -> Option<[L4Port; 2]> {
        let at = usize::from(self.fragment_header & 0xff);
        let [upper, lower]: [[u8; 2]; 2] = frame.read(at + 4)?;
        Some([L4Port::new(upper), L4Port::new(lower)])
    }

    /// Whether it is a reset of TCP.
    #[inline(always)]
    pub(in crate::path) fn is_reset(&self) -> bool {
        self.seen & Mark::RST != 0
    }
}

/// The length of a fragment header, in bytes (RFC 8200 section 4.5).
const FRAGMENT_HEADER_LEN: usize = 8;

/// What is wrong with a packet whose extension headers lead to nothing.
#[inline(always)]
pub(in crate::path) fn refuse(error: ExtensionError) -> DropReason {
    match error {
        ExtensionError::Truncated => DropReason::Truncated,
        ExtensionError::TooMany => DropReason::ExtensionHeaders,
        ExtensionError::Fragmented => DropReason::FragmentTiny,
    }
}

/// What must be checked of every header (RFC 8200 section 3).
#[inline(always)]
pub(in crate::path) fn check_header<F: Frame>(frame: &F, header: &Ipv6Header) -> Result<(), Stop> {
    if header.version() != 6 {
        return Err(DropReason::BadHeader.into());
    }
    if !frame.reaches(ETHERNET_LEN + IPV6_LEN + header.payload_len()) {
        return Err(DropReason::Truncated.into());
    }
    Ok(())
}

/// Parses the packet of a header that was checked, into `place`. `key` makes of the transport header the
/// key of its pin, the LAN host's address, and that of who is outside.
#[inline(always)]
pub(in crate::path) fn packet<'p, F: Frame>(
    frame: &F,
    header: &Ipv6Header,
    upper: Upper,
    from_lan: bool,
    key: impl FnOnce(Transport) -> (FlowKey, Ipv6, Ipv6, Transport),
    place: &'p mut MaybeUninit<Packet6>,
) -> Result<&'p Packet6, Stop> {
    let offset = ETHERNET_LEN + IPV6_LEN + upper.extensions_len();
    let (key, inside, outside, transport) = key(transport(frame, header, upper, offset)?);
    Ok(place.write(Packet6 {
        key,
        inside,
        outside,
        seen: transport.seen,
        fragment: upper.fragment(),
        transport: offset as u16,
        hop_limit: header.hop_limit,
        kind: transport.kind,
        starts: transport.starts,
        from_lan,
        fragment_header: place_of(upper.fragment_header()),
        segments_left: place_of(upper.segments_left()),
    }))
}

/// Where something stands in the frame that stands so far behind the fixed header, or zero.
#[inline(always)]
fn place_of(behind_header: Option<usize>) -> u16 {
    behind_header.map_or(0, |at| (ETHERNET_LEN + IPV6_LEN + at) as u16)
}

/// Reads the upper layer's header: ports, or an echo's identifier in the place of one.
#[inline(always)]
fn transport<F: Frame>(
    frame: &F,
    header: &Ipv6Header,
    upper: Upper,
    offset: usize,
) -> Result<Transport, Stop> {
    if upper.fragment() > 1 {
        return Ok(Transport::without_ports(Kind::Tail));
    }
    let room = header.payload_len() - upper.extensions_len();
    let read = match upper.protocol() {
        Protocol::TCP if room >= size_of::<Tcp>() => {
            frame.read(offset).map(|tcp: Tcp| Transport::of_tcp(&tcp))
        }
        Protocol::UDP if room >= size_of::<Udp>() => {
            frame.read(offset).map(|udp: Udp| Transport::new(Kind::Opens, udp.ports.octets()))
        }
        Protocol::ICMPV6 if room >= size_of::<Echo>() => {
            frame.read(offset).map(|echo: Echo| message(&echo))
        }
        // The whole chain of headers is in the first fragment (RFC 7112 section 5).
        Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 if upper.fragment() != 0 => {
            return Err(DropReason::FragmentTiny.into());
        }
        Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 => None,
        _ => Some(Transport::without_ports(Kind::Opens)),
    };
    read.ok_or(DropReason::Truncated.into())
}

/// Reads a message of ICMPv6.
#[inline(always)]
fn message(echo: &Echo) -> Transport {
    let identifier = echo.identifier().octets();
    match (echo.icmp_type, echo.code) {
        (icmpv6_type::ECHO_REQUEST, 0) => Transport::new(Kind::Opens, [identifier, NO_PORT]),
        (icmpv6_type::ECHO_REPLY, 0) => Transport::new(Kind::Continues, [NO_PORT, identifier]),
        (icmpv6_type::UNREACHABLE..=icmpv6_type::PARAMETER_PROBLEM, _) => {
            Transport::without_ports(Kind::Error)
        }
        (icmpv6_type::FIRST_OF_LINK..=icmpv6_type::REDIRECT | icmpv6_type::LISTENER_REPORT, _) => {
            Transport::without_ports(Kind::OfLink)
        }
        _ => Transport::without_ports(Kind::Untranslatable),
    }
}
