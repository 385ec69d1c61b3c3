use crate::abi::{
    Bucket, Epoch, Flow, FlowKey, Group, LocalAddress, Mac, Port, Settings, SharedU64, Uplink,
};
use crate::verdict::DropReason;

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

    /// The port of an interface, by the kernel's index.
    fn port(&self, ifindex: u32) -> Option<&Port>;

    /// The uplinks that are alive, a bit each. One store to it is the failover.
    fn alive(&self) -> u64;

    /// The uplink of this identifier; one that was never written has generation zero.
    fn uplink(&self, uplink: u8) -> Option<&Uplink>;

    /// The flow entry of this key.
    fn flow(&self, key: &FlowKey) -> Option<&Flow<SharedU64>>;

    /// Makes a flow entry where there is none: the insertion that reserves a port.
    ///
    /// # Errors
    /// Where there is one already, or no room.
    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;

    /// Makes or replaces a flow entry.
    ///
    /// # Errors
    /// Where there is no room.
    fn replace_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;

    /// Takes back an entry that the same packet inserted. All other removal is the daemon's.
    fn retract_flow(&self, key: &FlowKey);

    /// Whether the address is one of the gateway's own.
    fn is_local(&self, address: &LocalAddress) -> bool;

    /// The settings, if they were written.
    fn settings(&self) -> Option<&Settings>;

    /// The group of this identifier.
    fn group(&self, group: u8) -> Option<&Group>;

    /// The bucket of this index among the buckets of all groups.
    fn bucket(&self, index: u32) -> Option<Bucket>;

    /// Opens the flow of a packet that has none: [`open_flow`](super::open_flow).
    ///
    /// It is here so that the kernel's tables can put a call to a global BPF function in its place,
    /// which the verifier checks once, and not anew on each of the many ways that lead to it. It
    /// also keeps the rare path's registers and stack out of the frequent one.
    ///
    /// # Errors
    /// Why the packet is dropped.
    fn open(&self, key: &FlowKey, host: Mac, len: usize, port: &Port) -> Result<(), DropReason>
    where
        Self: Sized,
    {
        super::open_flow(self, key, host, len, port)
    }
}

/// Why a flow entry was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The key is taken.
    Exists,
    /// The table is full, or the kernel has no memory for the entry.
    Full,
}
