//! What traffic shows of an uplink by itself, as `GET /v1/status` tells.

use std::fmt;
use std::time::Duration;

use pointsman_ebpf::abi::HandshakeCounts;
use serde::{Deserialize, Serialize};

use crate::control::ControlledUplink;
use crate::uplink::Silent;

/// What was sent by an uplink since something came back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilentStatus {
    /// How many packets.
    pub packets: u64,
    /// For how long, in seconds.
    pub for_s: f64,
}

/// What the handshakes of TCP of about the latest minute show of an uplink: a sample of those that LAN hosts begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpStatus {
    /// How many were looked at.
    pub handshakes: u64,
    /// How many SYNs of these were sent again.
    pub retransmissions: u64,
    /// The share of all their SYNs that these are, 0 to 1.
    pub retransmitted: Option<f64>,
    /// The median of how long the answers took, in milliseconds, to a sixteenth. One to a SYN that was sent again
    /// counts for a second.
    pub rtt_p50_ms: Option<f64>,
    /// What 95 of a hundred of them do not exceed, likewise.
    pub rtt_p95_ms: Option<f64>,
}

impl fmt::Display for SilentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::try_from_secs_f64(self.for_s).unwrap_or_default();
        Silent { packets: self.packets, time }.fmt(f)
    }
}

impl From<Silent> for SilentStatus {
    fn from(Silent { packets, time }: Silent) -> Self {
        Self { packets, for_s: time.as_secs_f64() }
    }
}

impl TcpStatus {
    /// Of an uplink of which this has been counted.
    pub(super) fn of(uplink: &ControlledUplink, counts: &HandshakeCounts) -> Option<Self> {
        let quality = uplink.handshakes().quality(counts)?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Some(Self {
            handshakes: quality.begun,
            retransmissions: quality.repeated,
            retransmitted: quality.repeated_share(),
            rtt_p50_ms: quality.rtt.map(|rtt| ms(rtt.p50)),
            rtt_p95_ms: quality.rtt.map(|rtt| ms(rtt.p95)),
        })
    }
}
