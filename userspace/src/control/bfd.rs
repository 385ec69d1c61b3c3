//! The BFD sessions of uplinks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::inquiry::Inquiry;
use super::uplink::ControlledUplink;
use super::{Change, Controller};
use crate::bfd::{Event, Intervals, Loop, Mode, Path, Settings, Wanted, Way};
use crate::config;
use crate::netlink::Snapshot;
use crate::uplink::{self, Bfd};

/// What is known of an uplink's session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// How it is.
    pub state: Bfd,
    /// While it is up: the time from one packet that is sent to the next, before jitter, and after how long a
    /// silence the other system counts as gone.
    pub agreed: Option<(Duration, Duration)>,
    hold: Hold,
}

/// How many times what it sends at, while it is down, a session may take to come up that is let go.
const COMING_UP: u32 = 10;

/// The least that a system sends at while its session is not up (RFC 5880 section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// Whether this system's operator has to do with a session's being down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    None,
    /// It is held down.
    Held,
    /// It was, and has time to come up until then.
    Released(Instant),
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
                // What was agreed upon before it was held comes late.
                self.agreed = (!self.is_held()).then_some((transmit, detection));
                return;
            }
            Event::Up => Bfd::Up,
            Event::Down(diagnostic) => Bfd::Down(diagnostic),
            Event::HeldDown => Bfd::HeldDown,
            Event::Failed(error) => Bfd::Failed(error.to_string()),
            Event::Started | Event::Ended => Bfd::Waiting,
        };
        if state == Bfd::Up && self.hold != Hold::Held {
            self.hold = Hold::None;
        }
        (self.state, self.agreed) = (state, None);
    }

    /// Whether this system's operator holds it down.
    pub fn is_held(&self) -> bool {
        self.hold == Hold::Held
    }

    /// What it says of the uplink. One that was lost before it was held says what it did: whoever drains a dead
    /// uplink does not make it a good one.
    pub fn evidence(&self) -> Bfd {
        match (self.hold, &self.state) {
            (Hold::None, state) => state.clone(),
            (_, lost @ (Bfd::None | Bfd::Down(_) | Bfd::Failed(_))) => lost.clone(),
            _ => Bfd::HeldHere,
        }
    }

    /// Holds it, or lets it go: then it has this long to come up.
    fn hold(&mut self, is_held: bool, grace: Duration, now: Instant) {
        self.hold = match (is_held, self.hold) {
            (true, _) => {
                self.agreed = None;
                Hold::Held
            }
            (false, Hold::Held) if matches!(self.state, Bfd::Up | Bfd::Waiting) => {
                self.state = Bfd::Waiting;
                Hold::Released(now + grace)
            }
            (false, Hold::Released(until)) if now < until => Hold::Released(until),
            (false, _) => Hold::None,
        };
    }

    /// When time alone changes what it says.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.hold {
            Hold::Released(until) => Some(until),
            Hold::None | Hold::Held => None,
        }
    }
}

/// What is configured of an uplink's session.
pub(super) fn configured(config: &config::Uplink) -> Option<&config::Bfd> {
    config.health.as_ref()?.bfd.as_ref()
}

/// The router that sends echo packets back, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Router {
    address: Option<IpAddr>,
    /// The last that was known: packets go there also while the kernel does not find it.
    mac: Option<[u8; 6]>,
    inquiry: Inquiry,
}

impl Router {
    /// Takes in who it is to be, and its MAC where the uplink knows it as the next hop's; else what the kernel knows
    /// of it on this interface.
    pub(super) fn refresh(
        &mut self,
        address: IpAddr,
        gateway_mac: Option<[u8; 6]>,
        facts: &Snapshot,
        interface: Option<u32>,
    ) {
        if self.address != Some(address) {
            *self = Self { address: Some(address), ..Self::default() };
        }
        let resolution = interface.map(|index| facts.resolution(index, address));
        self.inquiry.want(resolution.is_some_and(|resolution| resolution.wants_resolving()));
        let found = gateway_mac.or_else(|| resolution.and_then(|resolution| resolution.mac()));
        self.mac = found.or(self.mac);
    }

    /// The address of which the kernel is to find the MAC now, if it is.
    pub(super) fn resolution_due(&mut self, now: Instant) -> Option<IpAddr> {
        self.address.filter(|_| self.inquiry.is_due(now))
    }
}

impl ControlledUplink {
    /// In which mode its session is, where it is to have one.
    pub fn bfd_mode(&self) -> Option<Mode> {
        configured(&self.config).map(|config| config.mode)
    }

    /// With whom its session is to be, where known.
    pub fn bfd_peer(&self) -> Option<IpAddr> {
        configured(&self.config)?.peer.or_else(|| self.gateway().map(IpAddr::V4))
    }

    /// Holds its session down while it is drained, so that the other system moves its traffic. Of an echo there is
    /// no other system.
    pub(super) fn settle_session(&mut self, now: Instant) {
        let before = self.session.evidence();
        let is_held = self.is_drained && self.bfd_mode().is_some_and(|mode| mode != Mode::Echo);
        let interval = configured(&self.config).map_or(SLOW, |config| config.interval.max(SLOW));
        self.session.hold(is_held, COMING_UP * interval, now);
        let evidence = self.session.evidence();
        if evidence != before {
            self.health_event(uplink::Event::Bfd(evidence), now);
        }
    }

    /// What a session of its own packets lacks, if it lacks something.
    pub fn bfd_obstacle(&self) -> Option<&'static str> {
        if self.bfd_mode()? != Mode::Echo {
            return None;
        }
        let Some(router) = self.bfd_peer() else {
            return Some("the router is not known");
        };
        let path = self.path();
        let (has_address, obstacle) = match router {
            IpAddr::V4(_) => (path.ipv4.source.is_some(), "there is no IPv4 address"),
            IpAddr::V6(_) => (path.ipv6.source.is_some(), "there is no IPv6 address"),
        };
        if !has_address {
            return Some(obstacle);
        }
        self.router.mac.is_none().then_some("the MAC of the router is not known")
    }

    /// From which address, and by whom, its own packets come back, where that is known.
    fn echo(&self, interface: u32, router: IpAddr) -> Option<Loop> {
        let path = self.path();
        let address = match router {
            IpAddr::V4(_) => path.ipv4.source?.into(),
            // Also for a router that is known by its link-local address: it forwards nothing from one
            // (RFC 4291 section 2.5.6).
            IpAddr::V6(_) => path.ipv6.source?.into(),
        };
        Some(Loop { interface, address, router: self.router.mac? })
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
                known.health_event(uplink::Event::Bfd(known.session.evidence()), now);
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
        let way = match config.mode {
            Mode::Echo => Way::Echo(uplink.echo(ifindex, peer)?),
            Mode::SingleHop | Mode::Multihop => {
                let local = match peer {
                    IpAddr::V4(_) => Some(uplink.source()?.into()),
                    // That of the link for a peer on the link.
                    IpAddr::V6(_) => None,
                };
                let multihop = config.mode == Mode::Multihop;
                Way::Peer(Path { interface: (interface, ifindex), local, peer, multihop })
            }
        };
        let (desired_min_tx, required_min_rx) = (config.interval, config.interval);
        Some(Wanted {
            uplink: uplink.id,
            way,
            settings: Settings {
                intervals: Intervals { desired_min_tx, required_min_rx },
                detect_mult: config.multiplier,
                authentication: config.authentication.clone(),
            },
            is_held: uplink.session.is_held(),
        })
    }
}
