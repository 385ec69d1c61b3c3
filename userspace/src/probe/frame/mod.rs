//! Probes that are frames of their own: ICMP and ICMPv6 echo, ARP and Neighbor Discovery.
//!
//! They are sent to the next hop's MAC from a socket that knows one interface only, so neither the
//! kernel's routes nor its reverse path filter have a say. What an answer is and when a probe is lost
//! is decided by a [`FrameSession`](session::FrameSession), which knows neither sockets nor clocks.

mod arp;
mod checksum;
mod echo;
mod echo4;
mod echo6;
mod filter;
mod nd;
mod packet6;
mod prober;
mod session;
mod socket;

pub(super) use prober::FrameProber;
