//! The path and models, of NAT and of IPv6, that were written from the RFCs, over the same random sequences of
//! packets and events: every difference is a failure. What fails is made as small as possible and
//! printed as Rust, to be kept in `regressions.rs`.

mod fuzz;
mod fuzz6;
mod invariants;
mod invariants6;
mod model;
mod model6;
mod plain;
mod plain6;
mod regressions;
mod regressions6;
mod run;
mod run6;
mod shrink;
mod shrink6;
