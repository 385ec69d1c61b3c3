//! The hash tables of flows and mappings, in ordinary memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use pointsman_ebpf::abi::{FlowKey, Ipv4, L4Port, LAN_REALM};
use pointsman_ebpf::memory::Random;
use pointsman_ebpf::path::InsertError;
use pointsman_ebpf::table::{
    self, Age, Existing, Filter, HashKey, Set, Slot, Storage, WAYS, WhenFull, sets_for,
};

/// Two words of one value, so that halves of two entries show.
const WORDS: usize = 2;

struct Memory {
    sets: Vec<Set<WORDS>>,
    /// None in a table that evicts.
    filters: Vec<Filter>,
    /// How often a set was looked at.
    looks: AtomicU32,
    hash_key: HashKey,
    now: AtomicU32,
}

impl Memory {
    fn new(sets: u32, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            hash_key: [(); 5].map(|()| random.word()),
            sets: (0..sets).map(|_| Set::default()).collect(),
            filters: (0..sets).map(|_| Filter::default()).collect(),
            looks: AtomicU32::new(0),
            now: AtomicU32::new(0),
        }
    }

    /// A table that evicts.
    fn cache(sets: u32, seed: u64) -> Self {
        Self { filters: Vec::new(), ..Self::new(sets, seed) }
    }

    fn at(&self, now: u32) {
        self.now.store(now, Ordering::Relaxed);
    }

    fn insert(&self, number: u32, value: u64, existing: Existing) -> Result<(), InsertError> {
        table::insert(self, &key(number), &[value; WORDS], existing, WhenFull::Refuse)
    }

    fn insert_evicting(&self, number: u32, value: u64) -> Result<(), InsertError> {
        let entry = &[value; WORDS];
        table::insert(self, &key(number), entry, Existing::Goes, WhenFull::Evict)
    }

    fn get(&self, number: u32) -> Option<[u64; WORDS]> {
        let entry = table::find(self, &key(number))?;
        Some([entry[0].load(), entry[1].load()])
    }

    /// All entries, each of which is there once.
    fn entries(&self) -> BTreeMap<FlowKey, [u64; WORDS]> {
        let mut entries = BTreeMap::new();
        for (key, entry) in Slot::all(self.sets()).filter_map(|slot| table::read(self, slot)) {
            assert_eq!(entries.insert(key, entry), None, "{key:?} is there twice");
        }
        entries
    }
}

impl Storage<WORDS> for Memory {
    fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    fn sets(&self) -> u32 {
        self.sets.len() as u32
    }

    fn now(&self) -> Age {
        Age::of_jiffies(u64::from(self.now.load(Ordering::Relaxed)) << 2)
    }

    fn set(&self, index: u32) -> Option<&Set<WORDS>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.sets.get(index as usize)
    }

    fn filter(&self, index: u32) -> Option<&Filter> {
        self.filters.get(index as usize)
    }
}

/// Keys as a LAN makes them: few addresses, ports in a row.
fn key(number: u32) -> FlowKey {
    let host = Ipv4::new((0x0a00_0000 + number % 16).to_be_bytes());
    let server = Ipv4::new((0xc000_0200 + number / 0x10_0000).to_be_bytes());
    let port = L4Port::from_host((number / 16) as u16);
    FlowKey::new((host, port), (server, L4Port::from_host(443)), 6, LAN_REALM)
}

#[test]
fn what_is_inserted_is_found_and_read_until_it_is_removed() {
    let memory = Memory::new(sets_for(100), 1);
    for number in 0..100 {
        assert_eq!(memory.get(number), None);
        assert_eq!(memory.insert(number, number.into(), Existing::Stays), Ok(()));
    }
    let expected = (0..100).map(|number| (key(number), [u64::from(number); WORDS])).collect();
    assert_eq!(memory.entries(), expected);
    for number in 0..100 {
        assert_eq!(memory.get(number), Some([number.into(); WORDS]));
        table::remove(&memory, &key(number));
        table::remove(&memory, &key(number));
        assert_eq!(memory.get(number), None);
    }
    assert_eq!(memory.entries(), BTreeMap::new());
}

#[test]
fn an_entry_stays_or_goes_as_is_asked() {
    let memory = Memory::new(2, 1);
    assert_eq!(memory.insert(7, 1, Existing::Goes), Ok(()));
    assert_eq!(memory.insert(7, 2, Existing::Stays), Err(InsertError::Exists));
    assert_eq!(memory.get(7), Some([1; WORDS]));
    assert_eq!(memory.insert(7, 3, Existing::Goes), Ok(()));
    assert_eq!(memory.entries(), [(key(7), [3; WORDS])].into());
}

/// Protocol 0 and no ports: the second word of the key is zero.
#[test]
fn a_key_of_which_half_is_zero_is_one() {
    let memory = Memory::new(1, 1);
    let none = L4Port::default();
    let [one, other] = [1, 2].map(|number: u32| {
        let address = Ipv4::new(number.to_be_bytes());
        FlowKey::new((address, none), (address, none), 0, LAN_REALM)
    });
    let insert = |key, value| {
        table::insert(&memory, key, &[value; WORDS], Existing::Stays, WhenFull::Refuse)
    };
    assert!(table::find(&memory, &one).is_none());
    assert_eq!([insert(&one, 1), insert(&other, 2)], [Ok(()); 2]);
    assert_eq!(memory.entries(), [(one, [1; WORDS]), (other, [2; WORDS])].into());
}

/// Whatever the hash's key: all that the table is made for go in.
#[test]
fn there_is_room_for_what_was_asked_for() {
    let (entries, seeds) = if cfg!(miri) { (200, 1) } else { (100_000, 20) };
    for seed in 0..seeds {
        let memory = Memory::new(sets_for(entries), seed);
        for number in 0..entries {
            let result = memory.insert(number, number.into(), Existing::Stays);
            assert_eq!(result, Ok(()), "{number} of {entries}, seed {seed}");
        }
        assert_eq!(memory.entries().len(), entries as usize);
    }
}

#[test]
fn a_full_table_refuses_and_loses_nothing() {
    let memory = Memory::new(1, 1);
    for number in 0..WAYS {
        assert_eq!(memory.insert(number, number.into(), Existing::Stays), Ok(()));
    }
    let before = memory.entries();
    for existing in [Existing::Stays, Existing::Goes] {
        assert_eq!(memory.insert(WAYS, 0, existing), Err(InsertError::Full));
        assert_eq!(memory.entries(), before);
    }
    // What is there can be replaced all the same.
    assert_eq!(memory.insert(0, 9, Existing::Goes), Ok(()));
    table::remove(&memory, &key(1));
    assert_eq!(memory.insert(WAYS, 0, Existing::Stays), Ok(()));
    assert_eq!(memory.get(0), Some([9; WORDS]));
}

/// Also where the clock has wrapped around meanwhile.
#[test]
fn the_oldest_entry_is_pushed_out() {
    let memory = Memory::cache(1, 1);
    let first = (1 << 13) - 3;
    for number in 0..WAYS {
        memory.at(first + number);
        assert_eq!(memory.insert_evicting(number, number.into()), Ok(()));
    }
    for number in WAYS..3 * WAYS {
        memory.at(first + number);
        assert_eq!(memory.insert_evicting(number, number.into()), Ok(()));
        let youngest = number + 1 - WAYS..=number;
        let expected = youngest.map(|number| (key(number), [u64::from(number); WORDS])).collect();
        assert_eq!(memory.entries(), expected);
    }
}

/// Against a map of the standard library, through insertions, replacements and removals.
#[test]
fn random_operations_do_what_a_map_does() {
    let (steps, keys) = if cfg!(miri) { (2000, 40) } else { (300_000, 4000) };
    let mut random = Random::new(5);
    let memory = Memory::new(sets_for(keys), 5);
    let mut map = BTreeMap::new();
    for step in 0..steps {
        let number = random.below(keys as usize) as u32;
        let key = key(number);
        match random.below(4) {
            0 => {
                table::remove(&memory, &key);
                map.remove(&key);
            }
            1 => {
                let result = memory.insert(number, step, Existing::Stays);
                let expected = match map.contains_key(&key) {
                    true => Err(InsertError::Exists),
                    false => Ok(()),
                };
                assert_eq!(result, expected, "step {step}");
                map.entry(key).or_insert([step; WORDS]);
            }
            2 => {
                assert_eq!(memory.insert(number, step, Existing::Goes), Ok(()), "step {step}");
                map.insert(key, [step; WORDS]);
            }
            _ => assert_eq!(memory.get(number), map.get(&key).copied(), "step {step}"),
        }
    }
    assert_eq!(memory.entries(), map);
}

/// An insertion that must be the only one is a reservation.
#[test]
fn of_threads_that_insert_one_key_at_most_one_succeeds() {
    let rounds = if cfg!(miri) { 30 } else { 100_000 };
    let memory = Memory::new(sets_for(rounds), 2);
    let successes: Vec<AtomicU32> = (0..rounds).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..3 {
            let (memory, successes) = (&memory, &successes);
            scope.spawn(move || {
                for (number, successes) in (0..).zip(successes) {
                    if memory.insert(number, thread, Existing::Stays).is_ok() {
                        successes.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let entries = memory.entries();
    for (number, successes) in (0..).zip(successes) {
        let successes = successes.into_inner();
        assert!(successes <= 1, "{successes} successes for {number}");
        // Of several at once, all may have given way.
        assert_eq!(entries.contains_key(&key(number)), successes == 1);
    }
}

/// Where a set holds few keys or none, most others are not looked for in it, also after many have come
/// and gone.
#[test]
fn a_key_that_is_not_there_is_seldom_looked_for() {
    let (sets, rounds) = if cfg!(miri) { (16, 2) } else { (1024, 20) };
    let memory = Memory::new(sets, 6);
    for round in 0..rounds {
        for number in (round * sets..).take(sets as usize) {
            assert_eq!(memory.insert(number, 0, Existing::Stays), Ok(()));
        }
        for number in (round * sets..).take(sets as usize) {
            table::remove_tidily(&memory, &key(number));
        }
    }
    for number in 0..sets {
        assert_eq!(memory.insert(number, 0, Existing::Stays), Ok(()));
    }
    let before = memory.looks.load(Ordering::Relaxed);
    for number in 1_000_000..1_000_000 + sets {
        assert_eq!(memory.get(number), None);
    }
    let looks = memory.looks.load(Ordering::Relaxed) - before;
    // Of 32 hashes a set of one key has one.
    assert!(looks < sets / 4, "{looks} looks for {sets} keys");
}

/// Threads insert and remove keys of their own, and take them out of the filters, which all share.
#[test]
fn no_filter_hides_a_key() {
    let rounds = if cfg!(miri) { 60 } else { 1_000_000 };
    let memory = Memory::new(2, 7);
    thread::scope(|scope| {
        for thread in 0..3_u32 {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..rounds {
                    let number = 3 * (round % 3) + thread;
                    // Where others come before again and again, it is not made.
                    if memory.insert(number, 0, Existing::Stays).is_err() {
                        continue;
                    }
                    assert!(memory.get(number).is_some(), "{number} in round {round}");
                    table::remove_tidily(memory, &key(number));
                    assert!(memory.get(number).is_none(), "{number} in round {round}");
                }
            });
        }
    });
}

/// Threads write the same few keys: no entry is ever seen of which one half is another key's.
#[test]
fn no_entry_is_half_of_another_key() {
    let rounds = if cfg!(miri) { 40 } else { 50_000 };
    let memory = Memory::cache(2, 3);
    thread::scope(|scope| {
        for thread in 0..3_u32 {
            let memory = &memory;
            scope.spawn(move || {
                let mut random = Random::new(thread.into());
                for round in 0..rounds {
                    let number = random.below(10) as u32;
                    let value = u64::from(number) << 32 | u64::from(thread) << 24 | round;
                    let _ = memory.insert_evicting(number, value);
                    for (key, [first, second]) in
                        Slot::all(2).filter_map(|slot| table::read(memory, slot))
                    {
                        let of = [first, second].map(|value| self::key((value >> 32) as u32));
                        assert_eq!(of, [key; 2]);
                    }
                }
            });
        }
    });
    for number in 0..10 {
        // Of entries that were made at once there may be two.
        while memory.get(number).is_some() {
            table::remove(&memory, &key(number));
        }
    }
    for number in 10..200 {
        assert_eq!(memory.insert_evicting(number, 0), Ok(()));
    }
    assert_eq!(memory.entries().len(), 2 * WAYS as usize, "a way was left claimed");
}
