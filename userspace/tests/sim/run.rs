//! One run: configurations and events that follow from a seed, and what must hold after each event.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pointsman::config::Config;
use pointsman::netlink::Fact;
use pointsman_ebpf::memory::Random;

use super::configuration::{self, Configuration};
use super::event::{self, Event, Operator};
use super::gateway::Gateway;
use super::invariants;
use super::mischief::Mischief;
use super::packets::Hosts;
use super::world::World;

/// How many events a run has, at least and at most.
const EVENTS: (usize, usize) = (30, 150);

/// Of so many runs, one is so many times as long: whatever grows has the time to.
const LONG: (u64, usize) = (500, 40);

/// What happens in a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) events: Vec<Event>,
    /// How uplinks are at the end.
    weather: u64,
}

/// A run that was good.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Played {
    /// How often the controller was told something.
    pub(crate) told: u64,
    pub(crate) packets: u64,
}

/// What must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
    /// After so many events.
    pub(crate) after: usize,
}

impl Scenario {
    /// That of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let configurations = (0..3).map(|_| configuration::draw(&mut random)).collect();
        let mut count = EVENTS.0 + random.below(EVENTS.1 - EVENTS.0 + 1);
        if seed.is_multiple_of(LONG.0) {
            count *= LONG.1;
        }
        let events = event::draw_all(&mut random, count);
        Self { seed, configurations, events, weather: random.word() }
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub(crate) fn play(&self, mischief: Mischief, base: Instant) -> Result<Played, Finding> {
        let mut run = Run::start(self, mischief, base);
        let after = |after| move |(invariant, what)| Finding { invariant, what, after };
        run.check().map_err(after(0))?;
        for (number, event) in (1..).zip(&self.events) {
            run.happen(*event);
            run.check().map_err(after(number))?;
            if number % 8 == 0 || matches!(event, Event::Operator(_) | Event::Resync) {
                run.check_thoroughly().map_err(after(number))?;
            }
        }
        run.end(self.weather, base).map_err(after(self.events.len()))?;
        let packets = run.gateway.plane.tables.counts().packets();
        Ok(Played { told: run.gateway.told, packets })
    }
}

/// A run that goes on.
struct Run {
    world: World,
    gateway: Gateway,
    hosts: Hosts,
    configurations: Vec<Config>,
    /// Whether the kernel tells nothing until it tells all.
    is_deaf: bool,
    /// Whose addresses the generations in the data plane have been for.
    generations: BTreeMap<u32, String>,
}

/// Which invariant does not hold, and why.
pub(crate) type Breach = (&'static str, String);

impl Run {
    fn start(scenario: &Scenario, mischief: Mischief, base: Instant) -> Self {
        let configurations: Vec<Config> =
            scenario.configurations.iter().map(|it| it.config.clone()).collect();
        let world = World::new();
        let mut gateway = Gateway::start(&configurations[0], mischief, base);
        gateway.resync(world.truth.clone());
        let (hosts, generations) = (Hosts::default(), BTreeMap::new());
        Self { world, gateway, hosts, configurations, is_deaf: false, generations }
    }

    fn happen(&mut self, event: Event) {
        let gateway = &mut self.gateway;
        match event {
            Event::Overrun => self.is_deaf = true,
            Event::Resync => self.resync(),
            Event::Probe { uplink, probe, is_answered, times } => {
                let (name, probes) = gateway.uplink(uplink);
                if !probes.is_empty() {
                    let probe = &probes[usize::from(probe) % probes.len()];
                    (0..times).for_each(|_| gateway.probed(&name, probe, is_answered));
                }
            }
            Event::Session { uplink, to } => {
                let (name, _) = gateway.uplink(uplink);
                gateway.session(&name, to);
            }
            Event::Traffic { uplink, sent, received, times } => {
                let (name, _) = gateway.uplink(uplink);
                (0..times).for_each(|_| gateway.carry(&name, sent.into(), received.into()));
            }
            Event::Wait { milliseconds } => {
                gateway.pass(Duration::from_millis(milliseconds.into()));
            }
            Event::Deadline => self.wait_for_deadline(Duration::ZERO),
            Event::BeforeDeadline => self.wait_for_deadline(Duration::from_nanos(1)),
            Event::Refuse(refusal) => {
                let index = |interface| self.world.index(interface);
                gateway.plane.refuse(refusal, index);
            }
            Event::Relent => gateway.plane.relent(),
            Event::Retry => gateway.retry(),
            Event::Operator(operator) => self.operate(operator),
            of_the_kernel => self.tell(of_the_kernel),
        }
    }

    /// Waits until so long before the deadline.
    fn wait_for_deadline(&mut self, before: Duration) {
        if let Some(deadline) = self.gateway.controller.deadline() {
            let left = deadline.saturating_duration_since(self.gateway.now);
            self.gateway.pass(left.saturating_sub(before));
        }
    }

    fn operate(&mut self, operator: Operator) {
        self.gateway.operate(operator, &self.configurations);
        if operator == Operator::Restart {
            // A data plane that is new has no flows, and nothing that another generation could be taken for.
            self.hosts.forget();
            self.generations.clear();
            self.resync();
        }
    }

    fn resync(&mut self) {
        self.is_deaf = false;
        self.gateway.resync(self.world.truth.clone());
    }

    /// Has something happen in the kernel, which tells of it if it can.
    fn tell(&mut self, event: Event) {
        for fact in self.world.apply(event) {
            if let Fact::LinkGone { index } = fact {
                self.gateway.plane.interface_gone(index);
            }
            if !self.is_deaf {
                self.gateway.fact(fact);
            }
        }
    }

    /// What must hold after each event.
    fn check(&mut self) -> Result<(), Breach> {
        let Self { gateway, world, is_deaf, .. } = self;
        invariants::switched_in_order(gateway)?;
        invariants::no_change_too_early(gateway)?;
        if *is_deaf {
            // What the kernel has taken away, nobody has been told.
            return Ok(());
        }
        invariants::told_all(gateway, world)?;
        invariants::switch_equals_health(gateway)?;
        invariants::nobody_alive_lacks_anything(gateway)?;
        invariants::masks_equal_health(gateway)?;
        invariants::own_addresses_are_there(gateway, world)?;
        invariants::generations_are_new(gateway, &mut self.generations)?;
        let sent = self.hosts.send(gateway);
        sent.map_err(|what| ("flows take living uplinks, and stay there", what))
    }

    /// What must hold always, and takes longer to find out.
    fn check_thoroughly(&mut self) -> Result<(), Breach> {
        let gateway = &self.gateway;
        super::fresh::same_policy(gateway).map_err(|what| (invariants::FRESH, what))?;
        if !self.is_deaf && gateway.is_whole {
            super::fresh::same_content(gateway).map_err(|what| (invariants::CONTENT, what))?;
        }
        Ok(())
    }

    /// Lets all that is pending come to an end, and compares with a fresh start.
    fn end(&mut self, weather: u64, base: Instant) -> Result<(), Breach> {
        const ALL_WAITS: Duration = Duration::from_secs(3600);
        self.gateway.plane.relent();
        self.resync();
        for event in self.world.settling() {
            self.tell(event);
        }
        self.gateway.pass(ALL_WAITS);
        self.check()?;
        self.check_thoroughly()?;
        let ended = super::fresh::same_end(&mut self.gateway, weather, base);
        ended.map_err(|what| (invariants::FRESH, what))?;
        self.check()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = |number: usize| {
            number == 0
                || self.events.iter().any(|event| match event {
                    Event::Operator(Operator::Reload { configuration, .. }) => {
                        usize::from(*configuration) % self.configurations.len() == number
                    }
                    _ => false,
                })
        };
        for (number, configuration) in self.configurations.iter().enumerate() {
            if read(number) {
                writeln!(f, "configuration {number}:")?;
                for line in configuration.text.lines() {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        writeln!(f, "events:")?;
        for (number, event) in (1..).zip(&self.events) {
            writeln!(f, "{number:4}. {event:?}")?;
        }
        Ok(())
    }
}
