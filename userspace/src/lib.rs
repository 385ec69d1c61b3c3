//! The control plane of Pointsman, a multihoming gateway.

pub mod api;
pub mod bfd;
pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod demo;
pub mod host;
pub mod netlink;
pub mod nic;
pub mod ports;
pub mod probe;
pub mod state;
pub mod uplink;
