mod maintenance;
mod reload;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::OnFailure;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::controller::{Change, Controller};
use super::forwarding;
use super::installer::{InstallError, Installer};
use super::probers::{Probers, UplinkProbe};
use super::rebalance::Selections;
use super::startup::{self, Unfit};
use super::supervisor::Supervisor;
use crate::api::status::{self, Status};
use crate::bfd;
use crate::config::{Config, TableSizes};
use crate::dataplane::{
    AttachError, Dataplane as _, Inheritance, Kernel, LoadError, Pins, PinsError, Progress, Prompt,
    Sweeper, SweptMaps, Terms, Wanted,
};
use crate::netlink::{self, Resolver, Update, Watcher};
use crate::ports;
use crate::uplink::Verdict;
use maintenance::Kept;
pub use maintenance::{DrainAction, DrainOrder};
pub use reload::Comparison;

/// How often what has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is looked at what uplinks carry: several times in the shortest window.
const SAMPLE: Duration = Duration::from_millis(100);

/// What can be asked of a running daemon.
#[derive(Debug)]
pub enum Command {
    /// Read the configuration file again. A bad one changes nothing.
    Reload,
    /// End. The data plane stays, where it is kept.
    Stop,
    /// End, and remove the data plane.
    Down,
    /// Say how things are.
    Status(oneshot::Sender<Status>),
    /// Say what is different in another configuration, and what file is read at a reload.
    Compare(Box<Config>, oneshot::Sender<(PathBuf, Comparison)>),
    /// Drain an uplink, or have it take new flows again.
    Drain(DrainOrder),
    /// Move flows to where new ones would go, and say how many there are.
    Rebalance(Terms, oneshot::Sender<Progress>),
}

/// Where to send commands to.
pub type Commands = mpsc::Sender<Command>;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit the host.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The kernel does not tell what it knows.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The ports of the gateway's own sockets are not known.
    #[error(transparent)]
    Ports(#[from] ports::Error),
    /// The directory that keeps the data plane is another daemon's.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The data plane cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The data plane cannot be attached everywhere. It is attached nowhere then, but where a daemon before has
    /// left it.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The system gives no thread for the sweep of idle flows.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// A running gateway. When it ends, packets go on without it, if the data plane is kept, until
/// [`Command::Down`].
pub struct Daemon {
    controller: Controller,
    installer: Installer,
    dataplane: Kernel,
    sweeper: Sweeper,
    selections: Selections,
    watcher: Watcher,
    resolver: Resolver,
    ports: ports::Watch,
    wanted: Wanted,
    probers: Probers,
    kept: Kept,
    bfd: bfd::Service,
    bfd_events: UnboundedReceiver<(String, bfd::Event)>,
    /// The sessions that were asked for last.
    bfd_sessions: BTreeMap<String, bfd::Wanted>,
    outcomes: mpsc::Receiver<UplinkProbe>,
    commands: mpsc::Receiver<Command>,
    config_file: PathBuf,
    started: Instant,
    /// How often the file has been read again, with or without success.
    reloads: u64,
    last_reload_error: Option<String>,
    supervisor: Supervisor,
    /// What was complained of, so that it is not said every second.
    complaints: BTreeSet<String>,
}

impl Daemon {
    /// Loads the data plane in the calling thread's network namespace, and attaches it. Runs in a
    /// Tokio runtime with I/O and time, of this thread alone.
    ///
    /// The file is where [`Command::Reload`] reads from.
    ///
    /// # Errors
    /// Whatever keeps the gateway from working. Nothing stays attached then but what was before.
    pub async fn start(
        config: Config,
        config_file: PathBuf,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, StartError> {
        let now = Instant::now();
        let pins = open_pins(&config)?;
        let mut watcher = Watcher::new(followed(&config))?;
        let resolver = Resolver::new()?;
        let mut controller = Controller::new(config, random_key(), first_generation(), now);
        // The first update has all that the kernel knows.
        let facts = watcher.next().await?;
        controller.update(facts.clone(), Instant::now());
        startup::check(&controller)?;
        let mut ports = ports::Watch::start()?;
        let (mut dataplane, maps, inheritance) = load(&controller.config().tables, pins)?;
        let installer = match inheritance {
            Some(inheritance) => {
                let config = controller.config().clone();
                let (generation, now) = (first_generation(), Instant::now());
                controller = Controller::inheriting(config, &inheritance, generation, facts, now);
                log::info!("the data plane of a daemon before is gone on with");
                Installer::inheriting(inheritance.installed)
            }
            None => Installer::default(),
        };
        let kept = Kept::start(&mut controller)?;
        controller.set_socket_ports(ports.latest());
        dataplane.set_offloads(controller.config().host.offloads);
        let wanted = dataplane.take_wanted()?;
        let sweeper =
            Sweeper::start(maps, &controller.config().timers).map_err(StartError::Thread)?;
        let (probers, outcomes) = Probers::new();
        let (sender, bfd_events) = unbounded_channel();
        let bfd = bfd::Service::start(dataplane.liveness(), sender).map_err(StartError::Thread)?;
        let mut daemon = Self {
            controller,
            installer,
            dataplane,
            sweeper,
            selections: Selections::default(),
            watcher,
            resolver,
            ports,
            wanted,
            probers,
            kept,
            bfd,
            bfd_events,
            bfd_sessions: BTreeMap::new(),
            outcomes,
            commands,
            config_file,
            started: now,
            reloads: 0,
            last_reload_error: None,
            supervisor: Supervisor::new(),
            complaints: BTreeSet::new(),
        };
        if let Some(error) = daemon.install().into_iter().next() {
            return Err(error.into());
        }
        // What was switched off of NICs for that.
        daemon.dataplane.remember(daemon.controller.names()).map_err(InstallError::from)?;
        if let Err(error) = daemon.dataplane.keep() {
            log::error!("{error}; the data plane ends with the daemon");
        }
        daemon.complain(&[]);
        for uplink in daemon.controller.uplinks() {
            let is_last_resort = uplink.is_last_resort();
            log_state(&uplink.config().name, uplink.verdict(), is_last_resort);
        }
        daemon.follow_up();
        daemon.tell_ready();
        Ok(daemon)
    }

    /// Keeps the data plane as it should be until [`Command::Stop`] or [`Command::Down`], or until nobody can send
    /// commands any more.
    ///
    /// # Errors
    /// Where the kernel no longer tells what happens.
    pub async fn run(mut self) -> Result<(), netlink::Error> {
        let mut ticks = interval(RETRY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples = interval(SAMPLE);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.controller.deadline();
            tokio::select! {
                biased;
                update = self.watcher.next() => self.update(update?),
                Some((uplink, event)) = self.bfd_events.recv() => {
                    let changes = self.controller.bfd(&uplink, event, Instant::now());
                    self.apply(&changes);
                }
                Some((uplink, event)) = self.outcomes.recv() => {
                    let changes = self.controller.probed(&uplink, event, Instant::now());
                    if !changes.is_empty() {
                        self.apply(&changes);
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()),
                    if deadline.is_some() =>
                {
                    let changes = self.controller.tick(Instant::now());
                    self.apply(&changes);
                }
                () = self.supervisor.alive() => {}
                ports = self.ports.next() => {
                    self.controller.set_socket_ports(ports);
                    self.apply(&[]);
                }
                wanted = self.wanted.next() => match wanted {
                    Ok(neighbours) => self.resolve(neighbours),
                    Err(error) => log::debug!("neighbours: {error}"),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Reload) => self.reload(),
                    // Who asked may have gone.
                    Some(Command::Status(reply)) => drop(reply.send(self.status())),
                    Some(Command::Stop) | None => {
                        self.end();
                        return Ok(());
                    }
                    Some(Command::Down) => {
                        self.supervisor.stopping();
                        self.dataplane.forsake();
                        log::info!("detached");
                        return Ok(());
                    }
                    Some(Command::Drain(order)) => self.drain(order),
                    Some(Command::Rebalance(terms, reply)) => {
                        self.sweeper.rebalance(terms, Some(reply));
                    }
                    Some(Command::Compare(config, reply)) => {
                        drop(reply.send((self.config_file.clone(), self.compare(*config))));
                    }
                },
                _ = samples.tick(), if self.controller.listens() => self.sample(),
                _ = ticks.tick() => {
                    let handshakes = self.dataplane.handshakes();
                    self.controller.shook_hands(|uplink| handshakes.of(uplink), Instant::now());
                    self.probers.revive();
                    self.apply(&[]);
                }
            }
        }
    }

    /// Leaves the data plane to itself, where it is kept.
    fn end(self) {
        self.supervisor.stopping();
        if self.dataplane.is_kept() {
            log::info!(
                "packets go on without the daemon; `pointsman run` goes on with their flows, and `pointsman \
                 down` ends that"
            );
        } else {
            log::info!("detached");
        }
    }

    /// Looks at what uplinks carry.
    fn sample(&mut self) {
        let carried = |uplink| {
            let carried = self.dataplane.carried(uplink);
            carried.inspect_err(|error| log::error!("{error}")).ok()
        };
        if let Some(changes) = self.controller.carried(carried, Instant::now()) {
            self.apply(&changes);
        }
    }

    fn update(&mut self, update: Update) {
        let changes = self.controller.update(update, Instant::now());
        self.apply(&changes);
    }

    /// Does what is decided: the switch first.
    fn apply(&mut self, changes: &[Change]) {
        self.installer.lower(&mut self.dataplane, self.controller.alive());
        self.prompt();
        for Change { uplink, verdict, is_last_resort } in changes {
            log_state(uplink, verdict, *is_last_resort);
        }
        if !changes.is_empty() {
            let (up, all) = self.uplinks_up();
            self.supervisor.status(up, all);
        }
        let errors = self.install();
        self.prompt();
        self.complain(&errors);
        self.give_back();
        self.follow_up();
    }

    /// Has LAN hosts learn at once that connections are over that their uplink has lost, if that is what becomes of
    /// them.
    fn prompt(&mut self) {
        let uplinks = self.installer.take_left();
        if uplinks != 0 && self.controller.config().group.on_failure == OnFailure::Reset {
            self.sweeper.prompt(Prompt { uplinks, links: self.installer.links() });
        }
    }

    fn install(&mut self) -> Vec<InstallError> {
        // Before a number is used that another daemon is to know.
        if let Err(error) = self.dataplane.remember(self.controller.names()) {
            return vec![error.into()];
        }
        let (policy, alive) = (self.controller.policy(), self.controller.alive());
        let errors = self.installer.install(&mut self.dataplane, &policy, alive);
        let joined = self.installer.take_joined();
        if !joined.is_empty() {
            self.sweeper.remove_flows_to(joined);
        }
        if let Some(selection) = self.selections.update(&policy, alive) {
            self.sweeper.set_selection(selection);
        }
        errors
    }

    /// Has flows given back that are to be by now.
    fn give_back(&mut self) {
        if let Some(terms) = self.controller.take_due_rebalance(Instant::now()) {
            log::info!("rebalance: flows go back to uplinks that are back");
            self.sweeper.rebalance(terms, None);
        }
    }

    /// Says what is wrong once, until it is something else.
    fn complain(&mut self, errors: &[InstallError]) {
        let complaints: BTreeSet<_> = errors
            .iter()
            // An interface that has just gone will be told of.
            .filter(|error| !matches!(error, InstallError::Attach(AttachError::Missing { .. })))
            .map(ToString::to_string)
            .chain(startup::check_lan_networks(&self.controller).err().map(|e| e.to_string()))
            .chain(forwarding::complaint(&self.controller))
            .chain(maintenance::complaint(&self.controller))
            .collect();
        for complaint in complaints.difference(&self.complaints) {
            log::error!("{complaint}");
        }
        self.complaints = complaints;
    }

    /// What is not urgent: MACs and probes.
    fn follow_up(&mut self) {
        let due = self.controller.resolutions_due(Instant::now());
        self.resolve(due);
        self.probers.update(self.controller.uplinks());
        self.keep_drains();
        let sessions = self.controller.bfd_sessions();
        if sessions != self.bfd_sessions {
            self.bfd.set(sessions.clone());
            self.bfd_sessions = sessions;
        }
    }

    /// Has the kernel find the MACs of neighbours.
    fn resolve<A: Into<IpAddr>>(&mut self, neighbours: Vec<(u32, A)>) {
        for (ifindex, address) in neighbours {
            if let Err(error) = self.resolver.resolve(ifindex, address) {
                // The interface may have gone down since; if not, the next time is in a second.
                log::debug!("{error}");
            }
        }
    }

    /// Tells the service manager that the gateway works.
    fn tell_ready(&self) {
        let (up, all) = self.uplinks_up();
        self.supervisor.ready(up, all);
    }

    /// How many uplinks are up, and how many there are.
    fn uplinks_up(&self) -> (usize, usize) {
        let uplinks = self.controller.uplinks();
        (uplinks.iter().filter(|uplink| uplink.is_up()).count(), uplinks.len())
    }

    fn status(&self) -> Status {
        let counters = self
            .dataplane
            .counters()
            .inspect_err(|error| log::error!("{error}"))
            .unwrap_or_default();
        status::Source {
            controller: &self.controller,
            counters: &counters,
            handshakes: &|uplink| self.dataplane.handshakes().of(uplink),
            census: self.sweeper.census(),
            passes: self.sweeper.passes(),
            rebalance: self.sweeper.progress(),
            started: self.started,
            reloads: self.reloads,
            last_reload_error: self.last_reload_error.as_deref(),
        }
        .status(Instant::now())
    }
}

/// Locks the directory that keeps the data plane, if one is to. Where it cannot be had, nothing is kept.
fn open_pins(config: &Config) -> Result<Option<Pins>, PinsError> {
    let Some(path) = &config.state.pins else { return Ok(None) };
    let opened = Pins::open(path).and_then(|pins| pins.memo().map(|_| pins));
    match opened {
        Ok(pins) => Ok(Some(pins)),
        Err(error @ PinsError::Refused { .. }) => {
            log::error!("{error}; the data plane ends with the daemon");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Loads the data plane, and where it cannot be kept, one that ends with the daemon.
fn load(
    sizes: &TableSizes,
    pins: Option<Pins>,
) -> Result<(Kernel, SweptMaps, Option<Inheritance>), LoadError> {
    let is_kept = pins.is_some();
    let loaded = Kernel::load(sizes, pins);
    match loaded {
        Err(error @ (LoadError::Pins(_) | LoadError::Object(_))) if is_kept => {
            log::error!("{error}; the data plane ends with the daemon");
            Kernel::load(sizes, None)
        }
        loaded => loaded,
    }
}

/// The interfaces whose routes lead to more of the LAN.
fn followed(config: &Config) -> BTreeSet<String> {
    config.lan.interfaces.iter().cloned().collect()
}

fn log_state(uplink: &str, verdict: &Verdict, is_last_resort: bool) {
    let role = if is_last_resort { "; kept as the last resort" } else { "" };
    log::info!("uplink {uplink}: {}: {}{role}", verdict.state, verdict.describe(Instant::now()));
}

/// Drawn by the system, through the keys of the standard library's hasher.
fn random_key() -> [u64; 2] {
    [(); 2].map(|()| RandomState::new().hash_one(0_u8))
}

/// Above those of any daemon that ran before on this boot, as long as an uplink's address changes
/// less than once a second.
fn first_generation() -> u32 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(1, |now| (now.tv_sec() as u32).max(1))
}
