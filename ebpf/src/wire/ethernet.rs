use super::Wire;
use crate::abi::Mac;

/// The length of an Ethernet header without a VLAN tag, in bytes.
pub const ETHERNET_LEN: usize = size_of::<Ethernet>();

/// An Ethernet header (IEEE 802.3 section 3.1.1), untagged. 14 bytes.
///
/// It is read by [`Frame::ethernet`](super::Frame::ethernet).
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
    /// Offset of the source MAC from the start of the frame.
    pub const SOURCE: usize = 6;
    /// Offset of the type, or of the first tag, from the start of the frame.
    pub const TYPE: usize = 12;

    /// Of the MACs as they stand in a frame, and the type.
    #[inline(always)]
    pub fn new(macs: [[u8; 4]; 3], ether_type: [u8; 2]) -> Self {
        let [destination_head, [a, b, c, d], [e, f, g, h]] = macs;
        Self {
            destination_head,
            destination_tail: [a, b],
            source_head: [c, d, e, f],
            source_tail: [g, h],
            ether_type,
        }
    }

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

    /// Whether a VLAN tag follows.
    #[inline(always)]
    pub const fn is_tag(ether_type: [u8; 2]) -> bool {
        // As numbers: of two arrays, each byte is compared.
        let number = u16::from_ne_bytes(ether_type);
        number == u16::from_ne_bytes(Self::VLAN) || number == u16::from_ne_bytes(Self::SERVICE_VLAN)
    }
}
