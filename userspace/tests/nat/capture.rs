//! Captures on both sides of the gateway, judged by tshark: no checksum is wrong.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{LabError, Namespace, wait_until};

use crate::hosts::{SERVICE, exchange, quiet, udp};
use crate::oracle;
use crate::support::{BOUND, Gateway};

/// The last word of a capture.
const END: &[u8] = b"the end of this capture";

struct Capture {
    tcpdump: Child,
    file: PathBuf,
}

impl Capture {
    /// Starts to record what passes an interface.
    fn start(host: &Namespace, interface: &str, file: PathBuf) -> Self {
        let mut tcpdump = host
            .command("tcpdump")
            .args(["-n", "-U", "--immediate-mode", "-i", interface])
            // In KiB. As it is, there is room for some thirty packets, and a burst is longer.
            .args(["-B", "65536", "-w"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(tcpdump.stderr.take().unwrap());
        let listens = stderr.lines().map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(listens, "tcpdump does not listen on {interface} of {}", host.label());
        Self { tcpdump, file }
    }

    /// Stops once the last word is in the file.
    fn stop(mut self) -> PathBuf {
        let has_end = || {
            let content = std::fs::read(&self.file).unwrap();
            Ok::<_, LabError>(content.windows(END.len()).any(|window| window == END))
        };
        wait_until("the capture is complete", BOUND, has_end).unwrap();
        kill(Pid::from_raw(self.tcpdump.id() as i32), Signal::SIGINT).unwrap();
        self.tcpdump.wait().unwrap();
        self.file
    }
}

/// The frames of a capture that a filter of tshark's selects, a line each.
fn select(file: &Path, filter: &str) -> Vec<String> {
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file)
        .args(["-o", "ip.check_checksum:TRUE"])
        .args(["-o", "tcp.check_checksum:TRUE"])
        .args(["-o", "udp.check_checksum:TRUE"])
        .args(["-Y", filter])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn tshark_finds_no_bad_checksum() {
    let site = quiet(pointsman_lab::Site::builder().uplinks(1).build().unwrap());
    let gateway = Gateway::of(site, "");
    let (site, directory) = (&gateway.site, gateway.directory.path());
    let captures = [
        Capture::start(&site.client, "eth0", directory.join("client.pcap")),
        Capture::start(&site.server, "isp0", directory.join("server.pcap")),
    ];
    oracle::exchanges(site);
    let from = site.client_addresses().next().unwrap();
    exchange(&udp(&site.client, (from, 0)), &udp(&site.server, SERVICE), END);

    for file in captures.map(Capture::stop) {
        // Each kind of packet is there, and its checksum was looked at and found good.
        for kind in ["tcp", "udp", "icmp", "ip"] {
            let good = select(&file, &format!("{kind}.checksum.status == 1"));
            assert!(good.len() > 4, "{kind} in {}: {good:#?}", file.display());
        }
        let bad = select(
            &file,
            "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 \
             || icmp.checksum.status == 0",
        );
        assert!(bad.is_empty(), "in {}: {bad:#?}", file.display());
    }
    assert_eq!(SERVER, *SERVICE.ip());
}
