//! Whether an uplink is fit for traffic: pure state machines over what is known of its interface, its
//! address, its next hop and its probes.
//!
//! [`Health`] says whether it works. [`Monitor`] adds to that how good its path is, measured against an
//! [`Sla`], and believes what gets better only as its [`Stability`] allows. [`Silence`] and [`Handshakes`] are
//! what the traffic that it carries shows, without a probe.

mod dampening;
mod gate;
mod handshakes;
mod health;
mod monitor;
mod quality;
mod quorum;
mod reason;
mod silence;
mod sla;
mod streaks;
mod window;

pub use dampening::Dampening;
pub use gate::Stability;
pub use handshakes::{HandshakeQuality, Handshakes};
pub use health::{Bfd, Event, Health, Interface, NextHop, State, Thresholds, Verdict};
pub use monitor::{Instability, Monitor, Requirements};
pub use quality::Quality;
pub use quorum::Quorum;
pub use reason::Reason;
pub use silence::{Carried, Listening, Silence, Silent, Suspicion};
pub use sla::{Breach, Limit, Metric, Percentile, Sla};
pub use window::{Percentiles, WINDOW_SAMPLES};
