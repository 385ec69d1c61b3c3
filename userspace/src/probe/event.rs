use std::fmt;
use std::time::{Duration, Instant};

use super::ProbeId;

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer came in time.
    Answered {
        /// From sending the request to the answer's arrival at the host.
        rtt: Duration,
    },
    /// No answer came in time.
    Lost,
    /// An answer came that is not the right one, or the kernel says that none will come: why.
    Wrong(String),
    /// The probe could not be sent, for this reason.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { rtt } => write!(f, "answered in {rtt:.1?}"),
            Self::Lost => f.write_str("lost"),
            Self::Wrong(reason) => write!(f, "answered wrong: {reason}"),
            Self::Failed(reason) => write!(f, "not sent: {reason}"),
        }
    }
}

/// A probe whose outcome is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeEvent {
    /// Which probe it is.
    pub probe: ProbeId,
    /// When it was sent.
    pub sent_at: Instant,
    /// Whether it was sent besides those that are due at the probe's own interval, for its uplink was suspect.
    pub is_extra: bool,
    /// What came of it.
    pub outcome: Outcome,
}
