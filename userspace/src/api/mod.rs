//! The HTTP/JSON API on a Unix socket, its schema, and the client that the command line is.

mod bfd;
mod client;
mod diff;
pub mod drain;
mod passive;
mod quality;
mod server;
pub mod status;

pub use bfd::BfdStatus;
pub use client::{ClientError, fetch_status, post, stop};
pub use diff::{DiffStatus, fetch_diff};
pub use server::{ListenError, Server};
