//! Mappings, and the senders that filtering by address lets in. What no flow needs goes when it was
//! last used too long ago; of a mapping, both sides together.

use pointsman_ebpf::abi::{Binding, FlowKey, Ipv4, L4Port, NAT66_SIDE, mapping_remote, uplink_of};

use super::{Pass, REMOVED_TOGETHER, SweptTable, TableError};

/// A mapping, by what each of its sides tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mapping {
    /// The key of the LAN's side.
    pub(super) inner: FlowKey,
    /// The public address and port.
    pub(super) public: (Ipv4, L4Port),
}

impl Mapping {
    /// The mapping that an entry is a side of; none where it says who is permitted to send.
    fn of_side(key: &FlowKey, binding: &Binding) -> Option<Self> {
        let end = (binding.address, binding.port);
        if key.is_internal() {
            return Some(Self { inner: *key, public: end });
        }
        let (protocol, uplink) = (key.protocol(), key.realm().wrapping_sub(1));
        let is_mapping = mapping_remote(protocol, key.source()) == key.source();
        // Of a host of IPv6, what its address is told by has no room in one of IPv4.
        let rest = if end.0.is_account() { binding.rest } else { key.source() };
        is_mapping.then(|| Self {
            inner: FlowKey::internal(end, rest, protocol, uplink),
            public: key.to(),
        })
    }

    /// The key of the public side.
    fn outer(&self) -> FlowKey {
        let (protocol, uplink) = (self.inner.protocol(), self.inner.realm().wrapping_sub(1));
        let is_ipv6 = self.inner.source().is_account();
        let remote = if is_ipv6 { Ipv4::default() } else { self.inner.destination() };
        FlowKey::external(remote, self.public, protocol, uplink)
    }

    /// The uplink that it is on.
    fn uplink(&self) -> u8 {
        // A side's realm is one above it.
        uplink_of(self.inner.realm().wrapping_sub(1))
    }

    /// Whether it is one between IPv6 and IPv6.
    fn is_nat66(&self) -> bool {
        self.inner.realm() > NAT66_SIDE
    }

    /// The side of this key, if it is there and not another mapping's by now.
    fn side(
        &self,
        key: FlowKey,
        table: &dyn SweptTable<FlowKey, Binding>,
    ) -> Result<Option<(FlowKey, Binding)>, TableError> {
        let found = table.get(&key)?;
        let own = found.filter(|binding| Self::of_side(&key, binding) == Some(*self));
        Ok(own.map(|binding| (key, binding)))
    }
}

impl Pass<'_> {
    /// Which of the unanswered flows have lost the way of their answers: the public side of the
    /// mapping is gone, because the flow was opened by it at the very moment that it went. Every
    /// packet would keep such a flow in use, so it is to be opened anew. Removes what is left of
    /// the mapping.
    pub(super) fn find_broken(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Binding>,
    ) -> Result<Vec<FlowKey>, TableError> {
        let mut unreplied = std::mem::take(&mut self.unreplied);
        unreplied.sort_unstable_by_key(|(_, mapping)| *mapping);
        let mut broken = Vec::new();
        for (count, flows) in unreplied.chunk_by(|(_, a), (_, b)| a == b).enumerate() {
            let mapping = &flows[0].1;
            if mapping.side(mapping.outer(), table)?.is_none() {
                let inner = mapping.side(mapping.inner, table)?;
                table.remove(inner.map(|(key, _)| key).as_slice())?;
                // Those of NAT66 have not been counted.
                if !mapping.is_nat66() {
                    let host = self.host(mapping.inner.source());
                    host.unreplied = host.unreplied.saturating_sub(flows.len() as u64);
                }
                self.flows.subtract(mapping.uplink(), flows.len());
                broken.extend(flows.iter().map(|(key, _)| *key));
            }
            if count % REMOVED_TOGETHER == REMOVED_TOGETHER - 1 {
                (self.pause)();
            }
        }
        Ok(broken)
    }

    /// Removes the idle mappings and permissions, and counts the hosts' mappings. Returns how many
    /// entries stay.
    pub(super) fn sweep_bindings(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Binding>,
    ) -> Result<usize, TableError> {
        let mut kept = 0;
        let (mut idle, mut permissions) = (Vec::new(), Vec::new());
        table.read(&mut |keys, bindings| {
            for (key, binding) in keys.iter().zip(bindings) {
                let is_fresh = self.is_fresh(key, binding);
                match Mapping::of_side(key, binding) {
                    Some(mapping) if !is_fresh && !self.in_use.has(&mapping) => {
                        idle.push((mapping, *key));
                    }
                    None if !is_fresh => permissions.push(*key),
                    _ => kept += self.keep(key),
                }
            }
            (self.pause)();
        })?;
        idle.sort_unstable();
        kept += self.remove_mappings(table, &idle)?;
        let unneeded = self.in_use.unneeded(&permissions);
        kept += permissions.len() - unneeded.len();
        Ok(kept + self.remove_permissions(table, &unneeded)?)
    }

    fn is_fresh(&self, key: &FlowKey, binding: &Binding) -> bool {
        let timer = self.idle.of_mapping(key.protocol());
        // The data plane may be a tick ahead by now.
        u64::from(self.now).saturating_sub(binding.used) <= u64::from(timer)
    }

    /// Counts an entry that stays.
    fn keep(&mut self, key: &FlowKey) -> usize {
        if key.is_internal() {
            self.host(key.source()).mappings += 1;
        }
        1
    }

    /// Removes the mappings of these sides, in order, that have not been used since they were
    /// judged, both sides of each. Returns how many of these stay.
    fn remove_mappings(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Binding>,
        idle: &[(Mapping, FlowKey)],
    ) -> Result<usize, TableError> {
        let mappings: Vec<_> = idle.chunk_by(|(one, _), (next, _)| one == next).collect();
        let mut kept = 0;
        for mappings in mappings.chunks(REMOVED_TOGETHER) {
            let (mut inner, mut outer) = (Vec::new(), Vec::new());
            for judged in mappings {
                let mapping = &judged[0].0;
                let sides =
                    [mapping.side(mapping.inner, table)?, mapping.side(mapping.outer(), table)?];
                // The public side does not know when a flow was made by the LAN's.
                if sides.iter().flatten().any(|(key, side)| self.is_fresh(key, side)) {
                    for (key, _) in sides.iter().flatten() {
                        // The other one was counted when it was read.
                        if judged.iter().any(|(_, judged)| judged == key) {
                            kept += self.keep(key);
                        }
                    }
                } else {
                    inner.extend(sides[0].map(|(key, _)| key));
                    outer.extend(sides[1].map(|(key, _)| key));
                }
            }
            // Those of the LAN first, so that no flow is opened by a port that is free already.
            inner.append(&mut outer);
            table.remove(&inner)?;
            (self.pause)();
        }
        Ok(kept)
    }

    /// Removes the permissions that have not been used since they were judged. Returns how many
    /// stay.
    fn remove_permissions(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Binding>,
        idle: &[FlowKey],
    ) -> Result<usize, TableError> {
        let mut kept = 0;
        for keys in idle.chunks(REMOVED_TOGETHER) {
            let mut unused = Vec::new();
            for key in keys {
                match table.get(key)? {
                    Some(binding) if self.is_fresh(key, &binding) => kept += 1,
                    Some(_) => unused.push(*key),
                    None => {}
                }
            }
            table.remove(&unused)?;
            (self.pause)();
        }
        Ok(kept)
    }
}
