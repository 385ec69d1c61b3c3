//! Probes that are conversations of the kernel's own sockets: TCP, HTTP and HTTPS, DNS.
//!
//! Each time a socket of its own is bound to the uplink's interface (`SO_BINDTOIFINDEX`) and to the
//! uplink's address. The kernel then sends by this interface or not at all, whatever it routes for
//! others: where the interface is down, it says so, and where it has no carrier, nothing leaves. The
//! socket's port is one that translation never hands out ([`crate::ports`]).
//!
//! A TCP of the daemon's own, over frames as in [`super::frame`], would need no route of the kernel's.
//! But the kernel would reset its connections, and a firewall that follows connections would take the
//! answers for unasked. So the kernel has to have a route by the interface, with whatever metric or by
//! a rule for its address, and its reverse path filter must not be strict where another interface is
//! preferred. Without a route, it would ask for the target's MAC on the interface's link: before each
//! exchange it is asked whether it has one, and what is to be done is what becomes of the probe
//! ([`Obstacle`]).

mod dns;
mod http;
mod obstacle;
mod patience;
mod prober;
mod socket;
mod tcp;
mod tls;

pub(super) use obstacle::Obstacle;
pub(super) use prober::ExchangeProber;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::http::Http;
use self::socket::Bound;
use super::{DnsProbe, ProbeKind};

/// What is asked by a socket.
#[derive(Clone, Debug)]
enum Exchange {
    Tcp(SocketAddr),
    Http(Arc<Http>),
    Dns(Arc<DnsProbe>),
}

/// Why there is no right answer.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// An answer came, and is another one.
    Wrong(String),
    /// Nothing could be sent.
    Unsent(String),
}

impl Exchange {
    /// What a probe of this kind asks, where it is one that sockets ask.
    fn of(kind: &ProbeKind) -> Option<Self> {
        match kind {
            ProbeKind::Tcp(target) => Some(Self::Tcp(*target)),
            ProbeKind::Http(probe) => Some(Self::Http(Arc::new(Http::new(probe.clone())))),
            ProbeKind::Dns(probe) => Some(Self::Dns(Arc::new(probe.clone()))),
            ProbeKind::Icmp(_) | ProbeKind::Arp | ProbeKind::Nd => None,
        }
    }

    /// Whose answer it waits for.
    fn target(&self) -> SocketAddr {
        match self {
            Self::Tcp(target) => *target,
            Self::Http(http) => http.probe.server,
            Self::Dns(probe) => probe.server,
        }
    }

    /// Asks, and waits for the answer however long it takes. Returns how long it took, as far as the
    /// kernel knows, which may be less than what has passed for a process that was held up.
    async fn run(&self, bound: Bound, start: Instant) -> Result<Option<Duration>, Failure> {
        match self {
            Self::Tcp(target) => tcp::connect(bound, *target, start).await.map(Some),
            Self::Http(http) => http.get(bound).await.map(|()| None),
            Self::Dns(probe) => dns::resolve(bound, probe, start).await.map(Some),
        }
    }
}
