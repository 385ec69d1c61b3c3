//! A daemon on a simulated host: the controller and the installer as the real daemon drives them. Here alone the
//! simulator tells them what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use pointsman::bfd::{self, Diagnostic};
use pointsman::config::{Config, Group};
use pointsman::control::{ControlledUplink, Controller, Installer, Policy};
use pointsman::netlink::{Fact, Snapshot, Update};
use pointsman::probe::{Outcome, Probe, ProbeEvent};
use pointsman::uplink::{Carried, Stability};
use pointsman_ebpf::abi::NO_DEADLINE;

use super::event::{Operator, Session};
use super::mischief::Mischief;
use super::pace::Pace;
use super::plane::Plane;

/// What flows are hashed with.
pub(crate) const HASH_KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// From one look at what uplinks carry to the next.
const SAMPLE: Duration = Duration::from_millis(100);

/// After so long, the data plane has looked at the deadlines again.
const TICK: Duration = Duration::from_millis(10);

/// The round trip of a probe that is answered.
const RTT: Duration = Duration::from_millis(7);

pub(crate) struct Gateway {
    pub(crate) controller: Controller,
    installer: Installer,
    pub(crate) plane: Plane,
    pub(crate) pace: Pace,
    pub(crate) now: Instant,
    started: Instant,
    /// What the operator wants, whatever the controller was told.
    pub(crate) wanted: Config,
    /// The BFD sessions that there are, by uplink.
    sessions: BTreeMap<String, bfd::Wanted>,
    /// The uplinks whose sessions are down, whoever has been told.
    pub(crate) without_session: BTreeSet<String>,
    /// What has been carried by uplinks, by identifier, as the data plane counts it: also of one that is called
    /// otherwise now.
    carried: BTreeMap<u8, Carried>,
    /// Whether all was installed the last time.
    pub(crate) is_whole: bool,
    /// How often the controller was told something.
    pub(crate) told: u64,
    mischief: Mischief,
}

impl Gateway {
    /// One that has just been started, and knows nothing of its host yet.
    pub(crate) fn start(config: &Config, mischief: Mischief, base: Instant) -> Self {
        let now = base + Duration::from_secs(1000);
        let controller = Controller::new(told_of(config, mischief), HASH_KEY, 1000, now);
        Self {
            controller,
            installer: Installer::default(),
            plane: Plane::new(mischief),
            pace: Pace::default(),
            now,
            started: base,
            wanted: config.clone(),
            sessions: BTreeMap::new(),
            without_session: BTreeSet::new(),
            carried: BTreeMap::new(),
            is_whole: false,
            told: 0,
            mischief,
        }
    }

    /// Does what an operator wants. `configurations` are what can be read.
    pub(crate) fn operate(&mut self, operator: Operator, configurations: &[Config]) {
        match operator {
            Operator::Reload { configuration, names } => {
                let number = usize::from(configuration) % configurations.len();
                self.wanted = configurations[number].clone();
                for uplink in self.wanted.uplinks.iter_mut().filter(|_| names != 0) {
                    uplink.name += &format!("-{names}");
                }
                let mut config = told_of(&self.wanted, self.mischief);
                if self.mischief == Mischief::KeepsTiers {
                    config.group = kept_group(self.controller.config(), &config);
                }
                self.controller.configure(config, self.now);
                self.apply();
            }
            Operator::Restart => self.restart(),
        }
    }

    /// Another daemon begins anew, with a data plane of its own. One that takes over what the old one has left
    /// would be given that here.
    fn restart(&mut self) {
        let config = told_of(&self.wanted, self.mischief);
        let generation = (self.now - self.started).as_secs() as u32;
        self.controller = Controller::new(config, HASH_KEY, generation, self.now);
        self.installer = Installer::default();
        self.plane = Plane::new(self.mischief);
        self.pace = Pace::default();
        self.sessions.clear();
        self.without_session.clear();
        self.carried.clear();
    }

    /// Tells what the kernel tells.
    pub(crate) fn fact(&mut self, fact: Fact) {
        if self.mischief == Mischief::KeepsInterfaces && matches!(fact, Fact::LinkGone { .. }) {
            return;
        }
        self.controller.update(Update::Fact(fact), self.now);
        self.apply();
    }

    /// Tells all that the kernel knows.
    pub(crate) fn resync(&mut self, snapshot: Snapshot) {
        self.controller.update(Update::Resync(snapshot), self.now);
        self.apply();
    }

    /// Tells what became of an uplink's probe that is sent now: it is known once the answer is there, or cannot
    /// be any more.
    pub(crate) fn probed(&mut self, uplink: &str, probe: &Probe, is_answered: bool) {
        let sent_at = self.now;
        let (outcome, takes) = if is_answered {
            (Outcome::Answered { rtt: RTT }, RTT)
        } else {
            (Outcome::Lost, probe.timeout)
        };
        self.pass(takes);
        let event = ProbeEvent { probe: probe.id(), sent_at, is_extra: false, outcome };
        let changes = self.controller.probed(uplink, event, self.now);
        if changes.is_empty() {
            self.look();
        } else {
            self.apply();
        }
        self.pass((sent_at + probe.interval).saturating_duration_since(self.now));
    }

    /// Tells how an uplink's BFD session is, if it has one; the data plane, until when somebody was heard.
    pub(crate) fn session(&mut self, uplink: &str, to: Session) {
        let Some(id) = self.sessions.get(uplink).map(|wanted| wanted.uplink) else { return };
        match to {
            Session::Silent => self.plane.silent |= 1 << id,
            Session::Down => {
                self.plane.silent |= 1 << id;
                self.without_session.insert(uplink.to_owned());
            }
            _ => {
                self.plane.silent &= !(1 << id);
                self.without_session.remove(uplink);
            }
        }
        let deadline = if self.plane.silent >> id & 1 == 1 { self.uptime() } else { NO_DEADLINE };
        self.plane.tables.put_off(id, deadline);
        let event = match to {
            // The daemon has not been told, or is held up.
            Session::Silent => return self.pass(TICK),
            Session::Started => bfd::Event::Started,
            Session::Up => bfd::Event::Up,
            Session::Down if self.mischief == Mischief::KeepsSessions => return,
            Session::Down => bfd::Event::Down(Diagnostic::DETECTION_TIME_EXPIRED),
            Session::HeldDown => bfd::Event::HeldDown,
            Session::Failed => bfd::Event::Failed(io::ErrorKind::AddrInUse.into()),
            Session::Ended => bfd::Event::Ended,
        };
        self.controller.bfd(uplink, event, self.now);
        self.apply();
        // The data plane looks at deadlines once a tick.
        self.pass(TICK);
    }

    /// Lets an uplink carry some packets, and has the controller look.
    pub(crate) fn carry(&mut self, uplink: &str, sent: u64, received: u64) {
        let id =
            self.uplinks().find(|known| known.config().name == uplink).map(ControlledUplink::id);
        if let Some(id) = id {
            let known = self.carried.entry(id).or_default();
            known.sent += sent;
            known.received += received;
        }
        self.pass(SAMPLE);
        if !self.controller.listens() {
            return;
        }
        let carried = |id| Some(self.carried.get(&id).copied().unwrap_or_default());
        match self.controller.carried(carried, self.now) {
            Some(_) => self.apply(),
            None => self.look(),
        }
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.controller.deadline().filter(|at| *at <= until) {
            // One that has passed already is due at once.
            self.now = self.now.max(deadline);
            self.controller.tick(self.now);
            self.apply();
            if self.controller.deadline() == Some(deadline) {
                self.plane.note(format!("a deadline stays after it was kept: {deadline:?}"));
                break;
            }
        }
        self.now = until;
        self.plane.tables.set_now(self.uptime());
    }

    /// Nanoseconds since the host has started.
    fn uptime(&self) -> u64 {
        (self.now - self.started).as_nanos() as u64
    }

    /// Ends the sessions that there are to be no more, or otherwise, and with each its deadline, as the service of
    /// sessions does.
    fn end_sessions(&mut self) {
        let wanted = self.controller.bfd_sessions();
        let old = std::mem::replace(&mut self.sessions, wanted);
        let mut has_ended = false;
        for (name, session) in old {
            if self.sessions.get(&name) != Some(&session) {
                self.plane.silent &= !(1 << session.uplink);
                self.without_session.remove(&name);
                self.plane.tables.put_off(session.uplink, NO_DEADLINE);
                self.controller.bfd(&name, bfd::Event::Ended, self.now);
                has_ended = true;
            }
        }
        if has_ended {
            self.apply();
        }
    }

    /// Tries again what has failed.
    pub(crate) fn retry(&mut self) {
        self.apply();
    }

    /// Does what is decided, in the order in which the daemon does it.
    fn apply(&mut self) {
        self.plane.allowed = self.controller.alive();
        self.installer.lower(&mut self.plane, self.controller.alive());
        let (policy, alive) = (self.controller.policy(), self.controller.alive());
        let errors = self.installer.install(&mut self.plane, &policy, alive);
        self.is_whole = errors.is_empty();
        self.installer.take_joined();
        self.plane.settled();
        // Whoever is to be asked, the simulated kernel asks by itself.
        self.controller.resolutions_due(self.now);
        self.look();
        self.end_sessions();
    }

    /// The controller was told something, and has done what follows.
    fn look(&mut self) {
        self.told += 1;
        let Self { pace, controller, wanted, now, .. } = self;
        pace.look(controller.uplinks(), wanted, *now);
    }

    /// The uplinks of the configuration that holds.
    pub(crate) fn uplinks(&self) -> impl Iterator<Item = &ControlledUplink> {
        self.controller.uplinks().iter()
    }

    /// The name of the uplink with this number, modulo how many there are, and its probes.
    pub(crate) fn uplink(&self, number: u8) -> (String, Vec<Probe>) {
        let uplinks = &self.wanted.uplinks;
        let uplink = &uplinks[usize::from(number) % uplinks.len()];
        let probes = uplink.health.iter().flat_map(|health| health.probes.clone());
        (uplink.name.clone(), probes.collect())
    }

    /// What the maps are to hold.
    pub(crate) fn policy(&self) -> Policy {
        self.controller.policy()
    }
}

/// What the controller gets to see of a configuration.
fn told_of(config: &Config, mischief: Mischief) -> Config {
    let mut config = config.clone();
    if mischief == Mischief::BelievesAtOnce {
        for health in config.uplinks.iter_mut().filter_map(|uplink| uplink.health.as_mut()) {
            health.requirements.stability = Stability::default();
        }
    }
    config
}

/// The old group, as far as its members are there in the new configuration.
fn kept_group(old: &Config, new: &Config) -> Group {
    let place = |index: &usize| {
        let name = &old.uplinks[*index].name;
        new.uplinks.iter().position(|uplink| uplink.name == *name)
    };
    let tiers = old.group.tiers.iter().map(|tier| tier.iter().filter_map(place).collect());
    Group { tiers: tiers.collect(), ..new.group.clone() }
}
