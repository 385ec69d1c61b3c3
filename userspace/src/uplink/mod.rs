//! Whether an uplink is fit for traffic: a pure state machine over what is known of its interface,
//! its address, its next hop and its probes.

mod health;
mod quorum;
mod reason;
mod streaks;

pub use health::{Event, Health, Interface, NextHop, State, Thresholds, Verdict};
pub use quorum::Quorum;
pub use reason::Reason;
