use super::{Ipv4, assert_layout};

/// An IPv4 prefix. 8 bytes, in the machine's own byte order; no address is in the default value's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv4Prefix {
    /// The prefix, its host bits zero.
    pub network: u32,
    /// The netmask.
    pub mask: u32,
}

assert_layout!(Ipv4Prefix, size 8, align 4, network: 4, mask: 4);

impl Default for Ipv4Prefix {
    fn default() -> Self {
        Self { network: u32::MAX, mask: 0 }
    }
}

impl Ipv4Prefix {
    /// Whether the address is in the prefix.
    #[inline(always)]
    pub fn contains(&self, address: Ipv4) -> bool {
        address.to_host() & self.mask == self.network
    }
}
