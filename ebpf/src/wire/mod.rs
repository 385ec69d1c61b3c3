//! Headers as they stand in a packet, and the checksums over them.
//!
//! A header here is the bytes and nothing but the bytes: [`Frame::read`] checks that they are there
//! and copies them out; what they say is checked by [`crate::path`]. Every type is one byte
//! aligned, so an offset that is odd is no error.

pub mod checksum;
mod ethernet;
mod frame;
mod ipv4;
mod ipv6;
pub mod mss;
mod transport;
mod vlan;

pub use ethernet::{ETHERNET_LEN, EtherType, Ethernet};
#[cfg(any(test, feature = "memory"))]
pub use frame::MemoryFrame;
pub use frame::{Frame, TaggedFrame, Wire, hidden};
pub use ipv4::{IPV4_LEN, Ipv4Header};
pub use ipv6::{ExtensionError, IPV6_LEN, Ipv6Header, Upper, is_extension, walk};
pub use transport::{
    Echo, ICMP_LEN, Ports, Protocol, Tcp, Udp, icmp_type, icmpv6_type, offset, tcp_flags,
    tcp_option, unreachable_code, unreachable6_code,
};
pub use vlan::{TAG_LEN, Tags};
