//! A chain of generator, gateway and sink.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    programs::{TestRunAttrs, TestRunOptions},
};
use pointsman_lab::{Cable, CableOptions, Namespace, plan, xdp::OBJECT};

use crate::{
    MIN_FRAMES,
    gateway::{Gateway, Kind},
    object::{load, macs, program, set_egress},
    sink::{Found, Sink},
    traffic::{FRAME_LEN, Finding},
};

/// How many frames the kernel makes at a time.
const BATCH: u32 = 64;

/// How long the last frames of a burst may take to reach the sink.
const TAIL: Duration = Duration::from_millis(500);

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
    hosts: Hosts,
    generator: Option<Ebpf>,
    gateway: Box<dyn Gateway>,
    sink: Sink,
}

impl Chain {
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        let hosts = Hosts::new()?;
        let sink = Sink::new(hosts.wan.far(), kind)?;
        let gateway = kind.start(&hosts)?;
        Ok(Self { kind, hosts, generator: None, gateway, sink })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Sets up this many flows, and returns the rate to expect, in frames a second. Nothing, where
    /// the gateway cannot hold as many flows.
    pub(crate) fn set_up(&mut self, flows: u32) -> Result<Option<f64>> {
        if !self.gateway.prepare(flows)? {
            return Ok(None);
        }
        self.generator = Some(generator(&self.hosts, flows)?);
        self.verify(flows).context("while the flows are set up")?;
        self.burst(MIN_FRAMES).map(Some)
    }

    /// Sends a frame of each flow, and checks every one that arrives in full.
    pub(crate) fn verify(&mut self, flows: u32) -> Result<()> {
        self.sink.switch_to("sink_verify")?;
        self.sink.forget()?;
        let outcome = self.send("generate_each", flows)?;
        self.sink.switch_to("sink")?;
        self.check(&outcome)?;
        let translations = self.sink.translations()?;
        ensure!(
            translations == flows as usize,
            "{flows} flows came as {translations} pairs of address and port"
        );
        Ok(())
    }

    /// Sends frames of random flows, and returns the rate at which they arrived, in frames a
    /// second.
    pub(crate) fn burst(&mut self, frames: u32) -> Result<f64> {
        let outcome = self.send("generate", frames)?;
        self.check(&outcome)?;
        Ok(outcome.good() as f64 / outcome.time.as_secs_f64())
    }

    /// Fails, with what the gateway has to say, unless all frames are as they should be.
    fn check(&self, outcome: &Outcome) -> Result<()> {
        let complaint = match outcome.check() {
            Ok(()) => return Ok(()),
            Err(complaint) => complaint,
        };
        match self.gateway.state() {
            Some(state) => bail!("{complaint}; the gateway says:\n{state}"),
            None => bail!(complaint),
        }
    }

    fn send(&mut self, name: &str, frames: u32) -> Result<Outcome> {
        let before = self.sink.found()?;
        let generator = self.generator.as_mut().context("there are no flows yet")?;
        let program = program(generator, name)?;
        let frame = [0; FRAME_LEN];
        let run = self.hosts.lan.far().namespace().run(|| {
            program.test_run(TestRunOptions {
                data_in: Some(&frame),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            })
        })?;
        // The kernel's own mean for a frame. The time of the whole call would include tens of
        // milliseconds in which the kernel waits until no CPU can be running the program.
        let time = run.duration * frames;
        let sent = u64::from(frames);
        let deadline = Instant::now() + TAIL;
        loop {
            let mut found = self.sink.found()?;
            for (found, before) in found.iter_mut().zip(before) {
                *found -= before;
            }
            let outcome = Outcome { sent, found, time };
            if outcome.lost() == 0 || Instant::now() > deadline {
                return Ok(outcome);
            }
            // The kernel may need a moment of this CPU for the last frames.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Hosts {
    fn new() -> Result<Self> {
        let generator = Namespace::new("generator")?;
        let gateway = Namespace::new("gateway")?;
        let sink = Namespace::new("sink")?;
        let bare = CableOptions::default();
        let lan = Cable::new(&gateway, "lan0", &generator, "host0", bare)?;
        let wan = Cable::new(&gateway, "wan0", &sink, "sink0", bare)?;
        let (next_hop, prefix) = (plan::isp(0), plan::UPLINK_PREFIX);
        gateway.ip(&format!(
            "address add {}/{} dev lan0\n\
             address add {}/{prefix} dev wan0\n\
             neighbour add {next_hop} lladdr {} dev wan0 nud permanent\n\
             route add default via {next_hop} dev wan0",
            plan::LAN_GATEWAY,
            plan::LAN_PREFIX,
            plan::gateway(0),
            wan.far().mac(),
        ))?;
        sink.ip(&format!("address add {next_hop}/{prefix} dev sink0"))?;
        Ok(Self { gateway, lan, wan })
    }
}

/// The generator's programs, for this many flows.
fn generator(hosts: &Hosts, flows: u32) -> Result<Ebpf> {
    let macs = macs(hosts.lan.near().mac(), hosts.lan.far().mac());
    let mut object = EbpfLoader::new()
        .override_global("GENERATOR_FLOWS", &flows, true)
        .override_global("GENERATOR_MACS", &macs, true)
        .load(OBJECT)?;
    set_egress(&mut object, "GENERATOR_EGRESS", hosts.lan.far())?;
    for name in ["generate", "generate_each"] {
        load(&mut object, name)?;
    }
    Ok(object)
}

/// What became of the frames of one burst.
struct Outcome {
    sent: u64,
    found: Found,
    time: Duration,
}

impl Outcome {
    fn good(&self) -> u64 {
        self.found[Finding::Good as usize]
    }

    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.found.iter().sum())
    }

    fn check(&self) -> Result<()> {
        let bad: u64 = self.found.iter().sum::<u64>() - self.good();
        if bad == 0 && self.lost() * 1_000_000 <= self.sent * LOST_PER_MILLION {
            return Ok(());
        }
        let mut message =
            format!("of {} frames, {} did not reach the sink", self.sent, self.lost());
        for (finding, count) in Finding::ALL.iter().zip(self.found) {
            if count > 0 {
                let _ = write!(message, ", {count} arrived {finding:?}");
            }
        }
        bail!(message)
    }
}
