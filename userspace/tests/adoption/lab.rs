//! A gateway whose data plane is kept.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{ExitStatus, Output};

use aya::maps::{Array, Map, MapData};
use aya::programs::links::PinnedLink;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman_ebpf::abi::MEMO_LEN;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{BpfFs, Namespace, Site};

use crate::support::{Daemon, Gateway, configuration, pointsman};

/// A site whose gateway keeps its data plane on a BPF file system of its own.
pub(crate) struct Pinned {
    pub(crate) gateway: Gateway,
    /// Goes last, with what the daemon has left.
    pub(crate) bpf: BpfFs,
}

impl Pinned {
    pub(crate) fn start() -> Self {
        Self::with(|_| ())
    }

    /// With a file system that `prepare` has prepared.
    pub(crate) fn with(prepare: impl FnOnce(&BpfFs)) -> Self {
        let bpf = BpfFs::new().unwrap();
        prepare(&bpf);
        let pins = format!("pins = \"{}\"", bpf.pins().display());
        let site = Site::builder().client_addresses(64).build().unwrap();
        let gateway = Gateway::configured(site, |directory| {
            configuration(directory).replace("pins = false", &pins)
        });
        Self { gateway, bpf }
    }

    /// Ends the daemon by a signal.
    pub(crate) fn end(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.gateway.daemon.process.id() as i32), signal).unwrap();
        self.wait();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.gateway.daemon.process.wait().unwrap()
    }

    /// Starts another daemon, and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        let file = self.gateway.directory.path().join("pointsman.toml");
        self.gateway.daemon = Daemon::start(&self.gateway.site.gateway, &file);
    }

    pub(crate) fn log(&self) -> String {
        self.gateway.daemon.log()
    }

    /// Has what was left be of another version.
    pub(crate) fn set_abi(&self, version: u32) {
        let map = MapData::from_pin(self.bpf.pins().join("maps/MEMO")).unwrap();
        let map = Map::from_map_data(map).unwrap();
        let mut memo = Array::<_, [u8; MEMO_LEN]>::try_from(map).unwrap();
        let bytes = memo.get(&0, 0).unwrap();
        let text = bytes.split(|byte| *byte == 0).next().unwrap();
        let mut left: serde_json::Value = serde_json::from_slice(text).unwrap();
        left["abi"] = version.into();
        let text = serde_json::to_vec(&left).unwrap();
        let mut bytes = [0; MEMO_LEN];
        bytes[..text.len()].copy_from_slice(&text);
        memo.set(0, bytes, 0).unwrap();
    }

    /// Runs `pointsman` with a file.
    pub(crate) fn run(&self, arguments: &[&str], file: &Path) -> Output {
        pointsman(&self.gateway.site.gateway, arguments, &[file])
    }

    /// The kernel's identifiers of what attaches the programs.
    pub(crate) fn links(&self) -> BTreeSet<u32> {
        let entries = fs::read_dir(self.bpf.pins().join("links")).unwrap();
        let id = |path: &Path| {
            let link = PinnedLink::from_pin(path).unwrap();
            aya::programs::links::FdLink::from(link).info().unwrap().id()
        };
        entries.map(|entry| id(&entry.unwrap().path())).collect()
    }

    /// The kernel's identifiers of the programs that are attached.
    pub(crate) fn programs(&self) -> BTreeSet<u64> {
        let links = self.gateway.site.gateway.output("ip", &["-j", "link"]).unwrap();
        let links: serde_json::Value = serde_json::from_str(&links).unwrap();
        let links = links.as_array().unwrap().iter();
        links.filter_map(|link| link.get("xdp")?["prog"]["id"].as_u64()).collect()
    }
}

impl Gateway {
    /// Pings the server once from each of the client's addresses.
    pub(crate) fn ping_from_all(&self) {
        for address in self.site.client_addresses() {
            self.ping_from(address);
        }
    }

    fn ping_from(&self, address: Ipv4Addr) {
        let (from, to) = (address.to_string(), SERVER.to_string());
        let arguments = ["-n", "-q", "-c", "1", "-W", "5", "-I", &from, &to];
        if let Err(error) = self.site.client.output("ping", &arguments) {
            panic!("{error}\n{}", self.daemon.log());
        }
    }
}

/// The names of a host's interfaces that have an XDP program.
pub(crate) fn attached(host: &Namespace) -> Vec<String> {
    let links = host.output("ip", &["-j", "link"]).unwrap();
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    let links = links.as_array().unwrap().iter().filter(|link| link.get("xdp").is_some());
    links.map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}
