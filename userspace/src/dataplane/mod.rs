//! The loaded XDP program and its maps, behind a trait that says all that the control plane needs
//! of them.
//!
//! [`Kernel`] is the real one. The sweep of idle flows runs beside it, on a thread of its own
//! ([`Sweeper`]), because it takes longer than a lost carrier may wait.

mod attach;
mod batch;
mod carry_over;
mod contents;
mod detach;
mod error;
#[cfg(test)]
mod fake;
mod handshakes;
mod kernel;
mod link;
mod links;
mod liveness;
mod load;
mod memo;
mod occupant;
mod pins;
mod prompt;
mod rebalance;
mod section;
mod set_table;
mod stages;
mod sweep;
mod sweeper;
mod swept;
mod tables;
mod wanted;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    AddressOwner, BUCKETS_PER_GROUP, Bucket, Counter, Forward, Group, Ipv4, Ipv6, LanNetwork,
    LocalAddress, Nat64, Port, Settings, SitePrefix, Uplink, Uplink6, Vlan,
};

pub use attach::{AttachError, Mode, NATIVE_MTU};
pub use batch::BatchMap;
pub use contents::Contents;
pub use error::{LoadError, TableError};
#[cfg(test)]
pub(crate) use fake::Fake;
pub use handshakes::Handshakes;
pub use kernel::{Inheritance, Kernel, OBJECT};
pub use links::Frames;
pub use liveness::Liveness;
pub use memo::{Memo, Names};
pub use occupant::Occupant;
pub use pins::{Pins, PinsError};
pub use prompt::{Link, Prompt};
pub use rebalance::{Move, Progress, RATE, Selection, Terms};
pub use set_table::SetTable;
pub use stages::load_stages;
pub use sweep::{Census, FlowsByUplink, IdleTicks, PinTable, SweptTable, SweptTables, sweep};
pub use sweeper::Sweeper;
pub use swept::SweptMaps;
pub use tables::{Layout, Table, tables};
pub use wanted::Wanted;

use crate::control::Ranking;

/// What the control plane does to the data plane. Each method does one thing to one map, and
/// [`TableError`] says which one the kernel refused.
pub trait Dataplane {
    /// Says which uplinks are alive, a bit each by identifier: the failover. It cannot fail, takes
    /// nanoseconds, and holds from the next packet on.
    fn set_alive(&mut self, alive: u64);

    /// Attaches to the interface with this index the program for such frames, or, where there is the other
    /// of the two, puts it in its place. The name is for messages. Another interface may lose its program over
    /// that: see [`Self::is_attached`].
    ///
    /// # Errors
    /// Why not, with the fix. The interface has no program then.
    fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        frames: Frames,
    ) -> Result<Mode, AttachError>;

    /// Whether the interface with this index has a program that was attached.
    fn is_attached(&self, ifindex: u32) -> bool;

    /// Says that frames with VLAN tags come in by an interface that the program is attached to: its
    /// driver is to leave the tags on. To say it again changes nothing.
    fn expect_tags(&mut self, ifindex: u32);

    /// Lets go of an interface that the program was attached to, or could not be. Nothing happens
    /// where the interface is gone.
    fn detach(&mut self, ifindex: u32);

    /// Lets an egress slot stand for the interface with this index, or for none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError>;

    /// Has frames leave by an egress slot with these tags, or none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_vlan(&mut self, slot: u16, vlan: Vlan) -> Result<(), TableError>;

    /// Replaces the settings.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError>;

    /// Replaces the port in a slot of the table; the default value frees the slot.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError>;

    /// Replaces what is known of a side of an uplink; the default value removes it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_uplink(&mut self, side: u8, uplink: &Uplink) -> Result<(), TableError>;

    /// Replaces a group.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError>;

    /// Replaces the bucket with this index among those of all groups.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_bucket(&mut self, index: u32, bucket: Bucket) -> Result<(), TableError>;

    /// Replaces the buckets of a group by those of a ranking, one after the other.
    ///
    /// # Errors
    /// Where the kernel refuses one. Those before it are replaced.
    fn set_ranking(&mut self, group: u8, ranking: &Ranking) -> Result<(), TableError> {
        let first = u32::from(group) * BUCKETS_PER_GROUP as u32;
        let mut buckets = (first..).zip(ranking.buckets());
        buckets.try_for_each(|(index, bucket)| self.set_bucket(index, bucket))
    }

    /// Replaces the public address with this index among those of all uplinks.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_pool(&mut self, index: u32, address: Ipv4) -> Result<(), TableError>;

    /// Replaces the port forward with this index; the default value forwards nothing.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_forward(&mut self, index: u32, forward: &Forward) -> Result<(), TableError>;

    /// Replaces a word of [`OwnPorts`](pointsman_ebpf::abi::OwnPorts).
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_own_ports(&mut self, word: u32, ports: u64) -> Result<(), TableError>;

    /// Says whose one of the gateway's own addresses is, or that it is none of them any more.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_local(
        &mut self,
        address: LocalAddress,
        owner: Option<AddressOwner>,
    ) -> Result<(), TableError>;

    /// Replaces what is known of an uplink for IPv6; the default value removes it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_uplink6(&mut self, id: u8, uplink: &Uplink6) -> Result<(), TableError>;

    /// Replaces the prefix of NAT64; the default value is none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_nat64(&mut self, nat64: &Nat64) -> Result<(), TableError>;

    /// Replaces the gateway's own IPv6 address on the interface of an egress slot; the default value
    /// is none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_address6(&mut self, slot: u16, address: Ipv6) -> Result<(), TableError>;

    /// Says what is known of a prefix, or that it is nothing any more.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_site_prefix(
        &mut self,
        prefix: Ipv6Net,
        known: Option<&SitePrefix>,
    ) -> Result<(), TableError>;

    /// Says what is known of an IPv4 prefix of the LAN, or that it is none any more.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn set_lan_network(
        &mut self,
        prefix: Ipv4Net,
        network: Option<&LanNetwork>,
    ) -> Result<(), TableError>;

    /// All counters, summed over the CPUs, by index.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn counters(&self) -> Result<Vec<Counter>, TableError>;
}
