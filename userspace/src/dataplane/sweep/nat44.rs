//! Flows within IPv4, translated or routed as they are. Each entry tells the key of the other.

use pointsman_ebpf::abi::{Flow, FlowKey, Ipv4, L4Port, mapping_remote};

use super::Pass;
use super::flow::{Entry, Judged};
use super::mapping::Mapping;

/// An entry of such a flow.
#[derive(Clone, Copy)]
pub(super) struct Entry44 {
    entry: Entry,
    translated: (Ipv4, L4Port),
}

const _: () = assert!(size_of::<Entry44>() == 40);

impl Entry44 {
    /// The LAN host's end, the remote end's address, and the public end.
    fn ends(&self) -> ((Ipv4, L4Port), Ipv4, (Ipv4, L4Port)) {
        let key = &self.entry.key;
        if self.entry.is_inward {
            (self.translated, key.source(), key.to())
        } else {
            (key.from(), key.destination(), self.translated)
        }
    }
}

impl Judged for Entry44 {
    type Value = Flow;

    fn is_of_kind(flow: &Flow) -> bool {
        !flow.is_nat64()
    }

    fn new(pass: &Pass<'_>, key: &FlowKey, flow: &Flow) -> Self {
        let peer = key.peer(flow);
        let flow_hash = pass.in_use.hash((peer.min(*key), peer.max(*key)));
        Self { entry: Entry::of(flow_hash, key, flow), translated: (flow.address, flow.port) }
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn mapping(&self) -> Option<Mapping> {
        let (end, remote, public) = self.ends();
        let protocol = self.entry.key.protocol();
        let remote = mapping_remote(protocol, remote);
        let inner = FlowKey::internal(end, remote, protocol, self.entry.uplink);
        (end != public).then_some(Mapping { inner, public })
    }

    fn permission(&self) -> FlowKey {
        let (_, remote, public) = self.ends();
        FlowKey::external(remote, public, self.entry.key.protocol(), self.entry.uplink)
    }

    fn host(&self) -> Option<Ipv4> {
        Some(self.entry.key.source())
    }

    fn peer_key(_: &Pass<'_>, key: &FlowKey, flow: &Flow) -> Option<FlowKey> {
        Some(key.peer(flow))
    }

    fn is_peer(_: &Pass<'_>, own: (&FlowKey, &Flow), (peer_key, peer): (&FlowKey, &Flow)) -> bool {
        peer_key.peer(peer) == *own.0
    }
}
