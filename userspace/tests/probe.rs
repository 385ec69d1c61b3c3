//! Echo probes between namespaces of the laboratory.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pointsman::probe::{Outcome, Path, ProbeConfig, ProbeEvent, ProbeId, Prober};
use pointsman_lab::{Cable, CableOptions, Namespace};
use tokio::sync::{mpsc, watch};

const NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const ABSENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// How long an event may take before the test gives up.
const BOUND: Duration = Duration::from_secs(10);

/// A host with two uplinks of one prefix to two hosts that have the same addresses, and without a
/// route to any target. The kernel could not tell the uplinks apart.
struct Lab {
    host: Namespace,
    isps: [Namespace; 2],
    cables: [Cable; 2],
}

impl Lab {
    fn new() -> Result<Self> {
        let host = Namespace::new("host")?;
        let isps = [Namespace::new("isp-a")?, Namespace::new("isp-b")?];
        let options = CableOptions::default();
        let cables = [
            Cable::new(&host, "wan0", &isps[0], "site0", options)?,
            Cable::new(&host, "wan1", &isps[1], "site0", options)?,
        ];
        host.ip(&format!("address add {NEAR}/24 dev wan0"))?;
        host.sysctl("net.ipv4.conf.all.rp_filter", "1")?;
        for (isp, cable) in isps.iter().zip(&cables) {
            // The host does not answer ARP from addresses that it has no route to.
            isp.ip(&format!(
                "address add {FAR}/24 dev site0\n\
                 address add {BEYOND}/32 dev lo\n\
                 neighbour add {NEAR} lladdr {} dev site0\n",
                cable.near().mac(),
            ))?;
        }
        Ok(Self { host, isps, cables })
    }

    fn path(&self, uplink: usize) -> Path {
        Path { source: NEAR, mac: self.cables[uplink].far().mac().0 }
    }

    /// Runs a prober on an uplink, and a test beside it.
    fn probe(
        &self,
        uplink: usize,
        targets: &[Ipv4Addr],
        test: impl AsyncFnOnce(&mut Probed) -> Result<()> + Send,
    ) -> Result<()> {
        let interface = self.cables[uplink].near().index();
        let milliseconds = Duration::from_millis;
        let config = ProbeConfig {
            targets: targets.into(),
            interval: milliseconds(10),
            // Long enough that no answer is missed on a machine that is busy.
            timeout: milliseconds(500),
        };
        self.host.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (path, path_seen) = watch::channel(Some(self.path(uplink)));
                let (sender, events) = mpsc::channel(64);
                let run = Prober::new(interface)?.run(config, path_seen, sender);
                let mut probed = Probed { path, events };
                tokio::select! {
                    result = run => bail!("the prober ended: {result:?}"),
                    result = test(&mut probed) => result,
                }
            })
        })
    }
}

/// The test's side of a prober.
struct Probed {
    path: watch::Sender<Option<Path>>,
    events: mpsc::Receiver<ProbeEvent>,
}

impl Probed {
    async fn next(&mut self) -> Result<ProbeEvent> {
        let event = tokio::time::timeout(BOUND, self.events.recv()).await;
        event.context("no probe was judged")?.context("the prober ended")
    }

    /// Takes events until one is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Outcome) -> bool) -> Result<ProbeEvent> {
        loop {
            let event = self.next().await?;
            if wanted(&event.outcome) {
                return Ok(event);
            }
        }
    }
}

fn answered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered { .. })
}

#[test]
fn targets_answer_by_either_uplink_without_any_route() -> Result<()> {
    let lab = Lab::new()?;
    for uplink in [0, 1] {
        lab.probe(uplink, &[FAR, BEYOND], async |probed| {
            let mut probes = std::collections::BTreeSet::new();
            for _ in 0..20 {
                let event = probed.next().await?;
                assert!(answered(&event.outcome), "{event:?}");
                probes.insert(event.probe);
            }
            assert_eq!(probes, [FAR, BEYOND].map(ProbeId::icmp).into());
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_silent_target_is_lost_and_the_other_one_is_not() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, &[BEYOND, ABSENT], async |probed| {
        let lost = probed.until(|outcome| !answered(outcome)).await?;
        assert_eq!((lost.probe, lost.outcome), (ProbeId::icmp(ABSENT), Outcome::Lost));
        assert_eq!(probed.until(answered).await?.probe, ProbeId::icmp(BEYOND));
        Ok(())
    })
}

#[test]
fn probes_never_leave_by_the_other_uplink() -> Result<()> {
    let lab = Lab::new()?;
    // A route by which the kernel itself would reach the target.
    lab.host.ip(&format!("route add {BEYOND} via {FAR} dev wan0"))?;
    lab.isps[1].ip(&format!("address del {BEYOND}/32 dev lo"))?;
    lab.probe(1, &[BEYOND], async |probed| {
        for _ in 0..5 {
            assert_eq!(probed.next().await?.outcome, Outcome::Lost);
        }
        Ok(())
    })
}

#[test]
fn without_a_path_probes_fail_until_there_is_one() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, &[BEYOND], async |probed| {
        probed.until(answered).await?;
        probed.path.send_replace(None);
        let failed = probed.until(|outcome| !answered(outcome)).await?;
        assert_eq!(failed.outcome.to_string(), "not sent: the next hop's MAC is not known");
        probed.path.send_replace(Some(lab.path(0)));
        probed.until(answered).await?;
        Ok(())
    })
}

#[test]
fn a_prober_outlives_its_interface_being_down() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, &[BEYOND], async |probed| {
        probed.until(answered).await?;
        lab.host.ip("link set wan0 down")?;
        probed.until(|outcome| matches!(outcome, Outcome::Failed(_))).await?;
        lab.host.ip("link set wan0 up")?;
        probed.until(answered).await?;
        Ok(())
    })
}

#[test]
fn a_stalled_thread_takes_no_answered_probe_for_lost() -> Result<()> {
    let lab = Lab::new()?;
    lab.probe(0, &[BEYOND], async |probed| {
        for _ in 0..3 {
            probed.until(answered).await?;
            // The whole runtime stands still for longer than the timeout.
            std::thread::sleep(Duration::from_millis(700));
            for _ in 0..5 {
                let event = probed.next().await?;
                assert!(answered(&event.outcome), "{event:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_prober_ends_with_its_listener() -> Result<()> {
    let lab = Lab::new()?;
    let interface = lab.cables[0].near().index();
    let config = ProbeConfig { targets: vec![BEYOND], interval: BOUND, timeout: BOUND };
    lab.host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (_path, path_seen) = watch::channel(None);
            let (sender, mut events) = mpsc::channel(1);
            let listen = async {
                events.recv().await.context("the prober ended before it probed")?;
                drop(events);
                std::future::pending::<Result<()>>().await
            };
            // The next probe is far off.
            tokio::select! {
                result = Prober::new(interface)?.run(config, path_seen, sender) => Ok(result?),
                result = listen => result,
                () = tokio::time::sleep(BOUND / 2) => bail!("the prober went on"),
            }
        })
    })
}

#[test]
fn a_missing_interface_is_an_error() -> Result<()> {
    let lab = Lab::new()?;
    let error = lab.host.run(|| -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _runtime = runtime.enter();
        Prober::new(999).map(drop)
    });
    assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    Ok(())
}
