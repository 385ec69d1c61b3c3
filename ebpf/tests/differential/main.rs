//! The path and models, of NAT, of IPv6 and of NAT64, that were written from the RFCs, over the same random sequences of
//! packets and events: every difference is a failure. What fails is made as small as possible and
//! printed as Rust, to be kept in `regressions.rs`.

mod bindings6;
mod fuzz;
mod fuzz6;
mod fuzz64;
mod invariants;
mod invariants6;
mod model;
mod model6;
mod model64;
mod plain;
mod plain6;
mod regressions;
mod regressions6;
mod run;
mod run6;
mod run64;
mod shrink;
mod shrink6;
mod shrink64;
