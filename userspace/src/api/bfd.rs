use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::control::ControlledUplink;
use crate::uplink::Bfd;

/// How an uplink's BFD session is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// `single-hop`, `multihop`, or `echo`.
    pub mode: String,
    /// The other system, or the router that sends echo packets back, where known.
    pub peer: Option<IpAddr>,
    /// `waiting`, `up`, `down`, `held_down` by the other system's operator, `admin_down` by
    /// this one's, as the uplink is drained, or `failed`.
    pub state: String,
    /// Why it is down, or failed, in words.
    pub reason: Option<String>,
    /// While it is up: from one packet that is sent to the next, before jitter, in milliseconds.
    pub transmit_ms: Option<f64>,
    /// While it is up: after how long a silence the other system counts as gone, in milliseconds.
    pub detection_ms: Option<f64>,
}

impl BfdStatus {
    /// Of an uplink that is to have one.
    pub(super) fn of(uplink: &ControlledUplink) -> Option<Self> {
        let mode = uplink.bfd_mode()?.to_string();
        let session = uplink.session();
        let (state, reason) = match &session.evidence() {
            Bfd::None => return None,
            Bfd::HeldDown => ("held_down", None),
            Bfd::HeldHere if session.is_held() => ("admin_down", None),
            Bfd::HeldHere | Bfd::Waiting => ("waiting", uplink.bfd_obstacle().map(str::to_owned)),
            Bfd::Up => ("up", None),
            Bfd::Down(diagnostic) => ("down", Some(diagnostic.to_string())),
            Bfd::Failed(error) => ("failed", Some(error.clone())),
        };
        let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Some(Self {
            mode,
            peer: uplink.bfd_peer(),
            state: state.into(),
            reason,
            transmit_ms: session.agreed.map(|(transmit, _)| milliseconds(transmit)),
            detection_ms: session.agreed.map(|(_, detection)| milliseconds(detection)),
        })
    }
}
