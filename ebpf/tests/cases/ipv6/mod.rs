//! Named packets of IPv6.

mod admission;
mod answers;
mod failover;
mod fates;
mod flows;
mod fragments;
mod hairpin;
mod harness;
mod icmp_errors;
mod icmp_errors_of_hosts;
mod invitations;
mod jumbo;
mod lan_to_lan;
mod malformed;
mod mss;
mod translation;
mod vlan;

pub(crate) use harness::{HOST, HOST_A, OTHER, SERVER, STRANGER, coming, from_other};
pub(crate) use icmp_errors::{ERRORS, ROUTER};
