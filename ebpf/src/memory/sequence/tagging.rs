//! VLAN tags of a gateway's frames: they belong to interfaces, and nothing else knows of them.

use std::vec::Vec;

use super::Interface;
use crate::memory::MemoryTables;
use crate::memory::site::{A, B, lan};
use crate::memory::tags::{
    CUSTOMER_TAG as CUSTOMER, SERVICE_TAG as SERVICE, TAGS, Tag, octets, tagged, vlan_of,
};
use crate::verdict::Verdict;

const ETHERNET: usize = 14;

/// Tags of frames, the outer one first.
const KINDS: [&[Tag]; 5] = [
    &[],
    &[(CUSTOMER, 35)],
    &[(SERVICE, 100)],
    &[(SERVICE, 100), (CUSTOMER, 35)],
    &[(CUSTOMER, 7), (CUSTOMER, 8)],
];

/// Which tags the frames of the LAN, and of both uplinks, have: 0 is none, 1 and 2 are one, 3 and 4 are
/// two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tagging(pub [u8; 3]);

impl Tagging {
    /// How many kinds of tags there are.
    pub const KINDS: usize = KINDS.len();

    /// Has the interfaces serve the VLANs, and nothing else.
    pub fn prepare(self, tables: &mut MemoryTables) {
        let indexes = [lan::IFINDEX, A.ifindex, B.ifindex];
        for (ifindex, kind) in indexes.into_iter().zip(self.0) {
            if let Some(port) = tables.ports.get_mut(&ifindex) {
                port.vlan = vlan_of(tags(kind)).unwrap_or_default();
                tables.vlans.insert(port.egress, port.vlan);
            }
        }
    }

    /// Whether it makes no difference to what becomes of a frame: one that is cut short has no place for
    /// tags, and one with a tag has further ones then.
    pub fn is_neutral(self, frame: &[u8]) -> bool {
        let kind = frame.get(TAGS..ETHERNET);
        let is_tag =
            |kind: &[u8]| [CUSTOMER, SERVICE].map(u16::to_be_bytes).iter().any(|t| t == kind);
        self == Self::default() || kind.is_some_and(|kind| !is_tag(kind))
    }

    /// The frame as it comes in, if it is one that this is neutral to.
    pub fn tagged(self, interface: Interface, frame: &[u8]) -> Vec<u8> {
        match self.of(interface) {
            [] => frame.to_vec(),
            tags => tagged(frame, tags),
        }
    }

    /// The frame without the tags that it must have after this verdict. Nothing where it does not have
    /// them.
    pub fn untagged(
        self,
        came: Interface,
        verdict: Verdict,
        mut frame: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let interface = match verdict {
            Verdict::Forward { egress, .. }
            | Verdict::Lan { egress }
            | Verdict::Answer { egress, .. } => Interface::of_egress(egress),
            Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Heard => came,
        };
        let octets: Vec<u8> = octets(self.of(interface)).collect();
        if !octets.is_empty() {
            frame.get(TAGS..).filter(|rest| rest.starts_with(&octets))?;
            frame.drain(TAGS..TAGS + octets.len());
        }
        Some(frame)
    }

    fn of(self, interface: Interface) -> &'static [Tag] {
        let [lan, a, b] = self.0;
        let kind = match interface {
            Interface::Lan => lan,
            Interface::A => a,
            Interface::B => b,
            Interface::Stranger => 0,
        };
        tags(kind)
    }
}

fn tags(kind: u8) -> &'static [Tag] {
    KINDS.get(usize::from(kind)).copied().unwrap_or_default()
}
