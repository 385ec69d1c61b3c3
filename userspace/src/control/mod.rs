//! Facts and configuration in, decisions out: the only writer of the data plane's policy maps.
//!
//! - [`Controller`] decides. It is pure: facts, probes and configurations go in with the time at
//!   which they came, and a [`Policy`] and the set of uplinks that are alive come out.
//! - [`Installer`] writes what of a policy is not in the maps yet.
//! - [`Daemon`] is the thin loop around both, with the sockets, the clock and the kernel.
//!
//! Invariant: an uplink that dies leaves the data plane's switch before anything else is done
//! about it, and one that comes back enters it after everything else is.

mod address6;
mod attachment;
mod bfd;
mod buckets;
mod controller;
mod daemon;
mod decision;
mod drain;
mod failback;
mod forward;
mod forwarding;
mod inquiry;
mod installer;
mod lan;
mod last_resort;
mod outcomes;
mod policy;
mod prefixes;
mod probers;
mod rebalance;
mod register;
mod routed;
mod startup;
mod successor;
mod supervisor;
#[cfg(test)]
mod tests;
mod traffic;
mod uplink;
mod uplink6;

pub(crate) use attachment::{Attachment, is_tagged};
pub use buckets::{Candidate, Ranking};
pub use controller::{Change, Controller};
pub use daemon::{Command, Commands, Comparison, Daemon, DrainAction, DrainOrder, StartError};
pub use drain::{DrainError, Drains};
pub use forward::{Reach, Target};
pub use installer::{InstallError, Installer};
pub use policy::{Interface, Policy};
pub(crate) use startup::check_vlan;
pub use startup::{Unfit, check};
pub use uplink::ControlledUplink;
