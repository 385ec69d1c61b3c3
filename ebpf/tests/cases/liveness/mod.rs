//! Whether an uplink is alive, as the data plane tells by itself: packets of BFD that put off its deadline
//! (RFC 5880), and what becomes of flows when it has passed.

mod authenticated;
mod deadlines;
mod harness;
mod heard;
mod heard6;
mod ignored;
mod silence;
