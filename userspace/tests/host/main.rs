//! The interfaces of a host: what is said of them, and what the daemon changes there.

mod offloads;
