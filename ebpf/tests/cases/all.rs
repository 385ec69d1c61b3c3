//! Named packets: input, and verdict, output, counters and tables that must come of it.
//!
//! `crate::loaded` says what else than the path on the host they run through.

mod admission;
mod answers;
mod closed;
mod failover;
mod fates;
mod filtering;
mod forwards;
mod fragments;
mod hairpin;
mod handshakes;
mod harness;
mod hostility;
mod icmp_errors;
mod icmp_errors_of_hosts;
mod ipv6;
mod jumbo;
mod lan_routes;
mod lan_to_lan;
mod liveness;
mod local;
mod malformed;
mod mapping;
mod marks;
mod moves;
mod mss;
mod nat64;
mod nat66;
mod packets;
mod placement;
mod ports;
mod protocols;
mod routed;
mod tcp;
mod translation;
mod vlan;

pub(crate) use harness::Room;
