//! A site whose gateway runs the daemon, and the traffic through it.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman::api::status::Status;
use pointsman_lab::{BpfFs, LabError, Site, wait_until};

use crate::echo::{Echo, lock};
use crate::flows::{Flows, Passages};
use crate::ledger::{Books, Faults, Ledger, status};
use crate::support::{BOUND, Gateway, configuration};
use crate::transfer::Transfer;

/// How many flows a crowd is, and how many datagrams it sends a second: each flow every half a second.
const CROWD: usize = 1000;
const CROWD_RATE: u32 = 2000;

/// How many datagrams a stream sends a second.
const STREAM_RATE: u32 = 200;

/// How long the daemon is left in peace between questions.
const PAUSE: Duration = Duration::from_millis(10);

/// How many addresses the client has: some take either uplink.
const CLIENTS: usize = 64;

/// A gateway with its server, and what it has counted since it was ready.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    echo: Echo,
    ledger: Ledger,
    /// The client's addresses, by the uplink that their flows take.
    by_uplink: [Vec<Ipv4Addr>; 2],
    /// Given back after all else.
    _turn: MutexGuard<'static, ()>,
}

/// Whose traffic it is that goes. Where each test's does at once, queues are not emptied in time, and what
/// they lose is no fault of the gateway. That one test starts a daemon meanwhile, which takes longest, is
/// none of the other's business.
static TURN: Mutex<()> = Mutex::new(());

impl Rig {
    /// A site as most tests want it, with these keys more in `health`, and this more in the configuration.
    pub(crate) fn start(health: &str, more: &str) -> Self {
        Self::of(Site::builder().client_addresses(CLIENTS).build().unwrap(), health, more)
    }

    /// The same where the data plane is kept.
    pub(crate) fn pinned(bpf: &BpfFs) -> Self {
        let site = Site::builder().client_addresses(CLIENTS).build().unwrap();
        let pins = format!("pins = \"{}\"", bpf.pins().display());
        Self::with(site, |directory| configured(directory, "").replace("pins = false", &pins))
    }

    /// The same with cables that can be impaired.
    pub(crate) fn impaired(health: &str, more: &str) -> Self {
        /// Which frames the cables lose.
        const SEED: u64 = 20_261_130;
        let site = Site::builder().client_addresses(CLIENTS).impaired(SEED).build().unwrap();
        Self::of(site, health, more)
    }

    fn of(site: Site, health: &str, more: &str) -> Self {
        Self::with(site, |directory| configured(directory, health) + more)
    }

    fn with(site: Site, configuration: impl FnOnce(&Path) -> String) -> Self {
        for uplink in &site.uplinks {
            // A provider that cannot forward says nothing, rather than something that nobody has sent.
            uplink.isp.sysctl("net.ipv4.icmp_ratelimit", "1000000000").unwrap();
        }
        let gateway = Gateway::configured(site, configuration);
        let turn = lock(&TURN);
        let echo = Echo::start(&gateway.site.server);
        // Before the books are opened: what is in them is of the test's own.
        let by_uplink = learn(&gateway, &echo);
        let ledger = Ledger::open(&gateway);
        Self { gateway, echo, ledger, by_uplink, _turn: turn }
    }

    /// A thousand flows over all of the client's addresses.
    pub(crate) fn crowd(&self) -> Flows {
        let addresses = self.site.client_addresses().collect::<Vec<_>>().into_iter().cycle();
        self.flows(addresses.take(CROWD), CROWD_RATE)
    }

    /// A flow that takes this uplink, at a constant rate.
    pub(crate) fn stream(&self, uplink: usize) -> Flows {
        self.flows([self.by_uplink[uplink][0]], STREAM_RATE)
    }

    /// Flows of the client's, from each of these addresses.
    pub(crate) fn flows(
        &self,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        per_second: u32,
    ) -> Flows {
        Flows::start(&self.site.client, &self.echo, addresses, per_second)
    }

    /// Opens new flows from all addresses that took this uplink at first, and says which public addresses
    /// the server sees. Each is answered.
    pub(crate) fn fresh(&self, uplink: usize) -> Vec<Ipv4Addr> {
        let flows = self.flows(self.by_uplink[uplink].iter().copied(), 500);
        flows.wait_until_answered();
        let flows = flows.finish().0;
        flows.iter().flat_map(|flow| &flow.peers).map(|peer| *peer.ip()).collect()
    }

    /// A transfer that takes this uplink.
    pub(crate) fn transfer(&self, uplink: usize) -> Transfer {
        let from = *self.by_uplink[uplink].last().unwrap();
        let transfer = Transfer::start(&self.site.client, from, &self.site.server);
        assert_eq!(*transfer.peer.ip(), self.public(uplink));
        transfer
    }

    /// All of it at once: a crowd, and a stream and a transfer on either uplink. Each flow has been
    /// answered.
    pub(crate) fn traffic(&self) -> Traffic {
        let traffic = Traffic {
            crowd: self.crowd(),
            streams: [0, 1].map(|uplink| self.stream(uplink)),
            transfers: [0, 1].map(|uplink| self.transfer(uplink)),
        };
        traffic.wait_until_answered();
        traffic
    }

    /// The public address of an uplink at first.
    pub(crate) fn public(&self, uplink: usize) -> Ipv4Addr {
        self.site.uplinks[uplink].gateway_address
    }

    pub(crate) fn status(&self) -> Status {
        status(&self.gateway)
    }

    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Status) -> bool) {
        let waited = wait_until(what, BOUND, || {
            // To be asked all the time would keep the daemon from what it is to do.
            thread::sleep(PAUSE);
            Ok::<_, LabError>(condition(&self.status()))
        });
        waited.unwrap();
    }

    /// Waits until the uplinks are in these states.
    pub(crate) fn wait_for_states(&self, fiber: &str, cable: &str) {
        self.wait_for(&format!("fiber is {fiber} and cable {cable}"), |status| {
            status.uplinks.iter().map(|uplink| uplink.state.as_str()).eq([fiber, cable])
        });
    }

    /// How often the daemon has said that an uplink is in another state.
    pub(crate) fn changes(&self, uplink: &str) -> usize {
        let head = format!("uplink {uplink}: ");
        self.daemon.log().lines().filter(|line| line.contains(&head)).count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.daemon.process.id() as i32), signal).unwrap();
    }

    /// Checks that everything balances, once nothing but probes is under way.
    #[track_caller]
    pub(crate) fn balance(&self, faults: Faults<'_>) -> Books {
        self.ledger.close(&self.gateway, faults)
    }
}

impl Deref for Rig {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

/// Each of the client's addresses has an uplink that it comes back to, whatever came between.
const GROUP: &str = "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\n\
                     sticky = \"source-destination\"\n";

/// The configuration, with more keys in the `health` of every uplink. An answer has time enough on a busy
/// machine.
pub(crate) fn configured(directory: &Path, health: &str) -> String {
    let interval = "interval = \"50ms\"";
    let patient = format!("{interval}, timeout = \"250ms\"{health}");
    configuration(directory).replace(interval, &patient) + GROUP
}

/// Which of the client's addresses take which uplink.
fn learn(gateway: &Gateway, echo: &Echo) -> [Vec<Ipv4Addr>; 2] {
    let addresses: Vec<_> = gateway.site.client_addresses().collect();
    let flows = Flows::start(&gateway.site.client, echo, addresses.clone(), 1000);
    flows.wait_until_answered();
    let passages = flows.finish();
    passages.assert_undisturbed();
    [0, 1].map(|uplink| {
        let public = gateway.site.uplinks[uplink].gateway_address;
        let takes = |peers: &[std::net::SocketAddrV4]| *peers[0].ip() == public;
        let flows = addresses.iter().zip(&passages.0);
        let taking: Vec<_> = flows
            .filter(|(_, passage)| takes(&passage.peers))
            .map(|(address, _)| *address)
            .collect();
        assert!(taking.len() > 1, "{taking:?} take uplink {uplink}");
        taking
    })
}

/// Traffic of all kinds.
pub(crate) struct Traffic {
    pub(crate) crowd: Flows,
    pub(crate) streams: [Flows; 2],
    pub(crate) transfers: [Transfer; 2],
}

impl Traffic {
    /// Waits until every flow of UDP has had an answer to something that was sent since.
    pub(crate) fn wait_until_answered(&self) {
        self.crowd.wait_until_answered();
        self.streams.iter().for_each(Flows::wait_until_answered);
    }

    /// Ends all of it: what became of the flows of UDP, and of the transfers.
    pub(crate) fn finish(self) -> (Passages, [Result<[u64; 2], crate::transfer::Broken>; 2]) {
        let [fiber, cable] = self.streams;
        let flows = [self.crowd, fiber, cable].map(|flows| flows.finish().0).concat();
        (Passages(flows), self.transfers.map(Transfer::finish))
    }
}
