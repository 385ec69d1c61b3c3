//! Flows through NAT64. The entry from the LAN has a digest in the place of addresses, so what both
//! entries have in common is the key of the one from the uplink.

use pointsman_ebpf::abi::{Direction, Flow, FlowKey, HostDigest, Ipv4, L4Port, to_ipv4};

use super::Pass;
use super::flow::{Entry, Judged};
use super::mapping::Mapping;

/// An entry of such a flow.
#[derive(Clone, Copy)]
pub(super) struct Entry64 {
    entry: Entry,
    host: HostDigest,
    /// The LAN host's port.
    port: L4Port,
    /// The public end.
    public: (Ipv4, L4Port),
    /// The remote end's address.
    remote: Ipv4,
}

impl Entry64 {
    fn protocol(&self) -> u8 {
        to_ipv4(self.entry.key.protocol())
    }
}

impl Judged for Entry64 {
    type Value = Flow;

    fn is_of_kind(flow: &Flow) -> bool {
        flow.is_nat64()
    }

    fn new(pass: &Pass<'_>, key: &FlowKey, flow: &Flow) -> Self {
        if flow.direction == Direction::In64 as u8 {
            Self {
                entry: Entry::of(pass.in_use.hash(*key), key, flow),
                host: HostDigest::new(&pass.digest_key, flow.inside()),
                port: flow.port,
                public: key.to(),
                remote: key.source(),
            }
        } else {
            Self {
                entry: Entry::of(pass.in_use.hash(key.inward64(flow)), key, flow),
                host: flow.host_digest(),
                port: key.source_port(),
                public: (flow.address, flow.port),
                remote: flow.other_address,
            }
        }
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn mapping(&self) -> Option<Mapping> {
        let end = (self.host.account(), self.port);
        let (protocol, uplink) = (self.protocol(), self.entry.uplink);
        let inner = FlowKey::internal(end, self.host.rest(), protocol, uplink);
        Some(Mapping { inner, public: self.public })
    }

    fn permission(&self) -> FlowKey {
        FlowKey::external(self.remote, self.public, self.protocol(), self.entry.uplink)
    }

    fn host(&self) -> Option<Ipv4> {
        Some(self.host.account())
    }

    fn peer_key(_: &Pass<'_>, key: &FlowKey, flow: &Flow) -> Option<FlowKey> {
        (flow.direction == Direction::Out64 as u8).then(|| key.inward64(flow))
    }

    fn is_peer(pass: &Pass<'_>, (_, own): (&FlowKey, &Flow), (_, peer): (&FlowKey, &Flow)) -> bool {
        peer.direction == Direction::In64 as u8
            && HostDigest::new(&pass.digest_key, peer.inside()) == own.host_digest()
    }
}
