//! The ports that sockets of the gateway itself have, or may take: those that translation does not
//! hand out, or the answers to the gateway's own traffic and to that of LAN hosts would be mixed up.
//!
//! - What the kernel gives to sockets that ask for no port in particular
//!   (`net.ipv4.ip_local_port_range`).
//! - What the administrator keeps from those sockets (`net.ipv4.ip_local_reserved_ports`): it is
//!   kept for someone, so it is not for LAN hosts either.
//! - What a socket has, on whichever address: of TCP also a connection's, for a port that was bound
//!   explicitly, or was given from an earlier range, is in none of the above.
//!
//! A [`Watch`] reads all of that every few seconds, on a thread of its own. A socket that is opened
//! on a port that a LAN host has a mapping for gets what comes for that port when the mapping ends.

mod procfs;
mod set;
mod watch;

pub use procfs::Error;
pub use set::PortSet;
pub use watch::Watch;
