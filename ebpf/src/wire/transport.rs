use super::Wire;
use crate::abi::L4Port;

/// IP protocol numbers that the path tells apart.
#[derive(Clone, Copy, Debug)]
pub struct Protocol;

impl Protocol {
    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// IPv6 hop-by-hop options (RFC 8200 section 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// The IPv6 routing header (RFC 8200 section 4.4).
    pub const ROUTING: u8 = 43;
    /// The IPv6 fragment header (RFC 8200 section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// The authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// IPv6 destination options (RFC 8200 section 4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// The ports that a TCP and a UDP header start with. 4 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ports {
    source: [u8; 2],
    destination: [u8; 2],
}

// SAFETY: arrays of bytes in order.
unsafe impl Wire for Ports {}

impl Ports {
    /// The source port, and the destination port, as they stand.
    #[inline(always)]
    pub fn octets(&self) -> [[u8; 2]; 2] {
        [self.source, self.destination]
    }

    /// The source port.
    #[inline(always)]
    pub fn source(&self) -> L4Port {
        L4Port::new(self.source)
    }

    /// The destination port.
    #[inline(always)]
    pub fn destination(&self) -> L4Port {
        L4Port::new(self.destination)
    }
}

/// A TCP header without its options (RFC 9293 section 3.1). 20 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tcp {
    /// Both ports.
    pub ports: Ports,
    sequence: [u8; 4],
    acknowledgment: [u8; 4],
    data_offset: u8,
    /// Control bits: [`tcp_flags`].
    pub flags: u8,
    window: [u8; 2],
    /// The checksum.
    pub checksum: [u8; 2],
    urgent: [u8; 2],
}

// SAFETY: bytes and arrays of bytes in order.
unsafe impl Wire for Tcp {}

impl Tcp {
    /// The sequence number, in the machine's own order.
    #[inline(always)]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes(self.sequence)
    }

    /// The acknowledgment number, in the machine's own order.
    #[inline(always)]
    pub fn acknowledgment(&self) -> u32 {
        u32::from_be_bytes(self.acknowledgment)
    }

    /// The reset that answers this segment, which carries so many bytes of data, where there is no connection that
    /// it is of (RFC 9293 section 3.10.7.1). It has no options, and no checksum yet.
    #[inline(always)]
    pub fn reset(&self, data: u32) -> Self {
        let (sequence, acknowledgment, flags) = if self.flags & tcp_flags::ACK != 0 {
            (self.acknowledgment, [0; 4], tcp_flags::RST)
        } else {
            let len = data + u32::from(self.flags & tcp_flags::FIN != 0);
            let next = self.sequence().wrapping_add(len).to_be_bytes();
            ([0; 4], next, tcp_flags::RST | tcp_flags::ACK)
        };
        Self {
            ports: Ports { source: self.ports.destination, destination: self.ports.source },
            sequence,
            acknowledgment,
            data_offset: (size_of::<Self>() as u8 / 4) << 4,
            flags,
            window: [0; 2],
            checksum: [0; 2],
            urgent: [0; 2],
        }
    }

    /// The header's length in bytes, options included.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.data_offset >> 4) * 4
    }
}

/// The fields of options that the path knows (RFC 9293 section 3.2).
pub mod tcp_option {
    /// The end of the options. One byte.
    pub const END: u8 = 0;
    /// No operation. One byte.
    pub const NOP: u8 = 1;
    /// The maximum segment size.
    pub const MSS: u8 = 2;
    /// How long that is, in bytes.
    pub const MSS_LEN: u8 = 4;
}

/// Control bits of a TCP header.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 1 << 0;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 1 << 1;
    /// Reset the connection.
    pub const RST: u8 = 1 << 2;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 1 << 4;
}

/// A UDP header (RFC 768). 8 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Udp {
    /// Both ports.
    pub ports: Ports,
    length: [u8; 2],
    /// The checksum.
    pub checksum: [u8; 2],
}

// SAFETY: arrays of bytes in order.
unsafe impl Wire for Udp {}

/// The length of an ICMP header, in bytes (RFC 792).
pub const ICMP_LEN: usize = size_of::<Echo>();

/// An ICMP header of an echo request or reply (RFC 792). 8 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Echo {
    /// [`icmp_type`].
    pub icmp_type: u8,
    /// Zero in an echo.
    pub code: u8,
    /// The checksum.
    pub checksum: [u8; 2],
    identifier: [u8; 2],
    sequence: [u8; 2],
}

// SAFETY: bytes and arrays of bytes in order.
unsafe impl Wire for Echo {}

impl Echo {
    /// The identifier, which translation treats like a port (RFC 5508 section 3.1).
    #[inline(always)]
    pub fn identifier(&self) -> L4Port {
        L4Port::new(self.identifier)
    }
}

/// Types of ICMP messages.
pub mod icmp_type {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Types of ICMPv6 messages. Those below 128 are errors (RFC 4443 section 2.1).
pub mod icmpv6_type {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// The first of those that concern one link only: multicast listeners (RFC 2710), and neighbours
    /// (RFC 4861).
    pub const FIRST_OF_LINK: u8 = 130;
    /// Redirect, the last of those in a row.
    pub const REDIRECT: u8 = 137;
    /// A report of multicast listeners (RFC 3810), the other one of those.
    pub const LISTENER_REPORT: u8 = 143;
}

/// Codes of ICMPv6's destination unreachable (RFC 4443 section 3.1).
pub mod unreachable6_code {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// The administrator prohibits it.
    pub const PROHIBITED: u8 = 1;
    /// The address is unreachable.
    pub const ADDRESS: u8 = 3;
    /// The source address has failed the policy.
    pub const SOURCE_POLICY: u8 = 5;
}

/// Codes of ICMP's destination unreachable (RFC 792; RFC 1812 section 5.2.7.1).
pub mod unreachable_code {
    /// No route to the network.
    pub const NETWORK: u8 = 0;
    /// Fragmentation is needed, and not allowed (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// The source route leads nowhere.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// The administrator prohibits it.
    pub const PROHIBITED: u8 = 13;
}

/// Where the fields that translation writes stand, from the start of the transport header.
pub mod offset {
    use super::Protocol;

    /// The source port of TCP and UDP.
    pub const SOURCE_PORT: usize = 0;
    /// The destination port of TCP and UDP.
    pub const DESTINATION_PORT: usize = 2;
    /// The checksum of TCP.
    pub const TCP_CHECKSUM: usize = 16;
    /// The checksum of UDP.
    pub const UDP_CHECKSUM: usize = 6;
    /// The checksum of ICMP.
    pub const ICMP_CHECKSUM: usize = 2;
    /// The identifier of an ICMP echo.
    pub const ICMP_IDENTIFIER: usize = 4;

    /// The port of TCP or UDP at the source's end, or at the destination's; of an echo, of either version,
    /// its identifier.
    #[inline(always)]
    pub const fn port(protocol: u8, is_source: bool) -> usize {
        match protocol {
            Protocol::TCP | Protocol::UDP if is_source => SOURCE_PORT,
            Protocol::TCP | Protocol::UDP => DESTINATION_PORT,
            _ => ICMP_IDENTIFIER,
        }
    }

    /// The checksum of TCP, UDP, or ICMP of either version.
    #[inline(always)]
    pub const fn checksum(protocol: u8) -> usize {
        match protocol {
            Protocol::TCP => TCP_CHECKSUM,
            Protocol::UDP => UDP_CHECKSUM,
            _ => ICMP_CHECKSUM,
        }
    }
}
