//! Probes that leave by one uplink and no other.
//!
//! Each [`Probe`] has a [`Prober`] with its own schedule and its own sockets, so one that hangs delays no
//! other. Some are frames that the daemon makes itself, the others exchanges over sockets of the
//! kernel's. None needs traffic on the uplink.

mod definition;
mod event;
mod exchange;
mod frame;
mod id;
mod pace;
pub(crate) mod packet_filter;
mod packet_socket;
mod path;
mod prober;
mod receive;

pub use definition::{DnsProbe, DnsRecord, HttpProbe, Probe, ProbeKind};
pub use event::{Outcome, ProbeEvent};
pub use id::ProbeId;
pub(crate) use packet_socket::{FrameSender, PacketSocket};
pub use path::{Path, Side};
pub use prober::{Prober, obstacle};
pub(crate) use receive::{receive_from, stamp_arrivals};
