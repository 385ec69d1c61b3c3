//! A network laboratory: hosts, routers and cables on one machine, for tests, benchmarks and the
//! demonstration.
//!
//! Hosts are network namespaces without a name ([`Namespace`]), cables are veth pairs ([`Cable`]),
//! and [`Site`] is a whole network with a gateway and its providers. All of it belongs to this
//! process and ends with it, however the process ends: there is nothing to clean up. The
//! namespace that the process itself lives in is never touched.
//!
//! The laboratory needs root and iproute2: see [`may_run`].

mod bpf_fs;
mod cable;
mod error;
mod impairment;
mod independent;
mod namespace;
mod nic;
mod packet_socket;
mod permission;
pub mod plan;
pub mod plan6;
mod program;
mod realtime;
mod relay;
mod site;
mod site6;
mod wait;
pub mod xdp;

pub use bpf_fs::BpfFs;
pub use cable::{Cable, CableOptions, Pass};
pub use error::LabError;
pub use impairment::{Impairer, Impairment};
pub use namespace::Namespace;
pub use nic::{Mac, Nic};
pub use packet_socket::PacketSocket;
pub use permission::{Refusal, may_run};
pub use realtime::claim_realtime;
pub use relay::{Direction, Relay};
pub use site::{Builder, Site, Uplink};
pub use wait::wait_until;
