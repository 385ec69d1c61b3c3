//! Which of the benchmark's flows a measurement is of, and where they come from.

/// Some of the flows that [`flow`](crate::traffic::flow) numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flows {
    /// The number of the first.
    pub(crate) first: u32,
    /// How many there are: a power of two.
    pub(crate) count: u32,
}

impl Flows {
    /// The first flows of all.
    pub(crate) const fn new(count: u32) -> Self {
        Self { first: 0, count }
    }
}

/// What the LAN of a chain is like.
#[derive(Clone, Copy)]
pub(crate) enum Lan {
    /// Its hosts open few flows at once.
    Ordinary,
    /// Its hosts open as many flows as they can, with up to 2^`ends` addresses and ports.
    Opening { ends: u32 },
}

impl Lan {
    /// How many addresses with a port its flows have, as a power of two.
    pub(crate) const fn ends(self) -> u32 {
        match self {
            Self::Ordinary => 14,
            Self::Opening { ends } => ends,
        }
    }

    /// How many public addresses the gateway needs, so that no more than a quarter of the ports
    /// of each is in use.
    pub(crate) const fn addresses(self) -> u32 {
        (1_u32 << self.ends()).div_ceil(1 << 14)
    }
}
