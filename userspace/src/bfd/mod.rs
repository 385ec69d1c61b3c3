//! Bidirectional Forwarding Detection (RFC 5880), without sockets, clocks or threads.
//!
//! A [`Session`] is given datagrams and the time, and says what to send and by when it wants to be asked
//! again. What is in front of its payload, as the TTL of 255 (RFC 5881 section 5), is for whoever receives it.

mod authentication;
mod packet;
mod session;
mod state;

pub use authentication::{Authentication, Rejected};
pub use packet::{Control, Malformed, VERSION};
pub use session::{Change, Ignored, Intervals, Session, Settings};
pub use state::{Diagnostic, State};
