//! What a NIC's driver does that matters to XDP, and which of it can be switched off.
//!
//! The kernel tells of it by generic netlink: the family `ethtool` has a device's features, the
//! family `netdev` what its driver does for XDP. [`Ethtool`] reads and writes features, and a
//! [`Keeper`] decides over them: what breaks XDP is warned of, or switched off while the gateway
//! has the interface.
//!
//! Sockets belong to the network namespace of the thread that opens them, so all of this speaks of
//! the calling thread's.

mod driver;
mod error;
mod ethtool;
mod feature;
mod genetlink;
mod keeper;
mod remark;
mod xdp_support;

pub use driver::driver;
pub use error::Error;
pub use ethtool::{Ethtool, FeatureControl};
pub use feature::{Feature, Features, State};
pub use keeper::Keeper;
pub use remark::{Remark, RemarkKind};
pub use xdp_support::{XdpSupport, xdp_support};
