//! The [`table`]s of flows and mappings, in arrays of the kernel.

use core::hint::black_box;

use pointsman_ebpf::{
    abi::{Binding, Flow, FlowKey, Pin, SharedU64},
    path::InsertError,
    table::{
        self, Age, BINDING_WORDS, Existing, FLOW_WORDS, Filter, HashKey, Keys, PIN_WORDS, Set,
        Slot, Storage, Survey, WhenFull,
    },
};

use super::maps::{
    BINDINGS, BINDINGS_FILTER, FLOWS, FLOWS_FILTER, INVITED, INVITED_PINS, PINS, PINS_FILTER,
    Section, UNREPLIED, UNREPLIED_PINS,
};
use super::tables::jiffies;

/// [`Storage::hash_key`] of all tables. The loader sets it. It is no constant, so that the compiler
/// may read it as any memory, and hash a key once for several tables.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.hash")]
static TABLE_HASH_KEY: Section<HashKey> = Section::zeroed();

/// How many elements [`FLOWS`] has. The loader sets it, as it does the numbers below, so to the
/// verifier and the JIT they are constants.
#[unsafe(no_mangle)]
static FLOWS_SET_COUNT: u32 = 1;

/// How many elements [`UNREPLIED`] has.
#[unsafe(no_mangle)]
static UNREPLIED_SET_COUNT: u32 = 1;

/// How many elements [`INVITED`] has.
#[unsafe(no_mangle)]
static INVITED_SET_COUNT: u32 = 1;

/// How many elements [`BINDINGS`] has.
#[unsafe(no_mangle)]
static BINDINGS_SET_COUNT: u32 = 1;

/// How many elements [`PINS`] has.
#[unsafe(no_mangle)]
static PINS_SET_COUNT: u32 = 1;

/// How many elements [`UNREPLIED_PINS`] has.
#[unsafe(no_mangle)]
static UNREPLIED_PINS_SET_COUNT: u32 = 1;

/// How many elements [`INVITED_PINS`] has.
#[unsafe(no_mangle)]
static INVITED_PINS_SET_COUNT: u32 = 1;

/// A global that the loader may have set: past the optimiser, which knows only its first value.
macro_rules! setting {
    ($name:ident) => {{
        // SAFETY: a static is valid to read, and nothing writes this one after loading.
        unsafe { (&raw const $name).read_volatile() }
    }};
}

macro_rules! storages {
    ($($(#[$doc:meta])+ $name:ident: [$value:ident; $words:ident],
       in $sets:ident of $count:ident, filtered by $filter:expr,
       by $locate:ident, $insert:ident and $remove:ident;)+) => {$(
        $(#[$doc])+
        pub(super) struct $name;

        impl Storage<$words> for $name {
            #[inline(always)]
            fn hash_key(&self) -> HashKey {
                *TABLE_HASH_KEY.all()
            }

            #[inline(always)]
            fn sets(&self) -> u32 {
                setting!($count)
            }

            #[inline(always)]
            fn now(&self) -> Age {
                Age::of_jiffies(jiffies())
            }

            #[inline(always)]
            fn set(&self, index: u32) -> Option<&Set<$words>> {
                $sets.get(index)
            }

            #[inline(always)]
            fn filter(&self, index: u32) -> Option<&Filter> {
                let filter: fn(u32) -> Option<&'static Filter> = $filter;
                filter(index)
            }

            #[inline(always)]
            fn survey(&self, keys: &Keys, key: &FlowKey, now: Age) -> Survey {
                Survey(survey_keys(keys, key, now.to_bits()))
            }

            #[inline(always)]
            fn find_other(&self, keys: &Keys, key: &FlowKey, own: u32) -> u32 {
                black_box(find_other_key(keys, key, own))
            }
        }

        impl $name {
            /// The entry of a key.
            #[inline(always)]
            pub(super) fn get<const LOOK_UP: u8>(
                &self,
                key: &FlowKey,
            ) -> Option<&$value<SharedU64>> {
                let entry: *const [SharedU64; $words] = match LOOK_UP {
                    look_up::IN_PLACE => table::find(self, key)?,
                    look_up::HIDDEN => table::at(self, hidden(table::locate(self, key)?, key)?)?,
                    _ => table::at(self, Slot::from_bits(black_box($locate(key)))?)?,
                };
                const { assert!(size_of::<$value>() == size_of::<[SharedU64; $words]>()) };
                // SAFETY: an entry is these words. It is there for as long as the map. All of them
                // may be written meanwhile by another CPU that gives the slot to another key: so no
                // bit pattern may do harm, and none does.
                Some(unsafe { &*entry.cast() })
            }

            /// Makes an entry.
            #[inline(always)]
            pub(super) fn insert(
                &self,
                key: &FlowKey,
                entry: &$value,
                existing: Existing,
            ) -> Result<(), InsertError> {
                result($insert(key, entry, existing as u32))
            }

            /// Removes the entry of a key.
            #[inline(always)]
            pub(super) fn remove(&self, key: &FlowKey) {
                $remove(key);
            }
        }

        /// [`table::locate`] as a global BPF function, as for insertion. Returns the slot as a
        /// number, or zero.
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $locate(key: *const FlowKey) -> u32 {
            // SAFETY: as for insertion.
            let key = unsafe { key.as_ref() };
            key.and_then(|key| table::locate(&$name, key)).map_or(0, Slot::to_bits)
        }

        /// [`table::insert`] as a global BPF function: the symbol is exported, so the verifier takes
        /// nothing from the caller for granted, and checks it once. Such a function takes integers
        /// and pointers only. Returns what [`result`] takes.
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $insert(
            key: *const FlowKey,
            entry: *const $value,
            existing: u32,
        ) -> u32 {
            let entry = entry.cast::<[u64; $words]>();
            // SAFETY: the only caller passes references. To the verifier they may be null until
            // compared. An entry is words without padding.
            let (Some(key), Some(entry)) = (unsafe { (key.as_ref(), entry.as_ref()) }) else {
                return FULL;
            };
            let existing =
                if existing == Existing::Stays as u32 { Existing::Stays } else { Existing::Goes };
            match table::insert(&$name, key, entry, existing, $name::WHEN_FULL) {
                Ok(()) => INSERTED,
                Err(InsertError::Exists) => EXISTS,
                Err(InsertError::Full) => FULL,
            }
        }

        /// [`table::remove`] as a global BPF function, which returns zero.
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $remove(key: *const FlowKey) -> u32 {
            // SAFETY: as for insertion.
            if let Some(key) = unsafe { key.as_ref() } {
                table::remove(&$name, key);
            }
            0
        }
    )+};
}
storages! {
    /// Both directions of every answered flow.
    Flows: [Flow; FLOW_WORDS],
        in FLOWS of FLOWS_SET_COUNT, filtered by |index| FLOWS_FILTER.get(index),
        by locate_flow, insert_flow and remove_flow;
    /// Flows from the LAN that nobody has answered.
    Unreplied: [Flow; FLOW_WORDS],
        in UNREPLIED of UNREPLIED_SET_COUNT, filtered by |_| None,
        by locate_unreplied, insert_unreplied and remove_unreplied;
    /// Flows from beyond an uplink that the LAN has not answered.
    Invited: [Flow; FLOW_WORDS],
        in INVITED of INVITED_SET_COUNT, filtered by |_| None,
        by locate_invited, insert_invited and remove_invited;
    /// Both sides of every mapping.
    Bindings: [Binding; BINDING_WORDS],
        in BINDINGS of BINDINGS_SET_COUNT, filtered by |index| BINDINGS_FILTER.get(index),
        by locate_binding, insert_binding and remove_binding;
    /// Answered flows that keep their ports.
    Pins: [Pin; PIN_WORDS],
        in PINS of PINS_SET_COUNT, filtered by |index| PINS_FILTER.get(index),
        by locate_pin, insert_pin and remove_pin;
    /// Such flows from the LAN that nobody has answered.
    UnrepliedPins: [Pin; PIN_WORDS],
        in UNREPLIED_PINS of UNREPLIED_PINS_SET_COUNT, filtered by |_| None,
        by locate_unreplied_pin, insert_unreplied_pin and remove_unreplied_pin;
    /// Such flows from outside that the LAN has not answered.
    InvitedPins: [Pin; PIN_WORDS],
        in INVITED_PINS of INVITED_PINS_SET_COUNT, filtered by |_| None,
        by locate_invited_pin, insert_invited_pin and remove_invited_pin;
}

impl Flows {
    const WHEN_FULL: WhenFull = WhenFull::Refuse;
}

impl Unreplied {
    /// [`table::prefetch`].
    #[inline(always)]
    pub(super) fn prefetch(&self, key: &FlowKey) {
        table::prefetch(self, key);
    }

    const WHEN_FULL: WhenFull = WhenFull::Evict;
}

impl Invited {
    /// [`table::prefetch`].
    #[inline(always)]
    pub(super) fn prefetch(&self, key: &FlowKey) {
        table::prefetch(self, key);
    }

    const WHEN_FULL: WhenFull = WhenFull::Evict;
}

impl Bindings {
    const WHEN_FULL: WhenFull = WhenFull::Refuse;
}

impl Pins {
    const WHEN_FULL: WhenFull = WhenFull::Refuse;
}

impl UnrepliedPins {
    /// [`table::prefetch`].
    #[inline(always)]
    pub(super) fn prefetch(&self, key: &FlowKey) {
        table::prefetch(self, key);
    }

    const WHEN_FULL: WhenFull = WhenFull::Evict;
}

impl InvitedPins {
    /// [`table::prefetch`].
    #[inline(always)]
    pub(super) fn prefetch(&self, key: &FlowKey) {
        table::prefetch(self, key);
    }

    const WHEN_FULL: WhenFull = WhenFull::Evict;
}

/// [`Keys::survey`] as a global BPF function, as for insertion.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn survey_keys(keys: *const Keys, key: *const FlowKey, now: u64) -> u64 {
    // SAFETY: as for insertion.
    let (Some(keys), Some(key)) = (unsafe { (keys.as_ref(), key.as_ref()) }) else {
        return 0;
    };
    keys.survey(key, Age::from_bits(now)).0
}

/// [`Keys::find_other`] as a global BPF function, as for insertion.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_other_key(keys: *const Keys, key: *const FlowKey, own: u32) -> u32 {
    // SAFETY: as for insertion.
    let (Some(keys), Some(key)) = (unsafe { (keys.as_ref(), key.as_ref()) }) else {
        return 0;
    };
    keys.find_other(key, own)
}

/// How an entry is looked up. The verifier checks what comes after a look-up once for each of the
/// many ways that lead to it.
pub(crate) mod look_up {
    /// The fastest.
    pub(crate) const IN_PLACE: u8 = 0;
    /// In place, and then the verifier is made to forget on which way.
    pub(crate) const HIDDEN: u8 = 1;
    /// By a call of a global BPF function, which the verifier checks once.
    pub(crate) const CALL: u8 = 2;
}

/// The same slot. Whatever the verifier knows of that, it knows nothing of the key.
#[inline(always)]
fn hidden(slot: Slot, key: &FlowKey) -> Option<Slot> {
    let [_, unknown] = key.words();
    let unknown = unknown as u32;
    Slot::from_bits(black_box(slot.to_bits() ^ unknown) ^ unknown)
}

/// What an insertion returns.
const INSERTED: u32 = 0;
const EXISTS: u32 = 1;
const FULL: u32 = 2;

#[inline(always)]
fn result(returned: u32) -> Result<(), InsertError> {
    match returned {
        INSERTED => Ok(()),
        EXISTS => Err(InsertError::Exists),
        _ => Err(InsertError::Full),
    }
}
