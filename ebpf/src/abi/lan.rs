use super::{Ipv4, assert_layout};

/// What is known of an IPv4 prefix of the LAN, as the value of a map of prefixes of which the longest
/// counts: a packet from one to another is no transit. 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LanNetwork {
    /// The netmask, in the machine's own byte order.
    pub mask: u32,
    /// Whether it is on the link of an interface, or behind a router of the LAN: one, or zero.
    pub is_on_link: u8,
    /// Always zero.
    pub reserved: [u8; 3],
}

assert_layout!(LanNetwork, size 8, align 4, mask: 4, is_on_link: 1, reserved: 3);

/// How many [`LanNetwork`]s there can be.
pub const LAN_NETWORKS: usize = 1024;

impl LanNetwork {
    /// A prefix of this length, from zero to 32.
    pub const fn new(length: u32, is_on_link: bool) -> Self {
        let mask = match u32::MAX.checked_shr(length) {
            Some(hosts) => !hosts,
            None => u32::MAX,
        };
        Self { mask, is_on_link: is_on_link as u8, reserved: [0; 3] }
    }

    /// Whether the address, which is in the prefix, is its broadcast address, of either kind (RFC
    /// 1812 section 4.2.3.1). A prefix of one or two addresses has none (RFC 3021), and how one behind
    /// a router is divided is not known here.
    #[inline(always)]
    pub fn is_broadcast(&self, address: Ipv4) -> bool {
        let host = address.to_host() & !self.mask;
        self.is_on_link != 0 && !self.mask > 1 && (host == 0 || host == !self.mask)
    }
}
