//! Unaffiliated BFD Echo (RFC 9747): a router that runs no BFD sends this system's own packets back, for that is what
//! forwarding is. An [`EchoSession`] is fed by nothing else.
//!
//! Source and destination are the address of this system on the uplink, so no socket of UDP will do: the kernel takes
//! a packet to its own address by itself, and drops one that comes in from there as martian. They are sent to
//! the router's MAC, and received, by a packet socket.
//!
//! Invariant: the data plane has no deadline for an uplink with such a session until the session has gone down.
//! What comes in here shows that the uplink is alive, but that nothing comes in shows nothing unless something was
//! sent, and that only this thread knows: under `SIGSTOP` it sends nothing, and no other system is there to
//! complain of the silence. So this thread alone decides, and has real-time priority for that. An uplink whose
//! daemon is held up is found dead once that goes on, and not before. The XDP program does not listen along, and
//! what comes back passes it as what it is, a packet for a port of the gateway's own.

mod filter;
mod packet;
mod running;
mod session;
mod socket;

pub use packet::ECHO_PORT;
pub(super) use running::Echo;
pub use session::{EchoSession, NotOurs};
