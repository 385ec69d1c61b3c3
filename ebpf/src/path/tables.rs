use crate::abi::{
    AddressOwner, Attempt, AttemptKey, Binding, Bucket, DigestKey, Epoch, Flow, FlowKey, Forward,
    Group, Host, Ipv4, Ipv6, LanNetwork, LanSide, LocalAddress, Monitor, Nat64, Pin, Port, PortKey,
    Settings, SharedU64, SitePrefix, Uplink, Uplink6,
};
use crate::verdict::DropReason;
use crate::wire::Tags;

/// What the path looks things up in: BPF maps in the kernel, ordinary collections elsewhere.
///
/// Nothing here is locked. Another CPU or the daemon may change an entry between two look-ups, and
/// the path must be right whichever it sees.
pub trait Tables {
    /// Nanoseconds of the monotonic clock, at the granularity of the scheduler's tick.
    fn now(&self) -> u64;

    /// The present epoch.
    fn epoch(&self) -> Epoch;

    /// A random number, for ports.
    fn random(&self) -> u32;

    /// The port of an interface, or of a VLAN of one.
    fn port(&self, key: PortKey) -> Option<&Port>;

    /// The tags that frames leave with by this index in the device map.
    fn tags(&self, egress: u16) -> Tags;

    /// Nanoseconds of the monotonic clock, exactly: dear, and for packets of BFD, and those that start a
    /// connection.
    fn exact_now(&self) -> u64;

    /// The uplinks that are alive, a bit each: [`Switch::alive`](crate::abi::Switch::alive), where the deadlines
    /// were looked at in this tick.
    fn alive(&self) -> u64;

    /// What is known of the uplink's BFD session.
    fn monitor(&self, uplink: u8) -> Option<&Monitor<SharedU64>>;

    /// When the uplink is dead unless somebody is heard before: nanoseconds of the monotonic clock.
    fn deadline(&self, uplink: u8) -> Option<&SharedU64>;

    /// The handshake that is timed in this place, below [`ATTEMPTS`](crate::abi::ATTEMPTS).
    fn attempt(&self, place: u32) -> Option<&Attempt<SharedU64>>;

    /// A word that handshakes are counted in: [`HandshakeCount::of`](crate::abi::HandshakeCount::of).
    fn handshakes(&self, word: u32) -> Option<&SharedU64>;

    /// This side of an uplink; one that was never written has generation zero.
    fn uplink(&self, side: u8) -> Option<&Uplink>;

    /// The entry of this key in a table of flows.
    fn flow(&self, table: FlowTable, key: &FlowKey) -> Option<&Flow<SharedU64>>;

    /// Says that this key will be looked up among the flows that are not answered: a hint, for speed.
    #[inline(always)]
    fn prefetch_unanswered(&self, _key: &FlowKey) {}

    /// Makes an entry in a table of flows where there is none.
    ///
    /// # Errors
    /// Where there is one already, or no room.
    fn insert_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;

    /// Makes or replaces an entry in a table of flows.
    ///
    /// # Errors
    /// Where there is no room.
    fn replace_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow)
    -> Result<(), InsertError>;

    /// Takes back an entry that the same packet has inserted, or moves to another table. All other
    /// removal is the daemon's.
    fn retract_flow(&self, table: FlowTable, key: &FlowKey);

    /// One side of a mapping.
    fn binding(&self, key: &FlowKey) -> Option<&Binding<SharedU64>>;

    /// Makes one side of a mapping where there is none: the insertion that reserves a port.
    ///
    /// # Errors
    /// Where there is one already, or no room.
    fn insert_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError>;

    /// Makes or replaces one side of a mapping.
    ///
    /// # Errors
    /// Where there is no room.
    fn replace_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError>;

    /// Takes back a side of a mapping that the same packet has inserted.
    fn retract_binding(&self, key: &FlowKey);

    /// What a LAN host takes of the tables; counted from zero where it was not known.
    fn host(&self, address: Ipv4) -> Option<&Host<SharedU64>>;

    /// The public address of this index in the pool of all uplinks.
    fn pool(&self, index: u32) -> Option<Ipv4>;

    /// The word of [`OwnPorts`](crate::abi::OwnPorts) of this index.
    fn own_ports(&self, word: u32) -> u64;

    /// The forward of this index.
    fn forward(&self, index: u32) -> Option<&Forward>;

    /// Takes a token for an ICMP message of the gateway's own: [`TokenBucket::take`](crate::abi::TokenBucket::take).
    fn take_token(&self, now: u64, rate: u32, burst: u32) -> bool;

    /// Whose the address is, if it is one of the gateway's own.
    fn local(&self, address: &LocalAddress) -> Option<AddressOwner>;

    /// What is known of the longest prefix of the LAN that holds the address.
    fn lan_network(&self, address: Ipv4) -> Option<&LanNetwork>;

    /// The index of the forward for a packet of this key to the uplink's address:
    /// [`find_forward`](super::find_forward).
    ///
    /// It is here so that the kernel's tables can put a call to a global BPF function in its place,
    /// which the verifier checks once, and not anew on each of the many ways that lead to it.
    fn find_forward(&self, key: &FlowKey, uplink: u8) -> Option<u32>
    where
        Self: Sized,
    {
        super::find_forward(self, key, uplink)
    }

    /// Takes note of a SYN that leaves: [`syn_sent`](super::syn_sent). It is here for the same reason.
    fn syn_sent(&self, key: AttemptKey)
    where
        Self: Sized,
    {
        super::syn_sent(self, key);
    }

    /// Takes note of the answer to one: [`syn_answered`](super::syn_answered).
    fn syn_answered(&self, key: AttemptKey)
    where
        Self: Sized,
    {
        super::syn_answered(self, key);
    }

    /// What is known of the longest prefix that holds the address, which of IPv4 is mapped.
    fn site_prefix(&self, address: &Ipv6) -> Option<&SitePrefix>;

    /// The settings, if they were written.
    fn settings(&self) -> Option<&Settings>;

    /// The group of this identifier.
    fn group(&self, group: u8) -> Option<&Group>;

    /// The bucket of this index among the buckets of all groups.
    fn bucket(&self, index: u32) -> Option<Bucket>;
}

/// What IPv6 is looked up in besides, and what asks for the kernel's routes.
pub trait Tables6: Tables {
    /// The key of the digests of addresses.
    fn digest_key(&self) -> &DigestKey;

    /// What is known of the uplink of this identifier for IPv6; of one that was never written, the
    /// generation is zero.
    fn uplink6(&self, uplink: u8) -> Option<&Uplink6>;

    /// The prefix of NAT64.
    fn nat64(&self) -> &Nat64;

    /// The gateway's own address on the interface with this index in the device map: the source of
    /// ICMPv6 messages that are sent by it.
    fn address6(&self, egress: u16) -> Option<Ipv6>;

    /// How the LAN host of this address, or this IPv4-mapped one, is reached, as the kernel's routes and neighbours say. Where the
    /// neighbour is not known, somebody is asked to find it.
    fn lan_next_hop(&self, address: &Ipv6) -> NextHop;

    /// The entry of this key in a table of pinned flows. There is none of fragments.
    fn pin(&self, table: FlowTable, key: &FlowKey) -> Option<&Pin<SharedU64>>;

    /// Says that this key will be looked up among the flows that are not answered: a hint, for speed.
    #[inline(always)]
    fn prefetch_unanswered_pin(&self, _key: &FlowKey) {}

    /// Makes or replaces an entry in a table of pinned flows.
    ///
    /// # Errors
    /// Where there is no room.
    fn replace_pin(&self, table: FlowTable, key: &FlowKey, pin: &Pin) -> Result<(), InsertError>;

    /// Takes back an entry that is moved to another table.
    fn retract_pin(&self, table: FlowTable, key: &FlowKey);
}

/// How a LAN host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// By this interface and MAC.
    Lan(LanSide),
    /// By a neighbour whose MAC is not known.
    Unknown,
    /// By no LAN interface.
    Nowhere,
}

impl NextHop {
    /// The side of the LAN, for what is to be sent there.
    ///
    /// # Errors
    /// Why it is not.
    #[inline(always)]
    pub(super) fn side(self) -> Result<LanSide, DropReason> {
        match self {
            Self::Lan(lan) => Ok(lan),
            Self::Unknown => Err(DropReason::NeighbourUnknown),
            Self::Nowhere => Err(DropReason::NoLanRoute),
        }
    }
}

/// A table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowTable {
    /// Answered flows, both directions of each: what is looked up first. Nothing pushes one out.
    Established,
    /// Flows from the LAN that nobody has answered, by what the LAN sends. Where there are too
    /// many, new ones push out old ones.
    Unreplied,
    /// Flows from beyond an uplink that the LAN has not answered, by what the LAN would send.
    /// Likewise, and apart, so that neither side's floods touch what the other side opens.
    Invited,
    /// Datagrams in fragments, by addresses, protocol and identification: what their first fragment
    /// was rewritten by. Likewise.
    Fragments,
}

/// Why an entry was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The key is taken.
    Exists,
    /// The table is full, or the kernel has no memory for the entry.
    Full,
}
