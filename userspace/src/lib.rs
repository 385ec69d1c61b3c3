//! The control plane of Pointsman, a multihoming gateway.

pub mod config;
pub mod netlink;
pub mod probe;
pub mod uplink;
