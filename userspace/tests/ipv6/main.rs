//! IPv6 as real hosts meet it: through the daemon, in a laboratory site, in each of its modes.

#[path = "../support/bulk.rs"]
mod bulk;
#[path = "../support/standard.rs"]
mod standard;
#[path = "../support/mod.rs"]
mod support;

mod failover;
mod hosts;
mod inbound;
mod modes;
mod nat64;
mod nat66;
