use super::Wire;
use crate::abi::Mac;

/// The length of an Ethernet header without a VLAN tag, in bytes.
pub const ETHERNET_LEN: usize = size_of::<Ethernet>();

/// An Ethernet header (IEEE 802.3 section 3.1.1), untagged. 14 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ethernet {
    destination_head: [u8; 4],
    destination_tail: [u8; 2],
    source_head: [u8; 4],
    source_tail: [u8; 2],
    /// What follows, big-endian: an [`EtherType`].
    pub ether_type: [u8; 2],
}

// SAFETY: arrays of bytes in order.
unsafe impl Wire for Ethernet {}

impl Ethernet {
    /// The destination MAC.
    #[inline(always)]
    pub fn destination(&self) -> Mac {
        Mac::from_head_tail(self.destination_head, self.destination_tail)
    }

    /// The source MAC.
    #[inline(always)]
    pub fn source(&self) -> Mac {
        Mac::from_head_tail(self.source_head, self.source_tail)
    }
}

/// Values of the type field.
#[derive(Clone, Copy, Debug)]
pub struct EtherType;

impl EtherType {
    /// IPv4.
    pub const IPV4: [u8; 2] = [0x08, 0x00];
    /// IPv6.
    pub const IPV6: [u8; 2] = [0x86, 0xdd];
    /// A customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: [u8; 2] = [0x81, 0x00];
    /// A service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: [u8; 2] = [0x88, 0xa8];
}
