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
    traffic::{FLOWS, Packet, Record, Traffic},
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
    /// From the cut until the first packet was sent, by any flow of the uplink that was cut, from which on none
    /// of theirs was lost.
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
    let (mut is_of_cut, mut moved) = ([false; FLOWS], 0);
    for (flow, is_of_cut) in is_of_cut.iter_mut().enumerate() {
        let packets = || record.of_flow(flow);
        let settled = packets().filter(|packet| packet.sent < time).filter_map(|it| it.by).last();
        let was = settled.with_context(|| format!("flow {flow} had no answer before the cut"))?;
        *is_of_cut = was == address;
        let is = packets().filter_map(|packet| packet.by).last();
        if *is_of_cut {
            ensure!(is != Some(was), "flow {flow} has not left the dead uplink");
        } else {
            let after = packets().filter(|packet| packet.sent >= time);
            moved += usize::from(after.filter_map(|packet| packet.by).any(|by| by != was));
        }
    }
    let of_cut = is_of_cut.iter().filter(|is| **is).count();
    ensure!(
        of_cut > 0 && of_cut < FLOWS,
        "{of_cut} of {FLOWS} flows are on the uplink that is cut"
    );
    let after: Vec<&Packet> = { record.0.iter().zip(is_of_cut.iter().cycle()) }
        .filter(|(packet, is_of_cut)| **is_of_cut && packet.sent >= time)
        .map(|(packet, _)| packet)
        .collect();
    let lost = after.iter().rposition(|packet| packet.by.is_none()).map_or(0, |last| last + 1);
    let whole = after.get(lost).context("traffic has not come back")?;
    let duration = whole.sent - time;
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
