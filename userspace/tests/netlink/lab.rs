//! A host with an uplink, and a watcher in it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pointsman::netlink::{Snapshot, Update, Watcher};
use pointsman_lab::{Cable, CableOptions, Namespace};

pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The interface whose routes to prefixes are followed; it is not there at first.
pub(crate) const FOLLOWED: &str = "lan0";

/// How long a notification may take before the test gives up.
const BOUND: Duration = Duration::from_secs(10);

/// A host with an uplink to another host.
pub(crate) struct Lab {
    pub(crate) host: Namespace,
    pub(crate) isp: Namespace,
    pub(crate) cable: Cable,
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
        let (host, isp) = (Namespace::new("host")?, Namespace::new("isp")?);
        let cable = Cable::new(&host, "wan0", &isp, "site0", CableOptions::default())?;
        host.ip(&format!("address add {NEAR}/24 dev wan0"))?;
        isp.ip(&format!("address add {FAR}/24 dev site0"))?;
        Ok(Self { host, isp, cable })
    }

    /// The same with IPv6 in place of IPv4. No end checks whether an address is free.
    pub(crate) fn with_ipv6() -> Result<Self> {
        let (host, isp) = (ipv6_namespace("host")?, ipv6_namespace("isp")?);
        let cable = Cable::new(&host, "wan0", &isp, "site0", CableOptions::default())?;
        isp.ip(&format!("address add {FAR6}/64 dev site0"))?;
        Ok(Self { host, isp, cable })
    }

    pub(crate) fn index(&self) -> u32 {
        self.cable.near().index()
    }

    /// Runs a test in the host, with a watcher and what it saw first.
    pub(crate) fn watch(
        &self,
        receive_buffer: Option<usize>,
        test: impl AsyncFnOnce(&mut Watched) -> Result<()> + Send,
    ) -> Result<()> {
        self.host.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut watched = Watched::new(receive_buffer).await?;
                test(&mut watched).await
            })
        })
    }
}

/// A host whose interfaces have IPv6, take addresses unchecked, and listen to routers.
pub(crate) fn ipv6_namespace(label: &str) -> Result<Namespace> {
    let namespace = Namespace::new(label)?;
    for scope in ["all", "default"] {
        for (setting, value) in [("disable_ipv6", "0"), ("accept_dad", "0"), ("accept_ra", "1")] {
            namespace.sysctl(&format!("net.ipv6.conf.{scope}.{setting}"), value)?;
        }
    }
    Ok(namespace)
}

/// The interfaces whose routes are followed.
fn followed() -> BTreeSet<String> {
    [FOLLOWED.to_owned()].into()
}

/// A watcher, and the snapshot that its updates lead to.
pub(crate) struct Watched {
    watcher: Watcher,
    pub(crate) snapshot: Snapshot,
    pub(crate) resyncs: usize,
}

impl Watched {
    async fn new(receive_buffer: Option<usize>) -> Result<Self> {
        let watcher = match receive_buffer {
            Some(bytes) => Watcher::with_receive_buffer(followed(), bytes),
            None => Watcher::new(followed()),
        }?;
        let mut watched = Self { watcher, snapshot: Snapshot::default(), resyncs: 0 };
        let first = watched.take().await?;
        ensure!(matches!(first, Update::Resync(_)), "the first update is {first:?}");
        Ok(watched)
    }

    pub(crate) async fn take(&mut self) -> Result<Update> {
        let update = tokio::time::timeout(BOUND, self.watcher.next())
            .await
            .with_context(|| format!("no update came; the last state is {:#?}", self.snapshot))??;
        match update.clone() {
            Update::Resync(snapshot) => {
                self.snapshot = snapshot;
                self.resyncs += 1;
            }
            Update::Fact(fact) => self.snapshot.apply(fact),
        }
        Ok(update)
    }

    /// Takes updates until the snapshot is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Snapshot) -> bool) -> Result<()> {
        while !wanted(&self.snapshot) {
            self.take().await?;
        }
        Ok(())
    }

    /// Takes all updates there are: those up to a change that is made for the purpose.
    pub(crate) async fn settle(&mut self, host: &Namespace) -> Result<()> {
        host.ip("link set lo mtu 60000")?;
        let mtu = |snapshot: &Snapshot| snapshot.link_named("lo").map(|(_, link)| link.mtu);
        self.until(|snapshot| mtu(snapshot) == Some(60000)).await?;
        host.ip("link set lo mtu 65536")?;
        self.until(|snapshot| mtu(snapshot) == Some(65536)).await
    }

    /// Whether following the changes has led to what a new watcher is told at once.
    pub(crate) async fn assert_in_step(&mut self, host: &Namespace) -> Result<()> {
        self.settle(host).await?;
        let fresh = Self::new(None).await?;
        assert_eq!(self.snapshot, fresh.snapshot, "left: followed, right: listed anew");
        Ok(())
    }
}
