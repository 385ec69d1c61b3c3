//! Translation as real hosts meet it: through the daemon, in a laboratory site.

#[path = "../support/reload.rs"]
mod reload;
#[path = "../support/standard.rs"]
mod standard;
#[path = "../support/mod.rs"]
mod support;

#[path = "../support/states.rs"]
mod states;

mod capture;
mod errors;
mod flood;
mod forwards;
mod hairpin;
mod hosts;
mod mtu;
mod oracle;
mod protocols;
mod raw;
mod routed;
mod tables;
mod traceroute;
mod vlan;
mod wire;
