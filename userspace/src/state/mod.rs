//! What the daemon is to know after a restart, its own or the machine's: which uplinks are drained.
//!
//! It is a small file of JSON in the directory that is configured, replaced as a whole, on a thread of its own: a
//! disk may take its time, and a failover may not. Times are those of the calendar, for no other clock outlives
//! the machine. What cannot be kept holds all the same, and is said.

mod drains;
mod keeper;

pub use drains::{Drain, DrainFile, Unreadable};
pub use keeper::{Keeper, NotKept};
