use std::collections::BTreeMap;
use std::io;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::ControlledUplink;
use crate::probe::{Path, ProbeConfig, ProbeEvent, Prober};

/// An outcome, and the name of the uplink that was probed.
pub(super) type UplinkProbe = (String, ProbeEvent);

/// How many outcomes may wait to be judged.
const BACKLOG: usize = 1024;

/// The probers of all uplinks. They end with this value.
pub(super) struct Probers {
    running: BTreeMap<String, Running>,
    events: mpsc::Sender<UplinkProbe>,
    /// Why the prober of an uplink could not be started, so that it is not said every second.
    complaints: BTreeMap<String, String>,
}

struct Running {
    ifindex: u32,
    config: ProbeConfig,
    path: watch::Sender<Option<Path>>,
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
        let is_wanted = |name: &String| uplinks.iter().any(|u| u.config().name == *name);
        self.running.retain(|name, _| is_wanted(name));
        self.complaints.retain(|name, _| is_wanted(name));
        for uplink in uplinks {
            self.update_one(uplink);
        }
    }

    fn update_one(&mut self, uplink: &ControlledUplink) {
        let name = &uplink.config().name;
        let (Some(config), Some(ifindex)) = (probe_config(uplink), uplink.ifindex()) else {
            self.running.remove(name);
            return;
        };
        let path = uplink.source().zip(uplink.gateway_mac());
        let path = path.map(|(source, mac)| Path { source, mac });
        if let Some(running) = self.running.get(name)
            && running.ifindex == ifindex
            && running.config == config
        {
            running.path.send_if_modified(|old| std::mem::replace(old, path) != path);
            return;
        }
        let (path, receiver) = watch::channel(path);
        let task = match self.start(name, ifindex, config.clone(), receiver) {
            Ok(task) => {
                self.complaints.remove(name);
                Some(task)
            }
            Err(error) => {
                self.complain(name, error.to_string());
                None
            }
        };
        self.running.insert(name.clone(), Running { ifindex, config, path, task });
    }

    /// Says what is wrong with an uplink's prober once, until it is something else.
    fn complain(&mut self, name: &str, complaint: String) {
        if self.complaints.get(name) != Some(&complaint) {
            log::error!("uplink {name}: cannot be probed: {complaint}");
            self.complaints.insert(name.to_owned(), complaint);
        }
    }

    /// Starts again the probers that have come to an end.
    pub(super) fn revive(&mut self) {
        self.running
            .retain(|_, running| running.task.as_ref().is_some_and(|task| !task.is_finished()));
    }

    fn start(
        &self,
        name: &str,
        ifindex: u32,
        config: ProbeConfig,
        path: watch::Receiver<Option<Path>>,
    ) -> io::Result<JoinHandle<()>> {
        let prober = Prober::new(ifindex)?;
        let (sender, mut outcomes) = mpsc::channel(BACKLOG);
        let (events, name) = (self.events.clone(), name.to_owned());
        Ok(tokio::spawn(async move {
            let label = name.clone();
            let forward = async move {
                while let Some(outcome) = outcomes.recv().await {
                    if events.send((name.clone(), outcome)).await.is_err() {
                        break;
                    }
                }
            };
            let (ended, ()) = tokio::join!(prober.run(config, path, sender), forward);
            if let Err(error) = ended {
                log::error!("uplink {label}: the prober has stopped: {error}");
            }
        }))
    }
}

fn probe_config(uplink: &ControlledUplink) -> Option<ProbeConfig> {
    let health = uplink.config().health.as_ref();
    health.filter(|health| !health.targets.is_empty()).map(|health| ProbeConfig {
        targets: health.targets.clone(),
        interval: health.interval,
        timeout: health.timeout,
    })
}
