//! What the kernel knows of links, addresses, neighbours and default routes, as typed facts, of
//! IPv4 and IPv6; and of IPv4 routes to prefixes by interfaces that are named.
//!
//! A [`Watcher`] hands out a [`Snapshot`] first and then every change as a [`Fact`]; a
//! [`Resolver`] asks the kernel to find or confirm a neighbour's MAC, a [`Lookup`] where it would send a
//! packet.
//!
//! Sockets belong to the network namespace of the thread that opens them, so all these types open
//! theirs in the calling thread.

mod decode;
mod fact;
mod followed;
mod lookup;
mod replacement;
mod requests;
mod resolver;
mod route;
mod snapshot;
mod socket;
mod watcher;

pub use fact::{
    Address, DefaultRoute, Fact, Family, Link, Neighbour, NeighbourState, Rank, Route, Tag,
};
pub use lookup::Lookup;
pub use resolver::Resolver;
pub use snapshot::{Resolution, Snapshot};
pub use socket::Error;
pub use watcher::{Update, Watcher};
