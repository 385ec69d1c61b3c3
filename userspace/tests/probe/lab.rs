//! A host with two uplinks, and a prober on one of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pointsman::probe::{Outcome, Path, Probe, ProbeEvent, ProbeKind, Prober, Side};
use pointsman_lab::{Cable, CableOptions, Namespace};
use tokio::sync::{mpsc, watch};

pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub(crate) const ABSENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
pub(crate) const NEAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub(crate) const LOCAL6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const BEYOND6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53);
pub(crate) const ABSENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x99);

/// How long an event may take before the test gives up.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// A host with two uplinks of one prefix to two hosts that have the same addresses. Its kernel has no
/// route to any target, and could not tell the uplinks apart.
pub(crate) struct Lab {
    pub(crate) host: Namespace,
    pub(crate) isps: [Namespace; 2],
    pub(crate) cables: [Cable; 2],
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
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

    /// The same where the kernel has a default route by each uplink, and prefers the first.
    pub(crate) fn routed() -> Result<Self> {
        let lab = Self::new()?;
        lab.host.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
        lab.host.ip(&format!(
            "address add {NEAR}/24 dev wan1\n\
             route add default via {FAR} dev wan0 metric 100\n\
             route add default via {FAR} dev wan1 metric 101"
        ))?;
        Ok(lab)
    }

    /// The same with IPv6 besides, and default routes of it.
    pub(crate) fn routed6() -> Result<Self> {
        let lab = Self::routed()?;
        for cable in &lab.cables {
            for nic in [cable.near(), cable.far()] {
                // No address of the kernel's own, which it would ask for on the link.
                let setting = format!("net.ipv6.conf.{}.addr_gen_mode", nic.name());
                nic.namespace().sysctl(&setting, "1")?;
            }
        }
        for host in [&lab.host, &lab.isps[0], &lab.isps[1]] {
            host.sysctl("net.ipv6.conf.all.disable_ipv6", "0")?;
        }
        for wan in ["wan0", "wan1"] {
            lab.host.ip6(&format!("address add {LOCAL6}/64 dev {wan} nodad"))?;
        }
        lab.host.ip6(&format!(
            "address add {NEAR6}/64 dev wan0 nodad\n\
             route add default via {FAR6} dev wan0 metric 100\n\
             route add default via {FAR6} dev wan1 metric 101"
        ))?;
        for isp in &lab.isps {
            isp.ip6(&format!(
                "address add {FAR6}/64 dev site0 nodad\n\
                 address add {BEYOND6}/128 dev lo nodad\n\
                 route add {NEAR6}/128 via {LOCAL6} dev site0"
            ))?;
        }
        Ok(lab)
    }

    pub(crate) fn path(&self, uplink: usize) -> Path {
        let (near, far) = (self.cables[uplink].near().mac().0, self.cables[uplink].far().mac().0);
        Path {
            mac: Some(near),
            ipv4: Side { source: Some(NEAR), gateway: Some(FAR), gateway_mac: Some(far) },
            ipv6: Side { source: Some(NEAR6), gateway: Some(FAR6), gateway_mac: Some(far) },
            link_local: Some(LOCAL6),
            is_suspect: false,
        }
    }

    /// Runs a prober on an uplink, and a test beside it.
    pub(crate) fn probe(
        &self,
        uplink: usize,
        kind: ProbeKind,
        test: impl AsyncFnOnce(&mut Probed) -> Result<()> + Send,
    ) -> Result<()> {
        // Long enough that no answer is missed on a machine that is busy.
        self.probe_within(uplink, kind, Duration::from_millis(500), test)
    }

    /// The same with this much time for an answer.
    pub(crate) fn probe_within(
        &self,
        uplink: usize,
        kind: ProbeKind,
        timeout: Duration,
        test: impl AsyncFnOnce(&mut Probed) -> Result<()> + Send,
    ) -> Result<()> {
        let interface = self.cables[uplink].near().index();
        let probe = Probe { kind, interval: Duration::from_millis(10), timeout };
        self.host.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (path, path_seen) = watch::channel(self.path(uplink));
                let (sender, events) = mpsc::channel(64);
                let run = Prober::new(interface, probe)?.run(path_seen, sender);
                let mut probed = Probed { path, events };
                tokio::select! {
                    result = run => bail!("the prober ended: {result:?}"),
                    result = test(&mut probed) => result,
                }
            })
        })
    }

    /// Whether a probe is answered time after time.
    pub(crate) fn assert_answered(&self, uplink: usize, kind: ProbeKind) -> Result<()> {
        self.probe(uplink, kind, async |probed| {
            for _ in 0..5 {
                let event = probed.next().await?;
                assert!(answered(&event.outcome), "{event:?}");
            }
            Ok(())
        })
    }

    /// Whether a probe fails while nothing is known of the way, and is answered as long as it is.
    pub(crate) fn assert_needs_a_path(&self, kind: ProbeKind) -> Result<()> {
        self.probe(0, kind, async |probed| {
            probed.until(answered).await?;
            probed.path.send_replace(Path::default());
            let failed = probed.until(|outcome| !answered(outcome)).await?;
            let expected = "not sent: there is no IPv4 address to send from";
            assert_eq!(failed.outcome.to_string(), expected);
            probed.path.send_replace(self.path(0));
            probed.until(answered).await?;
            Ok(())
        })
    }

    /// Whether this is what becomes of a probe time after time.
    pub(crate) fn assert_outcome(
        &self,
        uplink: usize,
        kind: ProbeKind,
        expected: &Outcome,
    ) -> Result<()> {
        self.probe(uplink, kind, async |probed| {
            for _ in 0..3 {
                assert_eq!(probed.next().await?.outcome, *expected);
            }
            Ok(())
        })
    }

    /// Whether the probe by an uplink that cannot send leaves nothing at the other uplink's far end.
    pub(crate) fn assert_nothing_leaves_by_the_other(&self, kind: &ProbeKind) -> Result<()> {
        self.assert_answered(1, kind.clone())?;
        let watched = &self.isps[0];
        watched.feed("nft", &["-f", "-"], RULESET)?;
        // The kernel forgets the routes of what is set down, so that comes last.
        for cut in [true, false] {
            if cut {
                self.cables[1].cut()?;
            } else {
                self.cables[1].restore()?;
                self.host.ip("link set wan1 down")?;
            }
            self.probe(1, kind.clone(), async |probed| {
                for _ in 0..5 {
                    let event = probed.next().await?;
                    assert!(!answered(&event.outcome), "{event:?}");
                }
                Ok(())
            })?;
            assert_eq!(strays(watched)?, 0, "cut: {cut}");
        }
        // What does come in there is counted.
        self.assert_answered(0, kind.clone())?;
        assert_ne!(strays(watched)?, 0);
        Ok(())
    }
}

/// Counts what comes in from the site, but for what its kernel says by itself.
const RULESET: &str = "table netdev watch {
    counter strays {}
    chain ingress {
        type filter hook ingress device \"site0\" priority 0;
        icmpv6 type { mld2-listener-report, nd-router-solicit } return
        counter name \"strays\"
    }
}";

/// How many packets have been counted.
fn strays(isp: &Namespace) -> Result<u64> {
    let listed = isp.output("nft", &["-j", "list", "counter", "netdev", "watch", "strays"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    listed["nftables"][1]["counter"]["packets"].as_u64().context("nft tells of no packets")
}

/// The test's side of a prober.
pub(crate) struct Probed {
    pub(crate) path: watch::Sender<Path>,
    pub(crate) events: mpsc::Receiver<ProbeEvent>,
}

impl Probed {
    pub(crate) async fn next(&mut self) -> Result<ProbeEvent> {
        let event = tokio::time::timeout(BOUND, self.events.recv()).await;
        event.context("no probe was judged")?.context("the prober ended")
    }

    /// Takes events until one is as wanted, for a while.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Outcome) -> bool) -> Result<ProbeEvent> {
        let start = Instant::now();
        loop {
            let event = self.next().await?;
            if wanted(&event.outcome) {
                return Ok(event);
            }
            ensure!(start.elapsed() < BOUND, "still {event:?}");
        }
    }
}

pub(crate) fn answered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered { .. })
}

pub(crate) fn icmp(target: impl Into<IpAddr>) -> ProbeKind {
    ProbeKind::Icmp(target.into())
}

pub(crate) fn wrong(reason: &str) -> Outcome {
    Outcome::Wrong(reason.to_owned())
}
