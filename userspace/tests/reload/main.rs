//! What changes under flows that are there: the file, an uplink's address, its next hop's MAC.

mod addresses;
#[path = "../support/reload.rs"]
mod reload;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod whole;
