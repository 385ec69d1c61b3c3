//! What the command line refuses, with which sentence and exit code, and that nothing stays behind.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use pointsman_lab::{Cable, CableOptions, Namespace, Pass, Site};
use tempfile::TempDir;

const POINTSMAN: &str = env!("CARGO_BIN_EXE_pointsman");

const UPLINKS: &str = "\
[[uplink]]
name = \"fiber\"
interface = \"wan0\"
gateway = \"203.0.113.1\"
[[uplink]]
name = \"cable\"
interface = \"wan1\"
";

/// A host with a LAN and two uplinks, on which no daemon runs.
struct Host {
    site: Site,
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let site = Site::builder().build().unwrap();
        Self { site, directory: tempfile::tempdir().unwrap() }
    }

    fn gateway(&self) -> &Namespace {
        &self.site.gateway
    }

    /// Runs the daemon, which is to refuse these uplinks, by a command that may have others before
    /// it. Returns its exit code and all that it says.
    fn refusal_of(&self, command: &[&str], uplinks: &str) -> (i32, String) {
        let file = self.directory.path().join("p.toml");
        let socket = self.directory.path().join("p.sock");
        fs::write(&file, configuration(uplinks, &socket)).unwrap();
        let command = [command, &[POINTSMAN, "run", "--config"]].concat();
        let output =
            self.gateway().command(command[0]).args(&command[1..]).arg(&file).output().unwrap();
        assert!(!socket.exists());
        self.assert_nothing_attached();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn refusal(&self, uplinks: &str) -> (i32, String) {
        self.refusal_of(&[], uplinks)
    }

    fn assert_nothing_attached(&self) {
        for interface in ["lan0", "wan0", "wan1"] {
            let link = self.gateway().output("ip", &["link", "show", interface]).unwrap();
            assert!(!link.contains("xdp"), "{link}");
        }
    }
}

fn configuration(uplinks: &str, socket: &Path) -> String {
    let state = socket.with_file_name("state");
    let (socket, state) = (socket.display(), state.display());
    format!(
        "{uplinks}[lan]\ninterfaces = [\"lan0\"]\n[api]\nsocket = \"{socket}\"\n[state]\npins = false\ndirectory = \"{state}\"\n"
    )
}

/// A port forward, and what is wrong with a file that has it and `lines`.
fn complaint_of(lines: &str) -> String {
    let forward = "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"10.1.0.10:8443\"\n";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    fs::write(
        &file,
        configuration(&format!("{UPLINKS}{forward}{lines}"), &directory.path().join("s")),
    )
    .unwrap();
    let (code, stdout, stderr) = run(&["check", "--config"], &file);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.ends_with("\n1 error\n"), "{stderr}");
    let first = stderr.lines().next().unwrap();
    first.strip_prefix(&format!("{}:", file.display())).unwrap().to_owned()
}

#[test]
fn check_names_what_is_wrong_with_forwards_and_translation() {
    for (lines, complaint) in [
        (
            "[[forward]]\nprotocol = \"tcp+udp\"\nport = \"400-500\"\nto = \"10.1.0.11\"\n",
            "14:8: forward[1].port has tcp ports of the forward in line 8; give others, or uplinks \
             or sources that are not the same",
        ),
        (
            "uplinks = [\"fibre\"]\n",
            "12:12: forward[0].uplinks[0] is \"fibre\", which no uplink is called; did you mean \
             \"fiber\"?",
        ),
        (
            "source = [\"192.0.2.0/24\"]\n",
            "12:1: forward[0].source is not a known key; did you mean sources?",
        ),
        (
            "[nat]\nfiltering = \"full-cone\"\n",
            "13:13: nat.filtering is \"full-cone\"; give \"endpoint\", \"address\" or \
             \"address-and-port\"",
        ),
        (
            "[nat]\nreserved_ports = [\"5000-5100/sctp\"]\n",
            "13:19: nat.reserved_ports[0] is \"5000-5100/sctp\", of no known protocol; give ports \
             as \"5060\", \"5000-5100/tcp\" or \"5060-5061/udp\"",
        ),
        (
            "[flows]\nmappings = 100\n",
            "13:12: flows.mappings is 100; give 1024 to 4194304 mappings of all LAN hosts together",
        ),
    ] {
        assert_eq!(complaint_of(lines), complaint);
    }
}

#[test]
fn a_forward_to_a_host_outside_of_the_lan() {
    let forward = "[[forward]]\nprotocol = \"udp\"\nport = 53\nto = \"172.31.0.1\"\n";
    let sentence = "the forward of udp 53 to 172.31.0.1:53: no LAN interface has a prefix with \
                    172.31.0.1; give a host of the LAN, or add an address of its prefix to the \
                    interface";
    let refusal = Host::new().refusal(&format!("{UPLINKS}{forward}"));
    assert_eq!(refusal, (2, one_line(sentence)));
}

fn one_line(sentence: &str) -> String {
    format!("pointsman: {sentence}\n")
}

#[test]
fn a_missing_interface() {
    let refusal = Host::new().refusal(&UPLINKS.replace("wan1", "wan7"));
    let sentence =
        "uplink \"cable\" is to use the interface wan7, which does not exist; see `ip link`";
    assert_eq!(refusal, (2, one_line(sentence)));
}

#[test]
fn an_uplink_without_address() {
    let host = Host::new();
    host.gateway().ip("address flush dev wan0").unwrap();
    let sentence = "uplink \"fiber\": wan0 has no IPv4 address; give it one (`ip address add \
                    ADDRESS/LENGTH dev wan0`), or set ipv4.addresses";
    assert_eq!(host.refusal(UPLINKS), (2, one_line(sentence)));
}

#[test]
fn an_uplink_without_gateway() {
    let host = Host::new();
    host.gateway().ip("route del default dev wan1").unwrap();
    let sentence = "uplink \"cable\": no default route leaves by wan1; add one (`ip route add \
                    default via GATEWAY dev wan1 metric 100`), or set gateway to the provider's \
                    router";
    assert_eq!(host.refusal(UPLINKS), (2, one_line(sentence)));
}

#[test]
fn two_uplinks_with_one_name() {
    let (code, text) = Host::new().refusal(&UPLINKS.replace("cable", "fiber"));
    assert_eq!(code, 2);
    assert!(text.contains("p.toml:6:8: "), "{text}");
    assert!(text.contains("give each uplink a name of its own"), "{text}");
}

#[test]
fn weight_zero() {
    let (code, text) = Host::new().refusal(&format!("{UPLINKS}weight = 0\n"));
    assert_eq!(code, 2);
    assert!(text.contains("weight is 0; give 1 to 1000"), "{text}");
}

#[test]
fn another_program_on_an_interface() {
    let host = Host::new();
    let far = Namespace::new("far").unwrap();
    let options = CableOptions { pass: Pass::Both, ..CableOptions::default() };
    let _cable = Cable::new(host.gateway(), "wan2", &far, "far0", options).unwrap();
    host.gateway().ip("address add 192.0.2.2/24 dev wan2").unwrap();
    let third = "[[uplink]]\nname = \"lte\"\ninterface = \"wan2\"\ngateway = \"192.0.2.1\"\n";
    let (code, text) = host.refusal(&format!("{UPLINKS}{third}"));
    assert_eq!(code, 1, "{text}");
    let sentence = text.lines().last().unwrap();
    let start = "pointsman: an XDP program is already attached to wan2 (pass, id ";
    let end = "); end the daemon that has attached it, and what it has left, with `pointsman down`, or \
               detach it with `ip link set dev wan2 xdp off`";
    assert!(sentence.starts_with(start) && sentence.ends_with(end), "{text}");
}

#[test]
fn no_permission() {
    let no_capabilities = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    let sentence = "being the gateway is not permitted; run as root, or with the capabilities \
                    CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW";
    let refusal = Host::new().refusal_of(&no_capabilities, UPLINKS);
    assert_eq!(refusal, (1, one_line(sentence)));
}

#[test]
fn a_socket_that_another_daemon_has() {
    let host = Host::new();
    let socket = host.directory.path().join("other.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let file = host.directory.path().join("other.toml");
    fs::write(&file, configuration(UPLINKS, &socket)).unwrap();
    let mut command = host.gateway().command(POINTSMAN);
    let output = command.args(["run", "--config"]).arg(&file).output().unwrap();
    let path = socket.display();
    let sentence =
        format!("another daemon answers on {path}; stop it, or set [api] socket to another path");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), one_line(&sentence));
    host.assert_nothing_attached();
}

fn run(arguments: &[&str], path: &Path) -> (i32, String, String) {
    let output = Command::new(POINTSMAN).args(arguments).arg(path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn status_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.sock");
    let sentence = format!(
        "no daemon answers on {} (No such file or directory (os error 2)); start one with \
         `pointsman run`, or give its socket with --socket",
        path.display()
    );
    let refusal = (1, String::new(), one_line(&sentence));
    assert_eq!(run(&["status", "--json", "--socket"], &path), refusal);
}

#[test]
fn status_of_a_daemon_that_is_stuck() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.sock");
    let _never_accepts = UnixListener::bind(&path).unwrap();
    let sentence = format!(
        "the daemon on {} has not answered for 5 s; see its log, and start it again if it is stuck",
        path.display()
    );
    let (code, output, error) = run(&["status", "--json", "--socket"], &path);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(error.contains(&sentence), "{error}");
}

#[test]
fn check_says_what_is_in_the_file_or_wrong_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    fs::write(&file, format!("{UPLINKS}[lan]\ninterfaces = [\"lan0\"]\n")).unwrap();
    let (code, stdout, _) = run(&["check", "--config"], &file);
    assert_eq!(code, 0, "{stdout}");
    let ok = format!("{}: ok: 2 uplinks, 1 LAN interface", file.display());
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some(&*ok));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    // A set of 576 bytes, which is seven keys and flows, and a filter of eight for every four flows.
    for row in [
        ["flows.max", "262144", "36.5", "MiB"].as_slice(),
        &["flows.unreplied", "65536", "9.0", "MiB"],
        &["flows.invited", "16384", "2.2", "MiB"],
        &["flows.mappings", "262144", "28.5", "MiB"],
        &["flows.hosts", "4096", "0.4", "MiB"],
        &["flows.fragments", "4096", "0.6", "MiB"],
        // As small as it may be, for no uplink carries IPv6.
        &["flows.ipv6", "1024", "0.2", "MiB"],
        &["total", "77.8", "MiB"],
    ] {
        assert!(rows.iter().any(|found| found == row), "no {row:?} in\n{stdout}");
    }

    let missing = directory.path().join("missing.toml");
    let (code, stdout, stderr) = run(&["check", "--config"], &missing);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("missing.toml: No such file or directory"), "{stderr}");
}

/// As `pointsman check | head -0` does.
#[test]
fn check_is_content_where_nobody_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    fs::write(&file, format!("{UPLINKS}[lan]\ninterfaces = [\"lan0\"]\n")).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut check = Command::new(POINTSMAN);
    let output = check.args(["check", "--config"]).arg(&file).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}
