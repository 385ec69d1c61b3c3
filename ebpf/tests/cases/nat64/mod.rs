//! Named packets through NAT64.

mod admission;
mod fates;
mod flows;
mod fragments;
mod harness;
mod icmp_errors;
mod icmp_errors_of_hosts;
mod translation;
