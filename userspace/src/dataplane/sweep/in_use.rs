//! What the flows that stay need, as hashes of 64 bits.
//!
//! Where two things have the same hash, one of them is taken for needed that is not, and stays until
//! the next pass, whose hash function is another. Nothing goes because of it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;
use pointsman_ebpf::abi::FlowKey;

use super::mapping::Mapping;

/// The mappings and permissions that flows need. Its default has a hash function of its own, drawn
/// at random.
#[derive(Default)]
pub(super) struct InUse {
    hasher: RandomState,
    mappings: HashSet<u64, RandomState>,
    /// Most gateways permit nothing by address, so these are only looked through if need be.
    permissions: Vec<u64>,
}

impl InUse {
    pub(super) fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }

    /// A flow by this mapping stays, which this permission belongs to.
    pub(super) fn note(&mut self, mapping: &Mapping, permission: &FlowKey) {
        self.mappings.insert(self.hash(mapping));
        self.permissions.push(self.hash(permission));
    }

    pub(super) fn has(&self, mapping: &Mapping) -> bool {
        self.mappings.contains(&self.hash(mapping))
    }

    /// Those of these permissions that no flow needs.
    pub(super) fn unneeded(&self, permissions: &[FlowKey]) -> Vec<FlowKey> {
        if permissions.is_empty() {
            return Vec::new();
        }
        let needed: HashSet<u64, RandomState> = self.permissions.iter().copied().collect();
        let is_unneeded = |key: &&FlowKey| !needed.contains(&self.hash(key));
        permissions.iter().filter(is_unneeded).copied().collect()
    }
}
