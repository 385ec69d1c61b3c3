//! What a flow has sent.

use std::time::Duration;

/// A packet that a flow has sent, and what became of it. A flow's history is all of them, in the
/// order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// When it was sent, since the start of the demonstration.
    pub(super) sent: Duration,
    /// The index of the uplink by which it went, as its answer shows; `None`: there was no answer.
    pub(super) uplink: Option<u8>,
}
