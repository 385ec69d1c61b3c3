//! A chain of generator, gateway and sink.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use pointsman_lab::{Cable, CableOptions, Namespace, plan};

use crate::{
    MIN_FRAMES,
    flows::{Flows, Lan},
    gateway::{Gateway, Kind},
    generator::{Generator, Pace},
    service::Service,
    sink::{Found, Sink, total},
    traffic::{Finding, lan_hosts},
};

/// How long the last frames of a burst may take to reach the sink.
pub(crate) const TAIL: Duration = Duration::from_millis(500);

/// How many frames of a million may be lost where frames are not counted one by one.
const LOST_PER_MILLION: u64 = 100;

/// The gateway's host and its cables.
pub(crate) struct Hosts {
    /// The gateway.
    pub(crate) gateway: Namespace,
    /// From the gateway's `lan0` to the generator.
    pub(crate) lan: Cable,
    /// From the gateway's `wan0` to the sink.
    pub(crate) wan: Cable,
}

/// Generator, gateway and sink.
pub(crate) struct Chain {
    kind: Kind,
    service: Service,
    lan: Lan,
    pub(crate) hosts: Hosts,
    generator: Option<Generator>,
    /// The flows that were checked in full.
    verified: Vec<Flows>,
    gateway: Box<dyn Gateway>,
    pub(crate) sink: Sink,
}

impl Chain {
    pub(crate) fn new(kind: Kind, service: Service, lan: Lan) -> Result<Self> {
        let hosts = Hosts::new(service)?;
        let sink = Sink::new(&hosts, kind, service, lan.ends())?;
        let gateway = kind.start(&hosts, service, lan)?;
        let (generator, verified) = (None, Vec::new());
        Ok(Self { kind, service, lan, hosts, generator, verified, gateway, sink })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Sets up these flows, answered where the gateway keeps state and `answered` asks for it, and
    /// returns the rate to expect, in frames a second. Nothing, where the gateway cannot hold as
    /// many flows.
    pub(crate) fn set_up(&mut self, flows: Flows, answered: bool) -> Result<Option<f64>> {
        if !self.gateway.prepare(flows)? {
            return Ok(None);
        }
        self.aim_at(flows)?;
        if self.kind.routes() && answered {
            self.converse("generate_each", "sink_answer", flows.count)
                .context("while the flows are set up")?;
        }
        self.verify(flows).context("before anything is timed")?;
        self.burst(MIN_FRAMES).map(Some)
    }

    /// Makes the generator send frames of these flows, the first of them next.
    pub(crate) fn aim_at(&mut self, flows: Flows) -> Result<()> {
        self.aim_with(flows, &Pace::default())
    }

    /// The same, for paced runs also.
    pub(crate) fn aim_with(&mut self, flows: Flows, pace: &Pace) -> Result<()> {
        let [vlan, _] = self.kind.vlans();
        let lan = (self.lan.ends(), vlan);
        self.generator = Some(Generator::new(&self.hosts, self.service, flows, lan, pace)?);
        Ok(())
    }

    /// The generator.
    pub(crate) fn generator(&mut self) -> Result<&mut Generator> {
        self.generator.as_mut().context("there are no flows yet")
    }

    /// Sends frames by one program of the generator and answers them by one of the sink, and checks
    /// that all arrive and all answers too.
    pub(crate) fn converse(&mut self, name: &str, sink: &str, frames: u32) -> Result<()> {
        self.sink.switch_to(sink)?;
        let before = self.sink.returned()?;
        let outcome = self.send(name, frames)?;
        let returned = self.sink.wait_for_returns(before, frames.into(), TAIL)?;
        self.sink.switch_to("sink")?;
        self.check(&outcome)?;
        let answers = Outcome { sent: frames.into(), found: returned, time: outcome.time };
        self.check(&answers).context("the answers")
    }

    /// Sends a frame of each flow, and checks every one that arrives in full, and that each flow
    /// that was ever checked has had one translation, and its own.
    pub(crate) fn verify(&mut self, flows: Flows) -> Result<()> {
        self.aim_at(flows)?;
        self.sink.switch_to("sink_verify")?;
        let outcome = self.send("generate_each", flows.count)?;
        self.sink.switch_to("sink")?;
        self.check(&outcome)?;
        self.verified.retain(|earlier| earlier.first != flows.first);
        self.verified.push(flows);
        let expected: u32 = self.verified.iter().map(|flows| flows.count).sum();
        let translations = self.sink.translations()?;
        ensure!(
            translations == u64::from(expected),
            "{expected} flows came as {translations} pairs of address and port"
        );
        Ok(())
    }

    /// Sends frames of random flows, and returns the rate at which they arrived, in frames a
    /// second.
    pub(crate) fn burst(&mut self, frames: u32) -> Result<f64> {
        let outcome = self.send("generate", frames)?;
        self.check(&outcome)?;
        Ok(outcome.rate())
    }

    /// Sends the first frame of this many flows that are new to the gateway, and returns the rate
    /// at which they arrived, in frames a second.
    pub(crate) fn open(&mut self, flows: u32) -> Result<f64> {
        self.forget_flows()?;
        let outcome = self.send("generate_each", flows)?;
        self.check(&outcome)?;
        Ok(outcome.rate())
    }

    /// Makes the gateway forget what would be in the way of new flows.
    pub(crate) fn forget_flows(&mut self) -> Result<()> {
        self.gateway.forget_flows(&self.hosts)
    }

    /// Fails, with what the gateway has to say, unless all frames are as they should be.
    pub(crate) fn check(&self, outcome: &Outcome) -> Result<()> {
        let complaint = match outcome.check() {
            Ok(()) => return Ok(()),
            Err(complaint) => complaint,
        };
        match self.state() {
            Some(state) => bail!("{complaint}; the gateway says:\n{state}"),
            None => bail!(complaint),
        }
    }

    /// What the gateway has to say about itself.
    pub(crate) fn state(&self) -> Option<String> {
        self.gateway.state()
    }

    fn send(&mut self, name: &str, frames: u32) -> Result<Outcome> {
        let before = self.sink.found()?;
        let time = self.generator()?.run(name, frames)?;
        let sent = u64::from(frames);
        let found = self.sink.wait_for(before, sent, TAIL)?;
        Ok(Outcome { sent, found, time })
    }
}

impl Hosts {
    fn new(service: Service) -> Result<Self> {
        let generator = Namespace::new("generator")?;
        let gateway = Namespace::new("gateway")?;
        let sink = Namespace::new("sink")?;
        let bare = CableOptions::default();
        let lan = Cable::new(&gateway, "lan0", &generator, "host0", bare)?;
        let wan = Cable::new(&gateway, "wan0", &sink, "sink0", bare)?;
        let (next_hop, prefix) = (plan::isp(0), plan::UPLINK_PREFIX);
        let mut batch = format!(
            "address add {}/{} dev lan0\n\
             address add {}/{prefix} dev wan0\n\
             neighbour add {next_hop} lladdr {} dev wan0 nud permanent\n\
             route add default via {next_hop} dev wan0\n",
            plan::LAN_GATEWAY,
            plan::LAN_PREFIX,
            plan::gateway(0),
            wan.far().mac(),
        );
        for host in lan_hosts() {
            let mac = lan.far().mac();
            let _ = writeln!(batch, "neighbour add {host} lladdr {mac} dev lan0 nud permanent");
        }
        gateway.ip(&batch)?;
        service.equip(&gateway, &wan.far().mac().to_string())?;
        // What the gateway's own sockets may take is not for translation: a few ports will do.
        gateway.sysctl("net.ipv4.ip_local_port_range", "65000 65535")?;
        sink.ip(&format!("address add {next_hop}/{prefix} dev sink0"))?;
        Ok(Self { gateway, lan, wan })
    }
}

/// What became of the frames of one burst.
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) found: Found,
    pub(crate) time: Duration,
}

impl Outcome {
    fn good(&self) -> u64 {
        self.found[Finding::Good as usize]
    }

    fn lost(&self) -> u64 {
        self.sent.saturating_sub(total(&self.found))
    }

    /// In frames a second.
    fn rate(&self) -> f64 {
        self.good() as f64 / self.time.as_secs_f64()
    }

    fn check(&self) -> Result<()> {
        let bad: u64 = total(&self.found) - self.good();
        if bad == 0 && self.lost() * 1_000_000 <= self.sent * LOST_PER_MILLION {
            return Ok(());
        }
        bail!(self.describe())
    }

    /// How many frames did not arrive, and as what the others did.
    pub(crate) fn describe(&self) -> String {
        let mut message =
            format!("of {} frames, {} did not reach the sink", self.sent, self.lost());
        for (finding, count) in Finding::ALL.iter().zip(self.found) {
            if count > 0 {
                let _ = write!(message, ", {count} arrived {finding:?}");
            }
        }
        message
    }
}
