use std::sync::Arc;

use pointsman_ebpf::abi::NO_DEADLINE;

use crate::dataplane::Liveness;

/// One that has passed, whatever the clock says.
const PAST: u64 = 1;

/// An uplink's deadline in the data plane: from then on, it counts as dead. Once this is dropped, it has none.
pub(super) struct Deadline {
    liveness: Arc<Liveness>,
    uplink: u8,
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.lift();
    }
}

impl Deadline {
    /// Of an uplink that nobody else has, which has none yet.
    pub(super) fn new(liveness: Arc<Liveness>, uplink: u8) -> Self {
        let deadline = Self { liveness, uplink };
        deadline.lift();
        deadline
    }

    /// Sets it, by the data plane's clock in nanoseconds.
    pub(super) fn set(&self, deadline: u64) {
        if let Some(word) = self.liveness.switch().deadline(self.uplink) {
            word.release(deadline);
        }
    }

    /// What it is.
    pub(super) fn get(&self) -> u64 {
        self.liveness.switch().deadline(self.uplink).map_or(0, |word| word.load())
    }

    /// The uplink is dead.
    pub(super) fn pass(&self) {
        self.set(PAST);
    }

    /// There is none.
    pub(super) fn lift(&self) {
        self.set(NO_DEADLINE);
    }
}
