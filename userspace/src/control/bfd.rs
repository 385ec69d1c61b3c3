//! The BFD sessions of uplinks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::uplink::ControlledUplink;
use super::{Change, Controller};
use crate::bfd::{Event, Intervals, Path, Settings, Wanted};
use crate::config;
use crate::uplink::{self, Bfd};

/// What is known of an uplink's session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// How it is.
    pub state: Bfd,
    /// While it is up: the time from one packet that is sent to the next, before jitter, and after how long a
    /// silence the other system counts as gone.
    pub agreed: Option<(Duration, Duration)>,
}

impl Session {
    /// Of an uplink of this configuration, that is not there yet.
    pub(super) fn new(config: &config::Uplink) -> Self {
        let state = if configured(config).is_some() { Bfd::Waiting } else { Bfd::None };
        Self { state, ..Self::default() }
    }

    fn apply(&mut self, event: Event) {
        let state = match event {
            Event::Agreed { transmit, detection } => {
                self.agreed = Some((transmit, detection));
                return;
            }
            Event::Up => Bfd::Up,
            Event::Down(diagnostic) => Bfd::Down(diagnostic),
            Event::HeldDown => Bfd::HeldDown,
            Event::Failed(error) => Bfd::Failed(error.to_string()),
            Event::Started | Event::Ended => Bfd::Waiting,
        };
        *self = Self { state, agreed: None };
    }
}

/// What is configured of an uplink's session.
pub(super) fn configured(config: &config::Uplink) -> Option<&config::Bfd> {
    config.health.as_ref()?.bfd.as_ref()
}

impl ControlledUplink {
    /// With whom its session is to be, where known.
    pub fn bfd_peer(&self) -> Option<IpAddr> {
        configured(&self.config)?.peer.or_else(|| self.gateway().map(IpAddr::V4))
    }
}

impl Controller {
    /// Takes in what has become of the session of the uplink with this name.
    pub fn bfd(&mut self, uplink: &str, event: Event, now: Instant) -> Vec<Change> {
        self.observe(now, |uplinks| {
            let known = uplinks.iter_mut().find(|known| known.config.name == uplink);
            // What was told before it was configured away comes late.
            if let Some(known) = known.filter(|known| configured(&known.config).is_some()) {
                known.session.apply(event);
                known.health_event(uplink::Event::Bfd(known.session.state.clone()), now);
            }
        })
    }

    /// The sessions that there are to be, by the uplink's name.
    pub fn bfd_sessions(&self) -> BTreeMap<String, Wanted> {
        let sessions = self
            .uplinks()
            .iter()
            .filter_map(|uplink| Some((uplink.config.name.clone(), self.bfd_session(uplink)?)));
        sessions.collect()
    }

    fn bfd_session(&self, uplink: &ControlledUplink) -> Option<Wanted> {
        let config = configured(&uplink.config)?;
        let ifindex = uplink.ifindex()?;
        let interface = self.facts().links.get(&ifindex)?.name.clone();
        let peer = uplink.bfd_peer()?;
        let local = match peer {
            IpAddr::V4(_) => Some(uplink.source()?.into()),
            // That of the link for a peer on the link.
            IpAddr::V6(_) => None,
        };
        let (desired_min_tx, required_min_rx) = (config.interval, config.interval);
        Some(Wanted {
            uplink: uplink.id,
            path: Path { interface: (interface, ifindex), local, peer, multihop: config.multihop },
            settings: Settings {
                intervals: Intervals { desired_min_tx, required_min_rx },
                detect_mult: config.multiplier,
                authentication: config.authentication.clone(),
            },
        })
    }
}
