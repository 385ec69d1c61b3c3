//! Bidirectional Forwarding Detection (RFC 5880).
//!
//! A [`Session`] has neither sockets nor clocks: it is given datagrams and the time, and says what to send and by
//! when it wants to be asked again. The [`Service`] runs the sessions of all uplinks on a thread of its own, by
//! sockets that are bound to their interfaces, and has the data plane listen along, so that an uplink whose
//! other end falls silent is left even while the daemon is held up. Where there is no other system that has
//! sessions, an [`EchoSession`] goes by its own packets, which a router sends back (RFC 9747).

mod asynchronous;
mod authentication;
mod deadline;
mod echo;
mod mode;
mod packet;
mod running;
mod service;
mod session;
mod socket;
mod state;
mod watched;
mod way;

pub use authentication::{Authentication, Rejected};
pub use echo::{ECHO_PORT, EchoSession, NotOurs};
pub use mode::Mode;
pub use packet::{Control, Malformed, VERSION};
pub use service::{Event, Service, Wanted};
pub use session::{Change, Ignored, Intervals, Session, Settings};
pub use socket::{MULTIHOP_PORT, Path, SINGLE_HOP_PORT, TTL};
pub use state::{Diagnostic, State};
pub use way::{Loop, Way};
