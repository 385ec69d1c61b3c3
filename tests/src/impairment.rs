use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fastrand::Rng;

/// What a link does to the frames of one direction. By default, nothing.
///
/// Shares are from 0, none of them, to 1, all. Which frames are meant is drawn for each on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// The share of frames that are lost.
    pub loss: f64,
    /// How long a frame takes. Those that are under way when this is made shorter are still before
    /// later ones.
    pub delay: Duration,
    /// Up to so much longer, at random. Frames keep their order: a link is a queue.
    pub jitter: Duration,
    /// The share of frames that take no time, and so overtake those that are under way. Without a
    /// delay there are none.
    pub reorder: f64,
    /// The share of frames that arrive twice.
    pub duplicate: f64,
    /// Whether nothing comes through, of what is under way neither.
    pub blackhole: bool,
}

impl Impairment {
    /// A link that swallows everything.
    pub const BLACKHOLE: Self = Self {
        loss: 0.0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder: 0.0,
        duplicate: 0.0,
        blackhole: true,
    };
}

/// One direction of an impaired link, without sockets or clocks.
///
/// What becomes of a frame depends on the seed, on how many frames were before it, and on the
/// impairment that holds when it comes; not on the time, on what is in it, or on what held before.
#[derive(Debug)]
pub struct Impairer {
    impairment: Impairment,
    random: Rng,
    /// The frames that are under way, by the time at which they arrive and the order in which they
    /// came.
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    /// How many were put there.
    taken_in: u64,
    /// When the last one arrives that overtakes none.
    last: Option<Instant>,
}

impl Impairer {
    /// A direction that is not impaired yet.
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            random: Rng::with_seed(seed),
            under_way: BTreeMap::new(),
            taken_in: 0,
            last: None,
        }
    }

    /// What holds for the frames that come from now on.
    pub fn set(&mut self, impairment: Impairment) {
        self.impairment = impairment;
        if impairment.blackhole {
            self.under_way.clear();
            self.last = None;
        }
    }

    /// A frame has come. Time must not go back.
    pub fn send(&mut self, frame: &[u8], now: Instant) {
        // As many for each frame, whatever becomes of it: so none changes the fate of the next.
        let [lost, twice, overtakes, late] = [(); 4].map(|()| self.random.f64());
        let Impairment { loss, delay, jitter, reorder, duplicate, blackhole } = self.impairment;
        if blackhole || lost < loss {
            return;
        }
        let arrival = if overtakes < reorder {
            now
        } else {
            let arrival = now + delay + jitter.mul_f64(late);
            let arrival = self.last.map_or(arrival, |last| arrival.max(last));
            self.last = Some(arrival);
            arrival
        };
        let copies = if twice < duplicate { 2 } else { 1 };
        for _ in 0..copies {
            self.under_way.insert((arrival, self.taken_in), frame.to_vec());
            self.taken_in += 1;
        }
    }

    /// The next frame that has arrived. To be asked until there is none.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.under_way.first_entry()?;
        let (arrival, _) = *next.key();
        (arrival <= now).then(|| next.remove())
    }

    /// When the next frame arrives, if no other comes before.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((arrival, _), _)| *arrival)
    }
}

#[cfg(test)]
mod tests;
