//! The HTTP/JSON API on a Unix socket, its schema, and the client that the command line is.

mod bfd;
mod client;
mod passive;
mod quality;
mod server;
pub mod status;

pub use bfd::BfdStatus;
pub use client::{ClientError, fetch_status, stop};
pub use server::{ListenError, Server};
