//! Probes between namespaces of the laboratory.

mod certificates;
mod daemon;
mod dns;
mod frames;
mod http;
mod https;
mod ipv6;
mod lab;
mod server;
mod stall;
#[path = "../support/mod.rs"]
mod support;
mod tcp;
