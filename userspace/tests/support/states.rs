//! Waiting for what becomes of the uplinks.

use crate::support::Gateway;

impl Gateway {
    /// Waits until the uplinks are in these states.
    pub(crate) fn wait_for_states(&self, fiber: &str, cable: &str) {
        self.wait_for(&format!("fiber is {fiber} and cable {cable}"), |status| {
            status.uplinks.iter().map(|uplink| uplink.state.as_str()).eq([fiber, cable])
        });
    }
}
