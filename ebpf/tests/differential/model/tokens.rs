//! The rate of the gateway's own messages.

/// How many messages there may be: in billionths of one.
pub(crate) struct Tokens {
    left: u128,
    at: u64,
}

const ONE: u128 = 1_000_000_000;

impl Tokens {
    /// As many as there may be at once, of so many in a second.
    pub(crate) fn new((_, burst): (u32, u32), now: u64) -> Self {
        Self { left: u128::from(burst) * ONE, at: now }
    }

    pub(crate) fn take(&mut self, (rate, burst): (u32, u32), now: u64) -> bool {
        let passed = u128::from(now - self.at);
        self.left = (self.left + passed * u128::from(rate)).min(u128::from(burst) * ONE);
        self.at = now;
        let is_one = self.left >= ONE;
        if is_one {
            self.left -= ONE;
        }
        is_one
    }
}
