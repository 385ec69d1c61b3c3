use std::collections::BTreeMap;
use std::io;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::ControlledUplink;
use crate::probe::{Path, Probe, ProbeEvent, ProbeId, Prober};

/// An outcome, and the name of the uplink that was probed.
pub(super) type UplinkProbe = (String, ProbeEvent);

/// How many outcomes may wait to be judged.
const BACKLOG: usize = 1024;

/// An uplink's name, and which of its probes.
type Key = (String, ProbeId);

/// The probers of all uplinks. They end with this value.
pub(super) struct Probers {
    running: BTreeMap<Key, Running>,
    events: mpsc::Sender<UplinkProbe>,
    /// Why a prober could not be started, so that it is not said every second.
    complaints: BTreeMap<Key, String>,
}

struct Running {
    ifindex: u32,
    probe: Probe,
    path: watch::Sender<Path>,
    /// None where the prober could not be started.
    task: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Probers {
    /// No probers yet, and where the outcomes of all will come from.
    pub(super) fn new() -> (Self, mpsc::Receiver<UplinkProbe>) {
        let (events, outcomes) = mpsc::channel(BACKLOG);
        (Self { running: BTreeMap::new(), events, complaints: BTreeMap::new() }, outcomes)
    }

    /// Starts, redirects and ends probers, so that they are those of these uplinks.
    pub(super) fn update(&mut self, uplinks: &[ControlledUplink]) {
        let mut wanted = BTreeMap::new();
        for uplink in uplinks {
            let Some(ifindex) = uplink.ifindex() else { continue };
            let path = uplink.path();
            for probe in uplink.config().health.iter().flat_map(|health| &health.probes) {
                let key = (uplink.config().name.clone(), probe.id());
                wanted.insert(key, (ifindex, path, probe));
            }
        }
        self.running.retain(|key, _| wanted.contains_key(key));
        self.complaints.retain(|key, _| wanted.contains_key(key));
        for (key, (ifindex, path, probe)) in wanted {
            self.update_one(key, ifindex, path, probe);
        }
    }

    fn update_one(&mut self, key: Key, ifindex: u32, path: Path, probe: &Probe) {
        if let Some(running) = self.running.get(&key)
            && running.ifindex == ifindex
            && running.probe == *probe
        {
            running.path.send_if_modified(|old| std::mem::replace(old, path) != path);
            return;
        }
        let (path, receiver) = watch::channel(path);
        let task = match self.start(&key, ifindex, probe.clone(), receiver) {
            Ok(task) => {
                self.complaints.remove(&key);
                Some(task)
            }
            Err(error) => {
                self.complain(&key, error.to_string());
                None
            }
        };
        self.running.insert(key, Running { ifindex, probe: probe.clone(), path, task });
    }

    /// Says what is wrong with a prober once, until it is something else.
    fn complain(&mut self, key: &Key, complaint: String) {
        if self.complaints.get(key) != Some(&complaint) {
            let (uplink, probe) = key;
            log::error!("uplink {uplink}: {probe} cannot be probed: {complaint}");
            self.complaints.insert(key.clone(), complaint);
        }
    }

    /// Starts again the probers that have come to an end.
    pub(super) fn revive(&mut self) {
        self.running
            .retain(|_, running| running.task.as_ref().is_some_and(|task| !task.is_finished()));
    }

    fn start(
        &self,
        (uplink, probe_id): &Key,
        ifindex: u32,
        probe: Probe,
        path: watch::Receiver<Path>,
    ) -> io::Result<JoinHandle<()>> {
        let prober = Prober::new(ifindex, probe)?;
        let (sender, mut outcomes) = mpsc::channel(BACKLOG);
        let (events, name) = (self.events.clone(), uplink.clone());
        let label = format!("uplink {uplink}: {probe_id}");
        Ok(tokio::spawn(async move {
            let forward = async move {
                while let Some(outcome) = outcomes.recv().await {
                    if events.send((name.clone(), outcome)).await.is_err() {
                        break;
                    }
                }
            };
            let (ended, ()) = tokio::join!(prober.run(path, sender), forward);
            if let Err(error) = ended {
                log::error!("{label}: the prober has stopped: {error}");
            }
        }))
    }
}
