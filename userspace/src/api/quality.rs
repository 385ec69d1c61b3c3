//! How good an uplink is, as `GET /v1/status` tells.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::control::ControlledUplink;
use crate::uplink::{Instability, Quality};

/// What the probes of the latest window show of an uplink: each figure as the best target shows it, or
/// `None` where there is nothing to make it of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityStatus {
    /// The share of probes that were lost, 0 to 1.
    pub loss: Option<f64>,
    /// The median of the round-trip times, in milliseconds.
    pub latency_p50_ms: Option<f64>,
    /// What 95 of a hundred of them do not exceed, in milliseconds.
    pub latency_p95_ms: Option<f64>,
    /// The median of how much they differ from one probe to the next, in milliseconds.
    pub jitter_p50_ms: Option<f64>,
    /// What 95 of a hundred of these differences do not exceed, in milliseconds.
    pub jitter_p95_ms: Option<f64>,
}

/// How often an uplink has been lost lately.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DampeningStatus {
    /// The penalty, which decays with time.
    pub penalty: f64,
    /// How many flaps it is for.
    pub flaps: u32,
    /// Whether the uplink is held back because of them.
    pub suppressed: bool,
}

/// Of an uplink that is probed.
pub(super) fn quality(uplink: &ControlledUplink, now: Instant) -> Option<QualityStatus> {
    let health = uplink.config().health.as_ref()?;
    let is_probed = !health.probes.is_empty();
    is_probed.then(|| uplink.monitor().quality(now).into())
}

impl From<Quality> for QualityStatus {
    fn from(Quality { loss_ppm, latency, jitter }: Quality) -> Self {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Self {
            loss: loss_ppm.map(|ppm| f64::from(ppm) / 1e6),
            latency_p50_ms: latency.map(|latency| ms(latency.p50)),
            latency_p95_ms: latency.map(|latency| ms(latency.p95)),
            jitter_p50_ms: jitter.map(|jitter| ms(jitter.p50)),
            jitter_p95_ms: jitter.map(|jitter| ms(jitter.p95)),
        }
    }
}

impl From<Instability> for DampeningStatus {
    fn from(Instability { penalty, flaps, suppressed }: Instability) -> Self {
        Self { penalty, flaps, suppressed }
    }
}
