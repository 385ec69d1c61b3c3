//! ICMP echo probes that leave by one uplink and no other.
//!
//! A [`Prober`] sends frames out of its interface itself, to the next hop's MAC, so neither the
//! kernel's routes nor its reverse path filter have a say. What an answer is and when a probe is
//! lost is decided by an [`EchoSession`], which knows neither sockets nor clocks.

mod echo;
mod id;
mod prober;
mod session;
mod socket;

pub use id::ProbeId;
pub use prober::{Path, ProbeConfig, Prober};
pub use session::{EchoSession, Outcome, ProbeEvent};
