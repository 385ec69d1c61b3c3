//! What went into the gateway, and what became of it, to the packet.
//!
//! The kernel's side is what the gateway's NICs have received, redirected, dropped and handed over. The
//! program's is its counters: each packet is in exactly one. The neighbours' is what their network stacks
//! have received.

use std::collections::BTreeMap;
use std::fs;

use pointsman::api::fetch_status;
use pointsman::api::status::{Status, Traffic, UplinkStatus};
use pointsman_lab::{LabError, Namespace, Nic, Site, wait_until};

use crate::support::{BOUND, Gateway};

/// What a NIC of the gateway's has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Received, and shown to the program.
    pub(crate) received: u64,
    /// Redirected by the program to another NIC.
    pub(crate) redirected: u64,
    /// Dropped by the program.
    pub(crate) dropped: u64,
    /// Lost by the kernel: the other NIC could not be redirected to.
    pub(crate) refused: u64,
    /// Redirected to this NIC, and handed to the other end of its cable.
    pub(crate) handed_over: u64,
    /// Redirected to this NIC, and lost by the kernel: the other end had no room.
    pub(crate) no_room: u64,
}

impl Frames {
    fn of(nic: &Nic) -> Self {
        let statistics = nic.statistics().unwrap();
        let value = |name: &str| statistics[name];
        Self {
            received: value("rx_queue_0_xdp_packets"),
            redirected: value("rx_queue_0_xdp_redirect"),
            dropped: value("rx_queue_0_xdp_drops"),
            refused: value("rx_queue_0_drops"),
            handed_over: value("tx_queue_0_xdp_xmit"),
            no_room: value("tx_queue_0_xdp_xmit_errors"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            redirected: self.redirected - before.redirected,
            dropped: self.dropped - before.dropped,
            refused: self.refused - before.refused,
            handed_over: self.handed_over - before.handed_over,
            no_room: self.no_room - before.no_room,
        }
    }
}

/// Where frames may be lost that the gateway has forwarded, by no fault of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults<'a> {
    /// The uplinks whose cable has had no carrier.
    pub(crate) cut: &'a [usize],
    /// Whether frames are lost between gateway and server.
    pub(crate) lossy: bool,
}

/// What has been counted, of packets only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    /// The NIC of the LAN.
    pub(crate) lan: Frames,
    /// Those of the uplinks.
    pub(crate) wan: Vec<Frames>,
    /// Forwarded from the LAN, by uplink.
    pub(crate) out: Vec<u64>,
    /// Forwarded to the LAN, by uplink.
    pub(crate) back: Vec<u64>,
    /// Forwarded from the LAN to the LAN, in either way.
    pub(crate) within: u64,
    /// Dropped, and told the sender, by reason.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Dropped, by reason.
    pub(crate) drops: BTreeMap<String, u64>,
    /// Handed to the kernel, by reason.
    pub(crate) passed: BTreeMap<String, u64>,
    /// Taken note of.
    pub(crate) heard: u64,
    /// What the client has received.
    pub(crate) client: u64,
    /// What the server has received, but for echo requests: those are the daemon's probes.
    pub(crate) server: u64,
    /// What the client has sent and the gateway's NIC had no room for, as on a busy machine.
    pub(crate) unsent: u64,
}

impl Books {
    /// The present state, once there is a moment in which it does not change.
    fn read(gateway: &Gateway) -> Self {
        let mut books = None;
        wait_until("the counters are read while nothing comes in", BOUND, || {
            let (nics, status) = (Nics::read(&gateway.site), status(gateway));
            books = (Nics::read(&gateway.site) == nics).then(|| Self::new(nics, &status));
            Ok::<_, LabError>(books.is_some())
        })
        .unwrap();
        books.unwrap()
    }

    fn new(nics: Nics, status: &Status) -> Self {
        let Nics { lan, wan, client, server, unsent } = nics;
        let by_uplink = |of: fn(&UplinkStatus) -> Traffic| {
            status.uplinks.iter().map(|uplink| of(uplink).packets).collect()
        };
        let hairpin: u64 = status.uplinks.iter().map(|uplink| uplink.hairpin.packets).sum();
        Self {
            lan,
            wan,
            out: by_uplink(|uplink| uplink.out),
            back: by_uplink(|uplink| uplink.back),
            within: hairpin + status.lan_to_lan.packets,
            answered: packets(&status.answered),
            drops: packets(&status.drops),
            passed: packets(&status.passed),
            heard: status.bfd_heard.packets,
            client,
            server,
            unsent,
        }
    }

    /// What has been counted since.
    fn since(&self, before: &Self) -> Self {
        let each = |now: &[u64], before: &[u64]| {
            now.iter().zip(before).map(|(now, before)| now - before).collect()
        };
        let wan = self.wan.iter().zip(&before.wan);
        Self {
            lan: self.lan.since(before.lan),
            wan: wan.map(|(now, before)| now.since(*before)).collect(),
            out: each(&self.out, &before.out),
            back: each(&self.back, &before.back),
            within: self.within - before.within,
            answered: difference(&self.answered, &before.answered),
            drops: difference(&self.drops, &before.drops),
            passed: difference(&self.passed, &before.passed),
            heard: self.heard - before.heard,
            client: self.client - before.client,
            server: self.server - before.server,
            unsent: self.unsent - before.unsent,
        }
    }

    /// What was forwarded from the LAN.
    pub(crate) fn forwarded_out(&self) -> u64 {
        self.out.iter().sum()
    }

    /// What was forwarded to the LAN.
    pub(crate) fn forwarded_back(&self) -> u64 {
        self.back.iter().sum()
    }

    /// Packets that were dropped, and their senders told.
    pub(crate) fn told(&self) -> u64 {
        self.answered.values().sum()
    }

    /// A sum over all NICs.
    fn frames(&self, of: impl Fn(&Frames) -> u64) -> u64 {
        [&self.lan].into_iter().chain(&self.wan).map(of).sum()
    }

    /// Packets that were dropped without a word.
    pub(crate) fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }

    /// Whether all that came in has gone somewhere, and all that was forwarded has arrived.
    ///
    /// # Errors
    ///
    /// What does not balance.
    fn balance(&self, faults: Faults<'_>) -> Result<(), String> {
        let sent = self.forwarded_out() + self.forwarded_back() + self.within + self.told();
        let consumed = self.dropped() + self.heard;
        let passed: u64 = self.passed.values().sum();
        equal(
            "frames came in; counted",
            self.frames(|nic| nic.received),
            sent + consumed + passed,
        )?;
        equal("frames were redirected; counted", self.frames(|nic| nic.redirected), sent)?;
        equal("frames were dropped; counted", self.frames(|nic| nic.dropped), consumed)?;
        equal("frames were lost by the kernel; none may be", self.frames(|nic| nic.refused), 0)?;
        equal("frames found no room; all should", self.frames(|nic| nic.no_room), 0)?;
        self.arrived(faults)
    }

    /// The same of what was forwarded.
    fn arrived(&self, faults: Faults<'_>) -> Result<(), String> {
        let to_lan = self.forwarded_back() + self.within + self.told();
        equal("packets came to the client; forwarded", self.client, to_lan)?;
        // Of what the uplinks' NICs hand over to the LAN's at once, on two CPUs, the kernel may count one only.
        for (uplink, (out, wan)) in self.out.iter().zip(&self.wan).enumerate() {
            if !faults.cut.contains(&uplink) {
                equal(
                    &format!("frames went to uplink {uplink}; forwarded"),
                    wan.handed_over,
                    *out,
                )?;
            } else if wan.handed_over > *out {
                return Err(format!("{} frames went to uplink {uplink} of {out}", wan.handed_over));
            }
        }
        let handed_over = self.wan.iter().map(|wan| wan.handed_over).sum::<u64>();
        if faults.lossy && self.server <= handed_over {
            return Ok(());
        }
        equal("packets came to the server; forwarded", self.server, handed_over)
    }
}

fn equal(what: &str, one: u64, other: u64) -> Result<(), String> {
    if one == other { Ok(()) } else { Err(format!("{one} {what}: {other}")) }
}

/// What NICs and network stacks have counted.
#[derive(PartialEq, Eq)]
struct Nics {
    lan: Frames,
    wan: Vec<Frames>,
    client: u64,
    server: u64,
    unsent: u64,
}

impl Nics {
    fn read(site: &Site) -> Self {
        let [requests, received] = [("Icmp", "InEchos"), ("Ip", "InReceives")]
            .map(|(table, name)| counted(&site.server, table, name));
        Self {
            lan: Frames::of(site.lan.near()),
            wan: site.uplinks.iter().map(|uplink| Frames::of(uplink.access.near())).collect(),
            client: counted(&site.client, "Ip", "InReceives"),
            server: received - requests,
            unsent: unsent(&site.client_nic),
        }
    }
}

/// What a host's network stack has counted, by the names of RFC 2011.
fn counted(host: &Namespace, table: &str, name: &str) -> u64 {
    // Below /proc/net is what belongs to the namespace of the main thread.
    let text = host.run(|| fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
    let head = format!("{table}: ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&head));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|one| one == name).unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

/// What a NIC was to send, and the other end had no room for.
fn unsent(nic: &Nic) -> u64 {
    /// After the name: the first column of those that are of sending, and in these that of drops.
    const DROPPED: usize = 8 + 3;
    let text = nic.namespace().run(|| fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
    let head = format!("{}:", nic.name());
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(&head)).unwrap();
    line.split_whitespace().nth(DROPPED).unwrap().parse().unwrap()
}

fn packets(traffic: &BTreeMap<String, Traffic>) -> BTreeMap<String, u64> {
    traffic.iter().map(|(reason, traffic)| (reason.clone(), traffic.packets)).collect()
}

/// By reason, where there is one.
fn difference(
    now: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let grown = now.iter().map(|(reason, packets)| (reason.clone(), packets - before[reason]));
    grown.filter(|(_, packets)| *packets > 0).collect()
}

/// Asks the daemon, which takes less time by far than starting a process that does.
pub(crate) fn status(gateway: &Gateway) -> Status {
    let socket = gateway.directory.path().join("api.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(fetch_status(&socket)).unwrap()
}

/// The state at the beginning.
pub(crate) struct Ledger {
    opened: Books,
}

impl Ledger {
    pub(crate) fn open(gateway: &Gateway) -> Self {
        Self { opened: Books::read(gateway) }
    }

    /// Checks that everything balances since then, once nothing but probes is under way, and returns it.
    #[track_caller]
    pub(crate) fn close(&self, gateway: &Gateway, faults: Faults<'_>) -> Books {
        let mut last = (Books::default(), Ok(()));
        // What another CPU is about, it has counted here and not there. A packet that nobody has counted
        // stays one.
        let waited = wait_until("the books balance", BOUND, || {
            let books = Books::read(gateway).since(&self.opened);
            let balance = books.balance(faults);
            last = (books, balance);
            Ok::<_, LabError>(last.1.is_ok())
        });
        let (books, balance) = last;
        assert!(waited.is_ok(), "{}\n{books:#?}", balance.unwrap_err());
        books
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packets out, of which one is answered, one told of, one to the kernel, one dropped.
    fn books() -> Books {
        let lan =
            Frames { received: 4, redirected: 3, dropped: 1, handed_over: 2, ..Frames::default() };
        let wan = Frames { received: 2, redirected: 1, handed_over: 2, ..Frames::default() };
        Books {
            lan,
            wan: vec![wan],
            out: vec![2],
            back: vec![1],
            answered: [("no_port".to_owned(), 1)].into(),
            drops: [("martian".to_owned(), 1)].into(),
            passed: [("local".to_owned(), 1)].into(),
            client: 2,
            server: 2,
            ..Books::default()
        }
    }

    fn breaks(change: impl FnOnce(&mut Books), faults: Faults<'_>) -> bool {
        let mut books = books();
        change(&mut books);
        books.balance(faults).is_err()
    }

    #[test]
    fn a_packet_that_is_missing_anywhere_is_missed() {
        let none = Faults::default();
        assert_eq!(books().balance(none), Ok(()));
        assert!(breaks(|books| books.lan.received += 1, none));
        assert!(breaks(|books| books.lan.redirected += 1, none));
        assert!(breaks(|books| books.wan[0].dropped += 1, none));
        assert!(breaks(|books| books.wan[0].refused += 1, none));
        assert!(breaks(|books| books.lan.no_room += 1, none));
        assert!(breaks(|books| books.wan[0].handed_over -= 1, none));
        assert!(breaks(|books| books.out[0] += 1, none));
        assert!(breaks(|books| books.back[0] += 1, none));
        assert!(breaks(|books| books.within += 1, none));
        assert!(breaks(|books| books.heard += 1, none));
        assert!(breaks(|books| books.answered.clear(), none));
        assert!(breaks(|books| books.drops.clear(), none));
        assert!(breaks(|books| books.passed.clear(), none));
        assert!(breaks(|books| books.client -= 1, none));
        assert!(breaks(|books| books.server -= 1, none));
    }

    #[test]
    fn faults_excuse_what_they_lose_and_no_more() {
        let lossy = Faults { lossy: true, ..Faults::default() };
        assert!(!breaks(|books| books.server -= 1, lossy));
        assert!(breaks(|books| books.server += 1, lossy));
        assert!(breaks(|books| books.wan[0].handed_over -= 1, lossy));
        let cut = Faults { cut: &[0], lossy: true };
        assert!(!breaks(|books| (books.wan[0].handed_over, books.server) = (1, 1), cut));
        assert!(breaks(|books| books.wan[0].handed_over += 1, cut));
        assert!(breaks(|books| books.client -= 1, cut));
    }
}
