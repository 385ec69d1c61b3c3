use std::collections::BTreeMap;

use super::MemoryTables;
use super::entries::{Entries, WhenFull};
use crate::abi::{ATTEMPTS, Attempt, HANDSHAKE_WORDS, MAX_UPLINKS, SharedU64};

/// The handshakes that are timed, and what is counted of them. What was never asked for is not there, and zero.
pub(super) struct Handshakes {
    attempts: Entries<u32, Attempt<SharedU64>>,
    words: Entries<u32, SharedU64>,
}

impl Handshakes {
    pub(super) fn new() -> Self {
        Self { attempts: Entries::new(WhenFull::Refuses), words: Entries::new(WhenFull::Refuses) }
    }

    pub(super) fn attempt(&self, place: u32) -> Option<&Attempt<SharedU64>> {
        if place as usize >= ATTEMPTS {
            return None;
        }
        // That it is there already is as good.
        let _ = self.attempts.insert(&place, &Attempt::default());
        self.attempts.get(&place)
    }

    pub(super) fn word(&self, word: u32) -> Option<&SharedU64> {
        if word as usize >= MAX_UPLINKS * HANDSHAKE_WORDS {
            return None;
        }
        let _ = self.words.insert(&word, &0);
        self.words.get(&word)
    }
}

impl MemoryTables {
    /// The handshakes that are timed at present, by place.
    pub fn attempts(&self) -> BTreeMap<u32, Attempt> {
        let attempts = self.handshakes.attempts.copies().into_iter();
        attempts.filter(|(_, attempt)| attempt.key != 0).collect()
    }

    /// What has been counted of handshakes and is not zero, as
    /// [`HandshakeCount::of`](crate::abi::HandshakeCount::of) has it.
    pub fn handshake_counts(&self) -> BTreeMap<u32, u64> {
        self.handshakes.words.copies().into_iter().filter(|(_, count)| *count != 0).collect()
    }
}
