//! The HTTP/JSON API on a Unix socket, its schema, and the client that the command line is.

mod bfd;
mod client;
mod diff;
pub mod drain;
mod passive;
mod quality;
mod rebalance;
mod server;
pub mod status;

pub use bfd::BfdStatus;
pub use client::{ClientError, fetch_status, post, request_rebalance, stop};
pub use diff::{DiffStatus, fetch_diff};
pub use rebalance::{RebalanceRequest, RebalanceStatus};
pub use server::{ListenError, Server};
