//! Whether an uplink is fit for traffic: a pure state machine over what is known of its interface,
//! its address, its next hop and its probes.

mod health;
mod reason;
mod streaks;

pub use health::{Bfd, Event, Health, Interface, NextHop, State, Thresholds, Verdict};
pub use reason::Reason;
