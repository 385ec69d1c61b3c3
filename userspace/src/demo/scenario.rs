//! What happens in the demonstration, act by act.

use std::{
    io::Write,
    net::Ipv4Addr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use pointsman_lab::{LabError, Site, Uplink};

use crate::api::status::UplinkStatus;

use super::{
    daemon::Daemon,
    echo,
    live::Live,
    measure::Cut,
    report::{Report, Trial},
    screen::{Screen, UplinkView, View},
    traffic,
    worker::{Stop, Worker},
};

/// How many clients there are, with a flow each.
const FLOWS: usize = 64;

/// The uplink that is cut: ISP A.
const CUT: u8 = 0;

/// The source port of the flows of the first act; every act takes the next one, so that all flows
/// are new to the gateway.
const FIRST_PORT: u16 = 20_000;

/// How long flows run before a cut.
const STEADY: Duration = Duration::from_secs(2);

/// How long a cut lasts.
const OUTAGE: Duration = Duration::from_secs(2);

/// How long flows run on after the uplink is up again.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How long the daemon may take until both uplinks are up.
const UP_BOUND: Duration = Duration::from_secs(15);

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The demonstration was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(super) struct Stopped;

/// The demonstration's network, with the daemon and the server running in it.
struct Stage<'a, W> {
    // The daemon detaches while its interfaces are still there: the order matters.
    daemon: Daemon,
    _server: Worker<()>,
    site: Site,
    sources: Vec<Ipv4Addr>,
    live: Arc<Live>,
    screen: &'a mut Screen<W>,
    stop: &'a Stop,
    epoch: Instant,
    seen: Vec<UplinkStatus>,
}

/// A way to cut an uplink.
struct Fault {
    /// What the screen says.
    announcement: &'static str,
    phase: &'static str,
    /// Cuts, and returns the moment before.
    cut: fn(&Uplink) -> Result<Instant, LabError>,
    mend: fn(&Uplink) -> Result<(), LabError>,
}

const CARRIER: Fault = Fault {
    announcement: "the cable to ISP A is cut: its link goes down",
    phase: "the cable to ISP A is cut",
    cut: Uplink::cut,
    mend: Uplink::restore,
};

const BLACKHOLE: Fault = Fault {
    announcement: "ISP A loses every packet from now on; its link stays up",
    phase: "ISP A loses every packet",
    cut: |uplink| uplink.blackhole(true),
    mend: |uplink| uplink.blackhole(false).map(drop),
};

/// Plays all of it. Fails with [`Stopped`] soon after `stop` is set.
pub(super) fn play<W: Write>(screen: &mut Screen<W>, stop: &Stop) -> Result<Report> {
    let mut stage = Stage::build(screen, stop)?;
    let carrier = stage.act(0, Some(&CARRIER))?;
    let blackhole = stage.act(1, Some(&BLACKHOLE))?;
    let after = stage.act(2, None)?;
    stage.daemon.stop()?;
    Ok(Report { carrier, blackhole, after })
}

impl<'a, W: Write> Stage<'a, W> {
    fn build(screen: &'a mut Screen<W>, stop: &'a Stop) -> Result<Self> {
        let epoch = Instant::now();
        screen.event(epoch.elapsed(), "a LAN, a gateway, two ISPs and a server are being made")?;
        let site = Site::builder().client_addresses(FLOWS).build()?;
        let server = echo::start(&site.server).context("cannot start the server")?;
        let daemon = Daemon::start(&site)?;
        let addresses = site.uplinks.iter().map(|up| up.gateway_address).collect();
        let mut stage = Self {
            daemon,
            _server: server,
            sources: site.client_addresses().collect(),
            live: Arc::new(Live::new(addresses, FLOWS)),
            site,
            screen,
            stop,
            epoch,
            seen: Vec::new(),
        };
        stage.event("the daemon starts in the gateway")?;
        stage.await_uplinks("both uplinks come up")?;
        Ok(stage)
    }

    /// Lets new flows run, cuts ISP A with `fault` and mends it, and measures.
    fn act(&mut self, number: u16, fault: Option<&Fault>) -> Result<Trial> {
        let port = FIRST_PORT + number;
        let traffic =
            traffic::start(&self.site.client, &self.sources, port, &self.live, self.epoch)
                .context("cannot start the traffic")?;
        self.event(&format!("{FLOWS} new flows, a packet of each every {:?}", traffic::INTERVAL))?;
        self.run_for(STEADY, "steady")?;
        let cut = fault.map(|fault| self.cut(fault)).transpose()?;
        let flows = traffic.finish().context("the traffic broke off")?;
        Ok(Trial::new(&flows, cut.as_ref()))
    }

    fn cut(&mut self, fault: &Fault) -> Result<Cut> {
        let uplink = usize::from(CUT);
        self.event(fault.announcement)?;
        let at = (fault.cut)(&self.site.uplinks[uplink])?;
        self.run_for(OUTAGE, fault.phase)?;
        let until = self.epoch.elapsed();
        (fault.mend)(&self.site.uplinks[uplink])?;
        self.event("ISP A is mended")?;
        self.await_uplinks("ISP A is mended")?;
        self.run_for(AFTERWARDS, "ISP A is back; flows stay where they are")?;
        Ok(Cut { uplink: CUT, at: at.saturating_duration_since(self.epoch), until })
    }

    /// Waits until the daemon says that all uplinks are up.
    fn await_uplinks(&mut self, phase: &str) -> Result<()> {
        let deadline = Instant::now() + UP_BOUND;
        loop {
            let all = self.seen.len() == self.site.uplinks.len();
            if all && self.seen.iter().all(|uplink| uplink.state == "up") {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!(
                    "not all uplinks are up after {UP_BOUND:?}: {:?}; the daemon said:\n{}",
                    self.seen,
                    self.daemon.log()
                );
            }
            self.run_for(TICK, phase)?;
        }
    }

    /// Draws the screen for so long.
    fn run_for(&mut self, time: Duration, phase: &str) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let packets = self.packets();
            let start = Instant::now();
            thread::sleep(TICK.min(end.saturating_duration_since(start)));
            if self.stop.is_set() {
                return Err(Stopped.into());
            }
            self.look()?;
            let rates = self.rates(&packets, start.elapsed());
            self.screen.draw(&self.view(phase, &rates))?;
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Asks the daemon, and tells of what has changed.
    fn look(&mut self) -> Result<()> {
        let Some(now) = self.daemon.uplinks()? else {
            return Ok(());
        };
        let before = std::mem::replace(&mut self.seen, now);
        for (index, uplink) in self.seen.clone().into_iter().enumerate() {
            if before.get(index).is_none_or(|old| old.state != uplink.state) {
                let UplinkStatus { name, state, reason, .. } = uplink;
                self.event(&format!("{name} is {state}: {reason}"))?;
            }
        }
        Ok(())
    }

    fn event(&mut self, text: &str) -> Result<()> {
        Ok(self.screen.event(self.epoch.elapsed(), text)?)
    }

    /// How many packets were answered by each uplink.
    fn packets(&self) -> Vec<u64> {
        let indices = 0..self.site.uplinks.len() as u8;
        indices.map(|uplink| self.live.packets(uplink)).collect()
    }

    fn rates(&self, before: &[u64], time: Duration) -> Vec<f64> {
        let rate = |(now, before): (u64, &u64)| (now - before) as f64 / time.as_secs_f64();
        self.packets().into_iter().zip(before).map(rate).collect()
    }

    fn view(&self, phase: &str, rates: &[f64]) -> View {
        let uplink = |(index, (status, &rate)): (usize, (&UplinkStatus, &f64))| UplinkView {
            name: status.name.clone(),
            state: status.state.clone(),
            reason: status.reason.clone(),
            flows: self.live.flows(index as u8),
            packets_per_second: rate,
        };
        View {
            phase: phase.to_owned(),
            uplinks: self.seen.iter().zip(rates).enumerate().map(uplink).collect(),
        }
    }
}
