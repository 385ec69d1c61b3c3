//! One cut of an uplink, and the outage that the traffic sees.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use pointsman_lab::{Impairment, Site};

use crate::{
    daemon::Daemon,
    detector::Detector,
    traffic::{FLOWS, Record, Traffic},
};

/// The uplink that is cut.
const CUT: usize = 0;

/// How long traffic runs before a cut, at least; a random part of `JITTER` comes on top, so that a cut is at any
/// time between two packets of BFD, or two probes.
const BEFORE: Duration = Duration::from_millis(300);
const JITTER: Duration = Duration::from_millis(100);

/// How long before the cut the daemon is stopped: less than the detection time, so that the provider's end of
/// the session has not noticed that either.
const STOPPED_BEFORE: Duration = Duration::from_millis(5);

/// What a cut has done.
pub(crate) struct Outage {
    /// From the cut until the last packet was sent, by a flow of the uplink that was cut, that was not
    /// answered.
    pub(crate) duration: Duration,
    /// How many flows of the other uplink have left it.
    pub(crate) moved: usize,
}

/// Cuts the uplink under traffic, and mends it again.
pub(crate) fn cut(site: &Site, daemon: &Daemon, detector: Detector) -> Result<Outage> {
    let traffic = Traffic::start(site)?;
    thread::sleep(BEFORE + JITTER.mul_f64(fastrand::f64()));
    if detector == Detector::Liveness {
        daemon.signal(Signal::SIGSTOP)?;
        thread::sleep(STOPPED_BEFORE);
    }
    let uplink = &site.uplinks[CUT];
    let relay = uplink.relay.as_ref().context("the cable cannot be impaired")?;
    let time = match detector {
        Detector::Carrier => uplink.cut()?,
        _ => relay.set_both(Impairment::BLACKHOLE),
    };
    thread::sleep(detector.aftermath());
    let record = traffic.finish();
    match detector {
        Detector::Carrier => uplink.restore()?,
        _ => drop(relay.set_both(Impairment::default())),
    }
    if detector == Detector::Liveness {
        daemon.signal(Signal::SIGCONT)?;
    }
    let outage = judge(&record?, time, uplink.gateway_address, detector)?;
    daemon.wait_until_all_are_up()?;
    Ok(outage)
}

/// What the record says of a cut at this time of the uplink with this address.
fn judge(record: &Record, time: Instant, address: Ipv4Addr, detector: Detector) -> Result<Outage> {
    let mut duration = Duration::ZERO;
    let (mut moved, mut of_cut) = (0, 0);
    for flow in 0..FLOWS {
        let before = |packet: &&crate::traffic::Packet| packet.sent < time;
        let settled = record.of_flow(flow).take_while(before).filter_map(|packet| packet.by).last();
        let was = settled.with_context(|| format!("flow {flow} had no answer before the cut"))?;
        let after = || record.of_flow(flow).filter(|packet| packet.sent >= time);
        if was != address {
            moved += usize::from(after().any(|packet| packet.by.is_some_and(|by| by != was)));
            continue;
        }
        of_cut += 1;
        let last_lost = after().filter(|packet| packet.by.is_none()).last();
        let outage = last_lost.map_or(Duration::ZERO, |packet| packet.sent - time);
        duration = duration.max(outage);
    }
    ensure!(
        of_cut > 0 && of_cut < FLOWS,
        "{of_cut} of {FLOWS} flows are on the uplink that is cut"
    );
    check(record, time, duration, detector)?;
    Ok(Outage { duration, moved })
}

/// Whether the work was done: nearly all packets outside the outage were answered, and there were as many as
/// there should be.
fn check(record: &Record, time: Instant, outage: Duration, detector: Detector) -> Result<()> {
    let ahead = Duration::from_millis(20);
    let outside =
        record.0.iter().filter(|packet| packet.sent + ahead < time || packet.sent > time + outage);
    let (mut sent, mut answered) = (0_usize, 0_usize);
    for packet in outside {
        sent += 1;
        answered += usize::from(packet.by.is_some());
    }
    ensure!(
        answered * 100 >= sent * 99,
        "of {sent} packets outside the outage only {answered} were answered"
    );
    let expected = (BEFORE + detector.aftermath()).as_millis() as usize * 10;
    let total = record.0.len();
    ensure!(
        total * 10 >= expected * 9,
        "{total} packets were sent, and {expected} should have been"
    );
    Ok(())
}
