//! The maps. Their names and types are part of the ABI.

use core::{cell::UnsafeCell, mem::MaybeUninit};

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, xdp_action},
    helpers::generated::bpf_redirect_map,
    macros::map,
    maps::{Array, DevMap, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
    programs::XdpContext,
};
use pointsman_ebpf::{
    abi::{
        self, AddressOwner, Attempt, BUCKETS_PER_GROUP, Bucket, COUNTERS, Counter, CounterId, Flow,
        FlowKey, Forward, Group, HANDSHAKE_WORDS, Host, Ipv4, Ipv6, LOCAL_FILTER_WORDS, LanNetwork,
        LocalAddress, MAX_FORWARDS, MAX_GROUPS, MAX_UPLINKS, MEMO_LEN, Monitor, Nat64,
        OWN_PORT_WORDS, POOL_ADDRESSES, PORT_SLOTS, Port, PortKey, Settings, SharedU64, SitePrefix,
        Switch, TokenBucket, UPLINK_SIDES, Uplink, Uplink6,
    },
    path::{Note, Packet, Packet6, Stage},
    table::{BINDING_WORDS, FLOW_WORDS, Filter, PIN_WORDS, Set},
    wire::Tags,
};

/// The only [`Switch`], which the daemon writes through shared memory by aligned stores.
#[map]
pub(super) static SWITCH: Array<Switch<SharedU64>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// [`Monitor`]s by uplink, in shared memory likewise.
#[map]
pub(super) static MONITORS: Array<Monitor<SharedU64>> =
    Array::with_max_entries(MAX_UPLINKS as u32, BPF_F_MMAPABLE);

/// [`Attempt`]s by place.
#[map]
pub(super) static ATTEMPTS: Array<Attempt<SharedU64>> =
    Array::with_max_entries(abi::ATTEMPTS as u32, BPF_F_MMAPABLE);

/// What of handshakes is counted, in words that [`HandshakeCount`](abi::HandshakeCount) is the index of.
#[map]
pub(super) static HANDSHAKES: Array<SharedU64> =
    Array::with_max_entries((MAX_UPLINKS * HANDSHAKE_WORDS) as u32, BPF_F_MMAPABLE);

/// What one daemon leaves for the next: none of a program's business.
#[map]
static MEMO: Array<[u8; MEMO_LEN]> = Array::with_max_entries(1, 0);

/// The only [`Settings`].
#[map]
pub(super) static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// What every packet is looked up in, as the only element of an array of the kernel: a section of
/// data becomes such a map. The program has its address, where an element of any other array is
/// looked up by a key in memory.
#[repr(transparent)]
pub(super) struct Section<T>(UnsafeCell<T>);

// SAFETY: programs only read it. The daemon writes it by system calls, as it does any map.
unsafe impl<T> Sync for Section<T> {}

impl<T, const N: usize> Section<[T; N]> {
    /// What the daemon finds.
    pub(super) const fn zeroed() -> Self {
        // SAFETY: the elements are of plain integers.
        Self(UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }))
    }

    /// All elements.
    #[inline(always)]
    pub(super) fn all(&self) -> &[T; N] {
        // SAFETY: the map is there for as long as the program. What the daemon writes meanwhile is
        // torn at worst, as an element of any array is, and of plain integers every bit pattern is
        // one.
        unsafe { &*self.0.get() }
    }

    /// The element of this index.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.all().get(index)
    }
}

/// [`Port`]s, where [`PortKey::slots`] says.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.ports")]
pub(super) static PORTS: Section<[Port; PORT_SLOTS]> = Section::zeroed();

/// The tags that frames leave with, by index in the device map.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.vlans")]
pub(super) static VLANS: Section<[Tags; PORT_SLOTS]> = Section::zeroed();

/// [`Uplink`]s by side.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.uplinks")]
pub(super) static UPLINKS: Section<[Uplink; UPLINK_SIDES]> = Section::zeroed();

/// [`Group`]s by identifier.
#[map]
pub(super) static GROUPS: Array<Group> = Array::with_max_entries(MAX_GROUPS as u32, 0);

/// The buckets of all groups. The daemon sizes it for the groups that there are.
#[map]
pub(super) static BUCKETS: Array<Bucket> = Array::with_max_entries(BUCKETS_PER_GROUP as u32, 0);

/// Both directions of every answered flow: a [`table`](pointsman_ebpf::table). The daemon sizes it,
/// as it does the tables below.
#[map]
pub(super) static FLOWS: Array<Set<FLOW_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The filters of that.
#[map]
pub(super) static FLOWS_FILTER: Array<Filter> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Flows from the LAN that nobody has answered: a table as above.
#[map]
pub(super) static UNREPLIED: Array<Set<FLOW_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Flows from beyond an uplink that the LAN has not answered: a table as above.
#[map]
pub(super) static INVITED: Array<Set<FLOW_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Datagrams in fragments.
#[map]
pub(super) static FRAGMENTS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1 << 12, 0);

/// Both sides of every mapping: a table as above.
#[map]
pub(super) static BINDINGS: Array<Set<BINDING_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The filters of that.
#[map]
pub(super) static BINDINGS_FILTER: Array<Filter> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Answered flows that keep their ports, one entry for both directions: a table as above.
#[map]
pub(super) static PINS: Array<Set<PIN_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The filters of that.
#[map]
pub(super) static PINS_FILTER: Array<Filter> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Such flows from the LAN that nobody has answered.
#[map]
pub(super) static UNREPLIED_PINS: Array<Set<PIN_WORDS>> =
    Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Such flows from outside that the LAN has not answered.
#[map]
pub(super) static INVITED_PINS: Array<Set<PIN_WORDS>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// [`Uplink6`]s by identifier.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.uplinks6")]
pub(super) static UPLINKS6: Section<[Uplink6; MAX_UPLINKS]> = Section::zeroed();

/// The only [`Nat64`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.nat64")]
pub(super) static NAT64: Section<[Nat64; 1]> = Section::zeroed();

/// The gateway's own IPv6 addresses, by an interface's index in the device map.
#[map]
pub(super) static ADDRESSES6: Array<Ipv6> = Array::with_max_entries(PORT_SLOTS as u32, 0);

/// [`SitePrefix`]es, by address as it stands in the packet.
#[map]
pub(super) static SITE_PREFIXES: LpmTrie<[u32; 4], SitePrefix> =
    LpmTrie::with_max_entries(abi::SITE_PREFIXES as u32, 0);

/// [`LanNetwork`]s, by address as it stands in the packet.
#[map]
pub(super) static LAN_NETWORKS: LpmTrie<Ipv4, LanNetwork> =
    LpmTrie::with_max_entries(abi::LAN_NETWORKS as u32, 0);

/// Neighbours that the kernel is asked to find.
#[map]
pub(super) static WANTED: RingBuf = RingBuf::with_byte_size(1 << 14, 0);

/// What LAN hosts take of the tables.
#[map]
pub(super) static HOSTS: LruHashMap<Ipv4, Host> = LruHashMap::with_max_entries(1 << 12, 0);

/// Port forwards, in order.
#[map]
pub(super) static FORWARDS: Array<Forward> = Array::with_max_entries(MAX_FORWARDS as u32, 0);

/// Public addresses of all uplinks.
#[map]
pub(super) static POOL: Array<Ipv4> =
    Array::with_max_entries((MAX_UPLINKS * POOL_ADDRESSES) as u32, 0);

/// Ports that are never handed out: words of `OwnPorts`.
#[map]
pub(super) static OWN_PORTS: Array<u64> = Array::with_max_entries(OWN_PORT_WORDS as u32, 0);

/// What ICMP messages of the gateway's own take their tokens from, and then what the neighbours do that
/// the kernel is asked to find.
#[map]
pub(super) static TOKENS: PerCpuArray<TokenBucket> = PerCpuArray::with_max_entries(2, 0);

/// What one stage of a packet's path leaves for the next.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Left<P> {
    pub(crate) packet: P,
    /// Word from the last one.
    pub(crate) note: Note,
    /// The port that the packet came in by.
    pub(crate) port: PortKey,
    /// The tags that it came in with.
    pub(crate) came: Tags,
    /// How long its frame was without them, in bytes.
    pub(crate) len: usize,
}

/// What the packet in hand has left on its way through the stages.
#[map]
static LEFT: PerCpuArray<Left<Packet>> = PerCpuArray::with_max_entries(1, 0);

/// The same of one of IPv6.
#[map]
static LEFT6: PerCpuArray<Left<Packet6>> = PerCpuArray::with_max_entries(1, 0);

/// A packet that goes from stage to stage.
pub(crate) trait Carried: Copy + 'static {
    /// Where it is left.
    fn map() -> &'static PerCpuArray<Left<Self>>;
}

impl Carried for Packet {
    #[inline(always)]
    fn map() -> &'static PerCpuArray<Left<Self>> {
        &LEFT
    }
}

impl Carried for Packet6 {
    #[inline(always)]
    fn map() -> &'static PerCpuArray<Left<Self>> {
        &LEFT6
    }
}

/// The gateway's own addresses, and whose they are.
#[map]
pub(super) static LOCAL: HashMap<LocalAddress, AddressOwner> = HashMap::with_max_entries(1024, 0);

/// The only [`LocalFilter`](pointsman_ebpf::abi::LocalFilter), by word.
#[map]
pub(super) static LOCAL_FILTER: Array<u64> = Array::with_max_entries(LOCAL_FILTER_WORDS as u32, 0);

/// [`Counter`]s by [`CounterId`].
#[map]
static COUNTER: PerCpuArray<Counter> = PerCpuArray::with_max_entries(COUNTERS, 0);

/// Egress interfaces.
#[map]
static EGRESS: DevMap = DevMap::with_max_entries(PORT_SLOTS as u32, 0);

/// The programs that a packet's path goes through, by [`Stage`].
#[map]
static STAGES: ProgramArray = ProgramArray::with_max_entries(Stage::ALL.len() as u32, 0);

/// Leaves for all stages to come what was parsed of the packet, the port that it came in by, the tags that
/// were taken out of it, and how long its frame is without.
#[inline(always)]
pub(crate) fn leave<P: Carried>(packet: &P, port: PortKey, came: Tags, len: usize) {
    if let Some(left) = P::map().get_ptr_mut(0) {
        // SAFETY: the element is this CPU's own, and an XDP program is not interrupted by another
        // on its CPU. That holds until the last of a packet's stages ends.
        unsafe {
            (*left).packet = *packet;
            (*left).port = port;
            (*left).came = came;
            (*left).len = len;
        }
    }
}

/// What the stages before have left.
#[inline(always)]
pub(crate) fn left<P: Carried>() -> Option<&'static Left<P>> {
    P::map().get(0)
}

/// Leaves word for the stage that goes on.
#[inline(always)]
pub(crate) fn leave_note<P: Carried>(note: Note) {
    if let Some(left) = P::map().get_ptr_mut(0) {
        // SAFETY: as for `leave`.
        unsafe { (*left).note = note };
    }
}

/// Goes on with the program of another stage. It comes back only where the daemon has not put it in
/// its place.
#[inline(always)]
pub(crate) fn enter(stage: Stage, context: &XdpContext) {
    // SAFETY: the program is of the same type, for the daemon and the kernel see to that.
    unsafe { STAGES.tail_call(context, stage as u32) };
}

/// Sends the packet out of an interface. Returns what the program is to end in: where there is no
/// interface in the slot, a drop.
#[inline(always)]
pub(crate) fn redirect(egress: u16) -> u32 {
    let map = (&raw const EGRESS).cast_mut().cast();
    // SAFETY: a map of devices is what the helper takes.
    unsafe { bpf_redirect_map(map, u64::from(egress), u64::from(xdp_action::XDP_DROP)) as u32 }
}

/// Counts a packet of `len` bytes.
#[inline(always)]
pub(crate) fn count(counter: CounterId, len: usize) {
    if let Some(counter) = COUNTER.get_ptr_mut(counter.index()) {
        // SAFETY: the element is this CPU's own, and an XDP program is not interrupted by another
        // on its CPU.
        let counter = unsafe { &mut *counter };
        counter.packets += 1;
        counter.bytes += len as u64;
    }
}
