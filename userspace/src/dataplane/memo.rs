//! What one daemon leaves for the next, in a map of its own beside the tables that it explains.

use std::collections::BTreeMap;

use aya::Pod;
use aya::maps::{Array, Map, MapData, MapError};
use pointsman_ebpf::abi::{ABI_VERSION, DigestKey, MEMO_LEN};
use pointsman_ebpf::table::HashKey;
use serde::{Deserialize, Serialize};

use super::TableError;
use crate::config::TableSizes;
use crate::nic::Feature;

/// The map's name in the object.
pub(super) const MAP: &str = "MEMO";

/// All that is not in the other maps and has to be known to go on with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The [`ABI_VERSION`] of the tables.
    pub abi: u32,
    /// The network namespace of the interfaces, by inode.
    pub namespace: u64,
    /// How large the tables are.
    pub tables: TableSizes,
    /// What they are hashed by.
    pub hash_key: HashKey,
    /// What the addresses in the keys of IPv6 flows are hashed by.
    pub digest_key: DigestKey,
    /// Whose the numbers in the tables are.
    pub names: Names,
    /// Offloads that were switched off, by interface.
    pub offloads: BTreeMap<u32, (String, Vec<Feature>)>,
}

/// The numbers that the data plane has for what the configuration has names for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The uplinks' identifiers.
    pub uplinks: BTreeMap<String, u16>,
    /// The egress slots of interfaces and their tags.
    pub slots: BTreeMap<String, u16>,
}

/// The element of the map: a text in JSON, and zeros.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Bytes([u8; MEMO_LEN]);

// SAFETY: bytes, any of which are one.
unsafe impl Pod for Bytes {}

impl Memo {
    /// Whether the tables are such as this daemon's programs know.
    pub fn is_of_this_abi(&self) -> bool {
        self.abi == ABI_VERSION
    }
}

/// The map.
pub(super) struct MemoMap(Array<MapData, Bytes>);

impl MemoMap {
    /// What was left: nothing where nothing was, or what nobody understands.
    pub(super) fn read(&self) -> Option<Memo> {
        let bytes = self.0.get(&0, 0).ok()?;
        let text = bytes.0.split(|byte| *byte == 0).next()?;
        serde_json::from_slice(text).ok()
    }

    /// Leaves something. The kernel copies it as a whole, whenever the daemon is killed.
    ///
    /// # Errors
    /// Where it is too long, or the kernel refuses.
    pub(super) fn write(&mut self, memo: &Memo) -> Result<(), TableError> {
        let text = serde_json::to_vec(memo).map_err(TableError::writing(MAP))?;
        let mut bytes = Box::new(Bytes([0; MEMO_LEN]));
        // One zero at least ends it.
        let place = bytes.0.get_mut(..text.len()).filter(|place| place.len() < MEMO_LEN);
        place.ok_or(TooLong(text.len())).map_err(TableError::writing(MAP))?.copy_from_slice(&text);
        self.0.set(0, *bytes, 0).map_err(TableError::writing(MAP))
    }
}

impl TryFrom<Map> for MemoMap {
    type Error = MapError;

    fn try_from(map: Map) -> Result<Self, MapError> {
        map.try_into().map(Self)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is {0} bytes long, more than {MEMO_LEN}; give uplinks and interfaces shorter names")]
struct TooLong(usize);
