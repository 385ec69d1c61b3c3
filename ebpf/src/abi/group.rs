use super::{Placement, assert_layout};

/// Buckets of a group: how finely its uplinks share the new flows. A power of two.
pub const BUCKETS_PER_GROUP: usize = 1 << 14;

/// How many uplinks a bucket ranks.
pub const RANKS: usize = 8;

/// What a group's flows are hashed by, as [`Group::sticky`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sticky {
    /// Both addresses and both ports: every flow on its own.
    Flow = 0,
    /// The source address: a host keeps to one uplink.
    Source = 1,
    /// Source and destination address.
    SourceDestination = 2,
}

/// What becomes of the established flows of a group when their uplink dies, or loses their address, as
/// [`Group::on_failure`]. What is routed as it is goes over to another uplink in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum OnFailure {
    /// Their next packet takes another uplink.
    #[default]
    Rehome = 0,
    /// The same, but a connection of TCP that the LAN has opened is reset towards the LAN, if there is another
    /// uplink to open it by anew.
    Reset = 1,
    /// They wait until the uplink is alive again. What has lost its address for good does as of [`Self::Rehome`].
    Hold = 2,
}

/// A set of uplinks that share flows. 24 bytes, indexed by the group's identifier; its
/// [`BUCKETS_PER_GROUP`] buckets follow each other from `identifier * BUCKETS_PER_GROUP` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Group {
    /// Uplinks that meet their service level: a bit each, by identifier.
    pub preferred: u64,
    /// Uplinks that may take new flows: a bit each, by identifier. An uplink must be alive too, a
    /// bit of the switch.
    pub usable: u64,
    /// A [`Sticky`].
    pub sticky: u8,
    /// An [`OnFailure`].
    pub on_failure: u8,
    /// Always zero.
    pub reserved: [u8; 6],
}

assert_layout!(Group, size 24, align 8, preferred: 8, usable: 8, sticky: 1, on_failure: 1,
    reserved: 6);

impl Group {
    /// The uplink that a new flow takes of those in `usable`: as its bucket says, or, where hosts keep to
    /// an uplink, that by which the host's other flows leave. What belongs together stays together so, when
    /// an uplink that comes first is back: a call's voice goes the way of its signalling.
    ///
    /// An uplink that is not preferred keeps nobody where the bucket has one that is.
    #[inline(always)]
    pub fn choose(&self, bucket: Bucket, usable: u64, placement: Placement) -> Option<u8> {
        let chosen = bucket.choose(self.preferred, usable)?;
        if self.sticky != Sticky::Source as u8 {
            return Some(chosen);
        }
        let Some(placed) = placement.uplink() else {
            return Some(chosen);
        };
        let has = |mask: u64, uplink: u8| mask >> (uplink & 63) & 1 == 1;
        let keeps =
            has(usable, placed) && (has(self.preferred, placed) || !has(self.preferred, chosen));
        Some(if keeps { placed } else { chosen })
    }
}

/// Up to [`RANKS`] uplinks in order of preference, one identifier a byte, the first in the least
/// significant; [`Bucket::NONE`] ends the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bucket(pub u64);

impl Bucket {
    /// The byte that stands for no uplink.
    pub const NONE: u8 = 0xff;

    /// A bucket that ranks no uplink.
    pub const EMPTY: Self = Self(u64::MAX);

    /// Ranks the first [`RANKS`] of `uplinks`.
    pub fn new(uplinks: impl IntoIterator<Item = u8>) -> Self {
        let mut bytes = [Self::NONE; RANKS];
        for (byte, uplink) in bytes.iter_mut().zip(uplinks) {
            *byte = uplink;
        }
        Self(u64::from_le_bytes(bytes))
    }

    /// The uplinks in order of preference.
    pub fn ranking(self) -> impl Iterator<Item = u8> {
        self.0.to_le_bytes().into_iter().take_while(|uplink| *uplink != Self::NONE)
    }

    /// The first uplink of the ranking that is in `preferred` and in `usable`, else the first in
    /// `usable`.
    #[inline(always)]
    pub fn choose(self, preferred: u64, usable: u64) -> Option<u8> {
        self.first_in(preferred & usable).or_else(|| self.first_in(usable))
    }

    #[inline(always)]
    fn first_in(self, mask: u64) -> Option<u8> {
        let mut ranking = self.0;
        for _ in 0..RANKS {
            let uplink = ranking as u8;
            if uplink < super::MAX_UPLINKS as u8 && mask >> uplink & 1 == 1 {
                return Some(uplink);
            }
            ranking >>= 8;
        }
        None
    }
}
