//! Unaffiliated BFD Echo (RFC 9747): a router that runs no BFD sends this system's own packets back, for that is what
//! forwarding is. An [`EchoSession`] is fed by nothing else.

mod session;

pub use session::{EchoSession, NotOurs};
