//! The path and a model of NAT that was written from the RFCs, over the same random sequences of
//! packets and events: every difference is a failure. What fails is made as small as possible and
//! printed as Rust, to be kept in `regressions.rs`.

mod fuzz;
mod invariants;
mod model;
mod plain;
mod regressions;
mod run;
mod shrink;
