//! Named packets through the path on the host.

#[path = "all.rs"]
mod cases;
mod loaded;
