use std::net::IpAddr;

use super::Path;

/// Where the packets of a session go, and whose come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To another system, which sends its own.
    Peer(Path),
    /// To a router, which sends them back.
    Echo(Loop),
}

impl Way {
    /// Whether a session can go over to another one without beginning anew: to another router, for
    /// that of an echo knows nothing of it.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Echo(one), Self::Echo(other)) => {
                (one.interface, one.address) == (other.interface, other.address)
            }
            _ => self == other,
        }
    }
}

/// From an address by a router back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// The interface's index.
    pub interface: u32,
    /// The own address.
    pub address: IpAddr,
    /// The router's MAC.
    pub router: [u8; 6],
}
