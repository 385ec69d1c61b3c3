//! What the daemon's sweep removes: flows that are over, then mappings that no flow has.

use super::Model;
use super::state::{Flow, Key, Mapped, MappingKey, PublicKey};

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) established: Vec<Key>,
    pub(crate) unreplied: Vec<Key>,
    pub(crate) invited: Vec<Key>,
    pub(crate) mappings: Vec<MappingKey>,
    pub(crate) publics: Vec<PublicKey>,
    pub(crate) permissions: Vec<PublicKey>,
}

impl Model {
    /// Removes some flows, which `salt` decides, and mappings without flows; and counts anew what
    /// hosts take.
    pub(crate) fn sweep(&mut self, salt: u32) -> Swept {
        let mut swept = Swept::default();
        let is_over = |key: &Key, flow: &Flow| {
            // Both directions of a flow are over at once.
            let ends = [(key.from, key.to), (flow.peer(key).from, flow.peer(key).to)];
            let sum = ends.iter().fold(salt, |sum, (from, to)| {
                sum.wrapping_add(u32::from(from.1 ^ to.1) + u32::from(from.0[3] ^ to.0[3]))
            });
            sum.wrapping_mul(0x9e37_79b9) >> 30 == 0
        };
        let state = &mut self.state;
        for (flows, removed) in [
            (&mut state.established, &mut swept.established),
            (&mut state.unreplied, &mut swept.unreplied),
            (&mut state.invited, &mut swept.invited),
        ] {
            removed
                .extend(flows.extract_if(.., |key, flow| is_over(key, flow)).map(|(key, _)| key));
        }
        self.sweep_mappings(&mut swept);
        self.count_hosts();
        swept
    }

    fn sweep_mappings(&mut self, swept: &mut Swept) {
        let state = &mut self.state;
        let uplinks = &self.site.uplinks;
        let flows = || {
            [&state.established, &state.unreplied, &state.invited]
                .into_iter()
                .flat_map(|flows| flows.iter())
        };
        let mut used: Vec<(u8, u8, ([u8; 4], u16))> = Vec::new();
        for (key, flow) in flows() {
            used.extend([key.from, key.to].map(|end| (flow.uplink, key.protocol, end)));
            let translation = [flow.translation.source, flow.translation.destination];
            used.extend(
                translation.into_iter().flatten().map(|end| (flow.uplink, key.protocol, end)),
            );
        }
        let is_over = |key: &PublicKey, mapped: &Mapped| {
            mapped.generation != uplinks[&key.uplink].generation
                || !used.contains(&(key.uplink, key.protocol, key.public))
        };
        let publics: Vec<_> =
            state.publics.extract_if(.., |key, mapped| is_over(key, mapped)).collect();
        for (key, mapped) in publics {
            swept.publics.push(key);
            let PublicKey { uplink, protocol, public, remote } = key;
            let inner = MappingKey { uplink, protocol, host: mapped.end, remote };
            if state.mappings.get(&inner).is_some_and(|mapping| mapping.end == public) {
                state.mappings.remove(&inner);
                swept.mappings.push(inner);
            }
        }
        let permissions = state.permissions.extract_if(.., |key, mapped| is_over(key, mapped));
        swept.permissions.extend(permissions.map(|(key, _)| key));
    }

    fn count_hosts(&mut self) {
        let state = &mut self.state;
        let before = std::mem::take(&mut state.hosts);
        for key in state.mappings.keys().map(|key| key.host.0).collect::<Vec<_>>() {
            state.host(key).mappings += 1;
        }
        let opened = state.unreplied.iter().filter(|(_, flow)| flow.by_lan);
        for host in opened.map(|(key, _)| key.from.0).collect::<Vec<_>>() {
            state.host(host).unreplied += 1;
        }
        // Where nothing of the host's is left, nothing keeps it.
        for (address, host) in before {
            let is_there = |(key, flow): (&Key, &Flow)| {
                key.from.0 == address && flow.by_lan && Some(flow.uplink) == host.placement
            };
            if state.established.iter().chain(&state.unreplied).any(is_there) {
                state.host(address).placement = host.placement;
            }
        }
    }
}
