//! The beginning of a chain.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, Pod, TestRun as _,
    maps::{Array, MapData},
    programs::{TestRunAttrs, TestRunOptions},
};
use pointsman_lab::{Namespace, Nic, xdp::OBJECT};

use crate::{
    chain::Hosts,
    flows::Flows,
    object::{load, macs, set_egress},
    service::{Family, Service},
    traffic::{FRAME_LEN, FRAME_LEN_IPV6, TAG_LEN},
};

/// How many frames the kernel makes at a time.
const BATCH: u32 = 64;

/// TCP flows at a steady pace, with a flood beside them.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// The first so many flows are those at a pace.
    pub(crate) flows: u32,
    /// The time between two segments of any of them.
    pub(crate) interval: Duration,
    /// The time between two frames of the flood.
    pub(crate) flood_interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let interval = Duration::from_secs(1);
        Self { flows: 1, interval, flood_interval: interval }
    }
}

/// What a paced run has done: as the program notes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Schedule {
    paced_due: u64,
    flood_due: u64,
    /// By how much a segment was late at most, in nanoseconds.
    pub(crate) latest: u64,
    /// How many segments were sent.
    pub(crate) segments: u32,
    flow: u32,
    sequence: u32,
    reserved: u32,
}

// SAFETY: plain integers without padding.
unsafe impl Pod for Schedule {}

/// The generator's programs, and where they send.
pub(crate) struct Generator {
    object: Ebpf,
    family: Family,
    host: Namespace,
    /// How long a frame is.
    frame_len: usize,
}

impl Generator {
    /// Makes a generator of these flows, of 2^`ends` ends in the LAN, which has a VLAN or zero; it starts
    /// with the first.
    pub(crate) fn new(
        hosts: &Hosts,
        service: Service,
        flows: Flows,
        (ends, vlan): (u32, u16),
        pace: &Pace,
    ) -> Result<Self> {
        let nic: &Nic = hosts.lan.far();
        let macs = macs(hosts.lan.near().mac(), nic.mac());
        let [interval, flood_interval] =
            [pace.interval, pace.flood_interval].map(|interval| interval.as_nanos() as u64);
        let mut object = EbpfLoader::new()
            .override_global("GENERATOR_FLOWS", &flows.count, true)
            .override_global("GENERATOR_FIRST", &flows.first, true)
            .override_global("GENERATOR_ENDS", &ends, true)
            .override_global("GENERATOR_VLAN", &u32::from(vlan), true)
            .override_global("GENERATOR_MACS", &macs, true)
            .override_global("GENERATOR_PREFIXES", &service.sent(), true)
            .override_global("PACED_FLOWS", &pace.flows, true)
            .override_global("PACED_INTERVAL", &interval, true)
            .override_global("FLOOD_INTERVAL", &flood_interval, true)
            .load(OBJECT)?;
        set_egress(&mut object, "GENERATOR_EGRESS", nic)?;
        let family = service.family();
        let untagged = match family {
            Family::Ipv4 => FRAME_LEN,
            Family::Ipv6 => FRAME_LEN_IPV6,
        };
        let frame_len = untagged + if vlan == 0 { 0 } else { TAG_LEN };
        Ok(Self { object, family, host: nic.namespace().clone(), frame_len })
    }

    /// Runs the program of this name, of the traffic's family, once for each frame, and returns how
    /// long that took.
    pub(crate) fn run(&mut self, name: &str, frames: u32) -> Result<Duration> {
        let program = load(&mut self.object, &self.family.program(name))?;
        let frame = vec![0; self.frame_len];
        let run = self.host.run(|| {
            program.test_run(TestRunOptions {
                data_in: Some(&frame),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            })
        })?;
        // The kernel's own mean for a frame. The time of the whole call would include tens of
        // milliseconds in which the kernel waits until no CPU can be running the program.
        Ok(run.duration * frames)
    }

    /// Runs a paced program as [`Self::run`] does any. Every flow goes on where it was, and time
    /// begins anew. Returns also what was done.
    pub(crate) fn run_paced(&mut self, name: &str, frames: u32) -> Result<(Duration, Schedule)> {
        let old = self.schedule()?.get(&0, 0)?;
        let new = Schedule { paced_due: 0, flood_due: 0, latest: 0, segments: 0, ..old };
        self.schedule()?.set(0, new, 0)?;
        let time = self.run(name, frames)?;
        Ok((time, self.schedule()?.get(&0, 0)?))
    }

    fn schedule(&mut self) -> Result<Array<&mut MapData, Schedule>> {
        let map = self.object.map_mut("SCHEDULE").context("the object lacks SCHEDULE")?;
        Ok(map.try_into()?)
    }
}
