//! The interfaces of a host: what is said of them, and what the daemon changes there.

#[path = "../support/standard.rs"]
mod standard;
#[path = "../support/mod.rs"]
mod support;

mod check;
mod offloads;
