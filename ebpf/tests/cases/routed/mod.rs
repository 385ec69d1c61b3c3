//! IPv4 of a prefix of the site's own, which no uplink translates.

mod admission;
mod beside_nat;
mod failover;
mod flows;
mod fragments;
mod harness;
mod icmp_errors;
mod invitations;
