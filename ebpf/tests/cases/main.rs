//! Named packets through the path: input, and verdict, output and counters that must come of it.

mod admission;
mod failover;
mod harness;
mod local;
mod malformed;
mod marks;
mod ports;
mod translation;
