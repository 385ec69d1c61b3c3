use super::{Direction, MAX_UPLINKS, assert_layout};
use crate::verdict::{DropReason, PassReason};

/// Packets and bytes of one kind. 16 bytes. Bytes are of whole frames as they arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// How many packets.
    pub packets: u64,
    /// How many bytes.
    pub bytes: u64,
}

assert_layout!(Counter, size 16, align 8, packets: 8, bytes: 8);

const FIRST_DROP: u32 = 0;
const FIRST_PASS: u32 = FIRST_DROP + DropReason::COUNT as u32;
const FIRST_ANSWERED: u32 = FIRST_PASS + PassReason::COUNT as u32;
const FIRST_UPLINK: u32 = FIRST_ANSWERED + DropReason::COUNT as u32;

const ACROSS_LAN: u32 = FIRST_UPLINK + DIRECTIONS * MAX_UPLINKS as u32;
const HEARD: u32 = ACROSS_LAN + 1;

/// How many counters there are. Every packet that the program sees is counted in exactly one.
pub const COUNTERS: u32 = HEARD + 1;

/// How many [`Direction`]s there are.
const DIRECTIONS: u32 = 3;

/// The index of a counter in the per-CPU array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId(u32);

impl CounterId {
    /// Packets dropped for this reason.
    pub const fn dropped(reason: DropReason) -> Self {
        Self(FIRST_DROP + reason as u32)
    }

    /// Packets handed to the kernel, untouched, for this reason.
    pub const fn passed(reason: PassReason) -> Self {
        Self(FIRST_PASS + reason as u32)
    }

    /// Packets dropped for this reason, of which an ICMP message, or a reset of TCP, told the sender.
    pub const fn answered(reason: DropReason) -> Self {
        Self(FIRST_ANSWERED + reason as u32)
    }

    /// Packets forwarded through this uplink in this direction.
    pub const fn forwarded(uplink: u8, direction: Direction) -> Self {
        let uplink = uplink as u32 & (MAX_UPLINKS as u32 - 1);
        Self(FIRST_UPLINK + DIRECTIONS * uplink + direction as u32)
    }

    /// Packets forwarded from the LAN to the LAN, with nothing translated.
    pub const fn across_lan() -> Self {
        Self(ACROSS_LAN)
    }

    /// Packets of BFD that the data plane has taken note of, and the daemon has not seen.
    pub const fn heard() -> Self {
        Self(HEARD)
    }

    /// The index in the array, below [`COUNTERS`].
    pub const fn index(self) -> u32 {
        self.0
    }
}
