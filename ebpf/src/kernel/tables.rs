use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, xdp_md},
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    },
    maps::lpm_trie::Key,
    programs::XdpContext,
};
use pointsman_ebpf::{
    abi::{
        AddressOwner, Attempt, AttemptKey, Binding, Bucket, Epoch, Flow, FlowKey, Forward, Group,
        Host, Ipv4, Ipv6, LanNetwork, LocalAddress, LocalFilter, Monitor, PORT_SLOTS, Port,
        PortKey, Settings, SharedU64, SitePrefix, UPLINK_SIDES, Uplink, Vlan,
    },
    path::{self, FlowTable, InsertError, Tables},
    table::Existing,
    wire::Tags,
};

use super::flow_tables::{Bindings, Flows, Invited, Unreplied, look_up};
use super::frame::PacketFrame;
use super::maps::{
    ATTEMPTS, BUCKETS, FORWARDS, FRAGMENTS, GROUPS, HANDSHAKES, HOSTS, LAN_NETWORKS, LOCAL,
    LOCAL_FILTER, MONITORS, OWN_PORTS, POOL, PORTS, SETTINGS, SITE_PREFIXES, SWITCH, TOKENS,
    UPLINKS, VLANS,
};

/// `EEXIST` of the kernel.
const EXISTS: i32 = -17;

/// The scheduler's ticks. The verifier puts the instructions in the call's place.
#[inline(always)]
pub(super) fn jiffies() -> u64 {
    // SAFETY: the helper takes nothing and has no precondition.
    unsafe { bpf_jiffies64() }
}

/// The BPF maps, of which the tables of flows and mappings are looked up by [`LOOK_UP`](look_up).
///
/// `C` is the program's context, which helpers take that know the kernel's routes, or nothing, where
/// none of those is called.
pub(crate) struct KernelTables<const LOOK_UP: u8, C = ()> {
    pub(super) context: C,
}

impl<const LOOK_UP: u8, C> Tables for KernelTables<LOOK_UP, C> {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and has no precondition.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn epoch(&self) -> Epoch {
        Epoch::of_jiffies(jiffies())
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: as for `now`.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn port(&self, key: PortKey) -> Option<&Port> {
        for slot in key.slots() {
            let port = PORTS.get(slot)?;
            if port.key() == key {
                return Some(port);
            }
        }
        None
    }

    #[inline(always)]
    fn tags(&self, egress: u16) -> Tags {
        // The mask tells the verifier what the daemon keeps to.
        VLANS.get(usize::from(egress) & (PORT_SLOTS - 1)).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn exact_now(&self) -> u64 {
        // SAFETY: as for `now`.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn alive(&self) -> u64 {
        let Some(switch) = SWITCH.get(0) else { return 0 };
        if switch.is_due(jiffies()) {
            // Once a tick, on whichever CPU comes first, and not in the first stage: there the call would cost each
            // packet what it makes the compiler spill. To it nobody is alive then, and the next stage looks.
            return if LOOK_UP == look_up::IN_PLACE { 0 } else { look_at_deadlines() };
        }
        switch.alive()
    }

    #[inline(always)]
    fn monitor(&self, uplink: u8) -> Option<&Monitor<SharedU64>> {
        MONITORS.get(u32::from(uplink))
    }

    #[inline(always)]
    fn deadline(&self, uplink: u8) -> Option<&SharedU64> {
        SWITCH.get(0)?.deadline(uplink)
    }

    #[inline(always)]
    fn attempt(&self, place: u32) -> Option<&Attempt<SharedU64>> {
        ATTEMPTS.get(place)
    }

    #[inline(always)]
    fn handshakes(&self, word: u32) -> Option<&SharedU64> {
        HANDSHAKES.get(word)
    }

    #[inline(always)]
    fn uplink(&self, side: u8) -> Option<&Uplink> {
        // As for `tags`: the compiler would compare in a way that the verifier learns nothing by.
        UPLINKS.get(usize::from(side) & (UPLINK_SIDES - 1))
    }

    #[inline(always)]
    fn flow(&self, table: FlowTable, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        let flow = match table {
            FlowTable::Established => return Flows.get::<LOOK_UP>(key),
            FlowTable::Unreplied => return Unreplied.get::<LOOK_UP>(key),
            FlowTable::Invited => return Invited.get::<LOOK_UP>(key),
            FlowTable::Fragments => FRAGMENTS.get_ptr(key)?,
        };
        // SAFETY: see `shared`.
        Some(unsafe { shared(flow.cast()) })
    }

    #[inline(always)]
    fn prefetch_unanswered(&self, key: &FlowKey) {
        Unreplied.prefetch(key);
        Invited.prefetch(key);
    }

    #[inline(always)]
    fn insert_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.insert(table, key, flow, Existing::Stays)
    }

    #[inline(always)]
    fn replace_flow(
        &self,
        table: FlowTable,
        key: &FlowKey,
        flow: &Flow,
    ) -> Result<(), InsertError> {
        self.insert(table, key, flow, Existing::Goes)
    }

    #[inline(always)]
    fn retract_flow(&self, table: FlowTable, key: &FlowKey) {
        // That it is gone already is what is wanted.
        let _ = match table {
            FlowTable::Established => return Flows.remove(key),
            FlowTable::Unreplied => return Unreplied.remove(key),
            FlowTable::Invited => return Invited.remove(key),
            FlowTable::Fragments => FRAGMENTS.remove(key),
        };
    }

    #[inline(always)]
    fn binding(&self, key: &FlowKey) -> Option<&Binding<SharedU64>> {
        Bindings.get::<LOOK_UP>(key)
    }

    #[inline(always)]
    fn insert_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        Bindings.insert(key, binding, Existing::Stays)
    }

    #[inline(always)]
    fn replace_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        Bindings.insert(key, binding, Existing::Goes)
    }

    #[inline(always)]
    fn retract_binding(&self, key: &FlowKey) {
        Bindings.remove(key);
    }

    #[inline(always)]
    fn host(&self, address: Ipv4) -> Option<&Host<SharedU64>> {
        let host = match HOSTS.get_ptr(address) {
            Some(host) => host,
            None => {
                // That it is there already is as good.
                let _ = HOSTS.insert(address, Host::default(), u64::from(BPF_NOEXIST));
                HOSTS.get_ptr(address)?
            }
        };
        // SAFETY: see `shared`.
        Some(unsafe { shared(host.cast()) })
    }

    #[inline(always)]
    fn pool(&self, index: u32) -> Option<Ipv4> {
        POOL.get(index).copied()
    }

    #[inline(always)]
    fn own_ports(&self, word: u32) -> u64 {
        OWN_PORTS.get(word).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn forward(&self, index: u32) -> Option<&Forward> {
        FORWARDS.get(index)
    }

    #[inline(always)]
    fn take_token(&self, now: u64, rate: u32, burst: u32) -> bool {
        take_token(0, now, rate, burst)
    }

    #[inline(always)]
    fn local(&self, address: &LocalAddress) -> Option<AddressOwner> {
        let (word, bit) = LocalFilter::place(address);
        if LOCAL_FILTER.get(word)? >> bit & 1 == 0 {
            return None;
        }
        // SAFETY: the element is a byte, of which every value is an `AddressOwner`.
        Some(unsafe { *LOCAL.get_ptr(address)? })
    }

    #[inline(always)]
    fn lan_network(&self, address: Ipv4) -> Option<&LanNetwork> {
        LAN_NETWORKS.get(Key::new(u32::BITS, address))
    }

    #[inline(always)]
    fn find_forward(&self, key: &FlowKey, uplink: u8) -> Option<u32> {
        find_forward(key, u32::from(uplink)).checked_sub(1)
    }

    #[inline(always)]
    fn syn_sent(&self, key: AttemptKey) {
        syn_sent(key.0);
    }

    #[inline(always)]
    fn syn_answered(&self, key: AttemptKey) {
        syn_answered(key.0);
    }

    #[inline(always)]
    fn site_prefix(&self, address: &Ipv6) -> Option<&SitePrefix> {
        // The length in bits stands before the address: in the upper half of a word of its own, so
        // that the address is in aligned words.
        let key = [(128_u64 << 32).to_le(), address.upper, address.lower];
        // SAFETY: from the second half of the first word on there are as many bytes as a key has, which
        // needs no alignment.
        let key = unsafe { &*(&raw const key).byte_add(size_of::<u32>()).cast::<Key<[u32; 4]>>() };
        SITE_PREFIXES.get(key)
    }

    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0).filter(|settings| settings.abi_version != 0)
    }

    #[inline(always)]
    fn group(&self, group: u8) -> Option<&Group> {
        GROUPS.get(u32::from(group))
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<Bucket> {
        BUCKETS.get(index).copied()
    }
}

/// Takes a token from the bucket of this index.
#[inline(always)]
pub(super) fn take_token(index: u32, now: u64, rate: u32, burst: u32) -> bool {
    let Some(bucket) = TOKENS.get_ptr_mut(index) else {
        return false;
    };
    // SAFETY: the element is this CPU's own, and an XDP program is not interrupted by another on its
    // CPU.
    let bucket = unsafe { &mut *bucket };
    match bucket.take(now, rate, burst) {
        Some(rest) => {
            *bucket = rest;
            true
        }
        None => false,
    }
}

/// Looks at the deadlines of all uplinks, and returns those that are alive then: a global BPF function, as
/// [`find_forward`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_at_deadlines() -> u64 {
    let Some(switch) = SWITCH.get(0) else { return 0 };
    // SAFETY: the helper takes nothing and has no precondition.
    switch.look(jiffies(), unsafe { bpf_ktime_get_ns() });
    switch.alive()
}

/// [`path::hear`] as a global BPF function, of a frame that came in by the interface of the context in this
/// [`Vlan`], of which `tags` bytes are in it still. Returns one where it is true.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hear(context: *mut xdp_md, vlan: u32, tags: u32) -> u32 {
    let context = XdpContext::new(context);
    let tables = KernelTables::<{ look_up::CALL }>::new();
    let port = PortKey::new(context.ingress_ifindex() as u32, Vlan::from_bits(vlan));
    // The mask tells the verifier what the callers keep to.
    let heard = path::hear(&PacketFrame::<true>::new(&context), &tables, port, tags as usize & 0xf);
    u32::from(heard)
}

/// [`path::syn_sent`] as a global BPF function, as [`find_forward`] is, of the key's word.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn syn_sent(key: u64) -> u32 {
    path::syn_sent(&KernelTables::<{ look_up::CALL }>::new(), AttemptKey(key));
    // Such a function has to return something.
    0
}

/// [`path::syn_answered`], likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn syn_answered(key: u64) -> u32 {
    path::syn_answered(&KernelTables::<{ look_up::CALL }>::new(), AttemptKey(key));
    0
}

/// [`path::find_forward`] as a global BPF function: the symbol is exported, so the verifier takes
/// nothing from the caller for granted, and checks it once. Such a function takes integers and
/// pointers only.
///
/// Returns the index plus one, or zero.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_forward(key: *const FlowKey, uplink: u32) -> u32 {
    // SAFETY: the only caller passes a reference. To the verifier it may be null until compared.
    let Some(key) = (unsafe { key.as_ref() }) else {
        return 0;
    };
    let tables = KernelTables::<{ look_up::CALL }> { context: () };
    path::find_forward(&tables, key, uplink as u8).map_or(0, |index| index + 1)
}

/// An element of a map.
///
/// # Safety
/// It points to an element of a map of `T`, or of the type that has plain integers where `T` has
/// [`SharedU64`].
///
/// The memory is a `T` for as long as the map lives, for elements are preallocated. One that is
/// removed meanwhile may be given to another key at once: the packet in hand may then be rewritten
/// by that one's entry, so no bit pattern may do harm, and none does.
#[inline(always)]
unsafe fn shared<'a, T>(element: *const T) -> &'a T {
    // SAFETY: the caller's.
    unsafe { &*element }
}

impl<const LOOK_UP: u8> KernelTables<LOOK_UP> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { context: () }
    }
}

impl<const LOOK_UP: u8> KernelTables<LOOK_UP, *mut xdp_md> {
    #[inline(always)]
    pub(crate) fn with_routes(context: &XdpContext) -> Self {
        Self { context: context.ctx }
    }
}

impl<const LOOK_UP: u8, C> KernelTables<LOOK_UP, C> {
    #[inline(always)]
    fn insert(
        &self,
        table: FlowTable,
        key: &FlowKey,
        flow: &Flow,
        existing: Existing,
    ) -> Result<(), InsertError> {
        let flags = match existing {
            Existing::Stays => u64::from(BPF_NOEXIST),
            Existing::Goes => u64::from(BPF_ANY),
        };
        match table {
            FlowTable::Established => return Flows.insert(key, flow, existing),
            FlowTable::Unreplied => return Unreplied.insert(key, flow, existing),
            FlowTable::Invited => return Invited.insert(key, flow, existing),
            FlowTable::Fragments => FRAGMENTS.insert(key, flow, flags),
        }
        .map_err(|error| if error == EXISTS { InsertError::Exists } else { InsertError::Full })
    }
}
