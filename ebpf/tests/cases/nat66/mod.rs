//! Named packets of IPv6 that an uplink masquerades.

mod admission;
mod checksums;
mod failover;
mod fates;
mod filtering;
mod flows;
mod fragments;
mod harness;
mod icmp_errors;
mod icmp_errors_of_hosts;
mod mapping;
mod mixed;
mod moves;
mod translation;
mod translation_only;
mod vlan;
