//! Flows of IPv6 whose ports are translated. Each entry tells the key of the other; one that is not
//! answered has that from the LAN only.

use pointsman_ebpf::abi::{
    FlowKey, HostDigest, Ipv4, L4Port, Mark, Masquerade, NAT66_SIDE, Pin, to_ipv4,
};

use super::Pass;
use super::flow::{Entry, Judged};
use super::mapping::Mapping;

/// An entry of such a flow.
#[derive(Clone, Copy)]
pub(super) struct Entry66 {
    entry: Entry,
    host: HostDigest,
    /// What stands for who is outside.
    sender: Ipv4,
    /// The LAN host's port.
    port: L4Port,
    public_port: L4Port,
}

const _: () = assert!(size_of::<Entry66>() == 48);

impl Entry66 {
    fn protocol(&self) -> u8 {
        to_ipv4(self.entry.key.protocol())
    }

    /// The public end, as mappings have it.
    fn public(&self) -> (Ipv4, L4Port) {
        (Ipv4::default(), self.public_port)
    }
}

impl Judged for Entry66 {
    type Value = Pin;

    fn is_of_kind(pin: &Pin) -> bool {
        pin.masquerade != Masquerade::None as u8
    }

    fn new(pass: &Pass<'_>, key: &FlowKey, pin: &Pin) -> Self {
        let is_inward = pin.masquerade == Masquerade::In as u8;
        // What the other track has is no mark.
        let (track, port, public_port) = if is_inward {
            (pin.into, pin.port, key.source_port())
        } else {
            (pin.out, key.source_port(), pin.port)
        };
        let mark = Mark(track.mark);
        let peer = pin.peer(&pass.digest_key, key);
        let entry = Entry {
            flow: pass.in_use.hash((peer.min(*key), peer.max(*key))),
            key: *key,
            // One that no packet has taken yet has no mark.
            last_used: mark.last_seen().max(pin.created),
            seen: mark.seen() as u8,
            uplink: NAT66_SIDE | pin.uplink,
            opener: pin.opener,
            is_inward,
        };
        let host = HostDigest::new(&pass.digest_key, pin.inside);
        let sender = HostDigest::new(&pass.digest_key, pin.outside).sender();
        Self { entry, host, sender, port, public_port }
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn mapping(&self) -> Option<Mapping> {
        let end = (self.host.account(), self.port);
        let (protocol, uplink) = (self.protocol(), self.entry.uplink);
        let inner = FlowKey::internal(end, self.host.rest(), protocol, uplink);
        Some(Mapping { inner, public: self.public() })
    }

    fn permission(&self) -> FlowKey {
        FlowKey::external(self.sender, self.public(), self.protocol(), self.entry.uplink)
    }

    fn host(&self) -> Option<Ipv4> {
        None
    }

    fn peer_key(pass: &Pass<'_>, key: &FlowKey, pin: &Pin) -> Option<FlowKey> {
        Some(pin.peer(&pass.digest_key, key))
    }

    fn is_peer(pass: &Pass<'_>, own: (&FlowKey, &Pin), (peer_key, peer): (&FlowKey, &Pin)) -> bool {
        // One whose ports stay as they are tells the key of nobody's.
        peer.peer(&pass.digest_key, peer_key) == *own.0
    }
}
