//! What `check --host` says of a host's interfaces, and with which exit code.

use std::path::Path;

use pointsman_lab::{Cable, CableOptions, Namespace, Pass, Site};
use tempfile::TempDir;

use super::support::{Daemon, Gateway, configuration};

const POINTSMAN: &str = env!("CARGO_BIN_EXE_pointsman");

/// A host with a LAN and two uplinks, and the configuration for it.
struct Host {
    site: Site,
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let site = Site::builder().build().unwrap();
        Self { site, directory: tempfile::tempdir().unwrap() }
    }

    /// What the command says of this host with this configuration.
    fn told(&self, configuration: &str) -> (i32, Vec<String>) {
        let file = self.directory.path().join("p.toml");
        std::fs::write(&file, configuration).unwrap();
        told(&self.site.gateway, &[], &file)
    }

    fn configuration(&self) -> String {
        configuration(self.directory.path())
    }
}

/// Runs the command, after another one that may be before it. Returns its exit code, and the lines
/// about the host.
fn told(host: &Namespace, before: &[&str], file: &Path) -> (i32, Vec<String>) {
    let command = [before, &[POINTSMAN, "check", "--host", "--config"]].concat();
    let output = host.command(command[0]).args(&command[1..]).arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("lan0"));
    (output.status.code().unwrap(), lines.map(str::to_owned).collect())
}

/// The lines about an interface, and only those with findings.
fn findings<'l>(lines: &'l [String], interface: &str) -> Vec<&'l str> {
    let own = |line: &&String| line.starts_with(' ');
    let mut rest = lines.iter().skip_while(|line| !line.starts_with(interface));
    assert!(rest.next().is_some(), "{lines:#?}");
    rest.take_while(own).map(|line| line.trim()).filter(|line| line.contains(": ")).collect()
}

const STRIPPING: &str = "note: rxvlan and rx-vlan-stag-hw-parse are on: the NIC takes VLAN tags off, so that tagged \
     frames look to XDP as if they had none; if such frames come in, `ethtool -K wan0 rxvlan off \
     rx-vlan-stag-hw-parse off`";

#[test]
fn a_host_that_is_fit() {
    let host = Host::new();
    let (code, lines) = host.told(&host.configuration());
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(lines.first().unwrap(), "lan0 (LAN)");
    let start = lines.iter().position(|line| line == "wan0 (uplink \"fiber\")").unwrap();
    assert_eq!(lines[start + 1], "    driver      veth");
    assert_eq!(lines[start + 2], "    MTU         1500");
    // Before Linux 6.3, nobody knows.
    assert!(lines[start + 3].starts_with("    native XDP  "), "{lines:#?}");
    assert_eq!(
        lines[start + 4],
        "    offloads    lro off (fixed), rx-gro-hw off (fixed), rxvlan on, rx-vlan-stag-hw-parse on"
    );
    assert!(findings(&lines, "wan0").contains(&STRIPPING), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "host: 0 problems, 0 warnings");
}

#[test]
fn an_interface_that_is_not_there() {
    let host = Host::new();
    let (code, lines) = host.told(&host.configuration().replace("wan1", "wan7"));
    assert_eq!(code, 3, "{lines:#?}");
    assert_eq!(
        findings(&lines, "wan7 (uplink \"cable\")"),
        ["problem: does not exist; see `ip link`"]
    );
    assert_eq!(lines.last().unwrap(), "host: 1 problem, 0 warnings");
}

/// A host whose first uplink is on another interface, `wan2`, on a cable of these options.
fn host_with_wan2(options: CableOptions) -> (Host, Cable, String) {
    let host = Host::new();
    let far = Namespace::new("far").unwrap();
    let cable = Cable::new(&host.site.gateway, "wan2", &far, "far0", options).unwrap();
    host.site.gateway.ip("address add 192.0.2.2/24 dev wan2").unwrap();
    let configuration = host.configuration().replace("wan0", "wan2");
    (host, cable, configuration.replace("203.0.113.1", "192.0.2.1"))
}

#[test]
fn an_interface_with_another_program() {
    let options = CableOptions { pass: Pass::Both, ..CableOptions::default() };
    let (host, _cable, configuration) = host_with_wan2(options);
    let (code, lines) = host.told(&configuration);
    assert_eq!(code, 3, "{lines:#?}");
    let found = findings(&lines, "wan2")[0];
    assert!(found.starts_with("problem: it has another XDP program (pass, id "), "{found}");
    assert!(found.ends_with("`ip link set dev wan2 xdp off`"), "{found}");
}

#[test]
fn a_large_mtu_is_taken_natively() {
    let (host, cable, configuration) = host_with_wan2(CableOptions::default());
    for nic in [cable.near(), cable.far()] {
        nic.namespace().ip(&format!("link set {} mtu 9000", nic.name())).unwrap();
    }
    let (code, lines) = host.told(&configuration);
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "host: 0 problems, 0 warnings");

    let daemon = Daemon::start(&host.site.gateway, &host.directory.path().join("p.toml"));
    assert!(daemon.log().contains("wan2: attached (native)"), "{}", daemon.log());
}

#[test]
fn a_running_daemon_is_no_problem_and_without_privilege_nobody_knows_whose_it_is() {
    let gateway = Gateway::start();
    let host = &gateway.site.gateway;
    let file = gateway.directory.path().join("pointsman.toml");
    let (code, lines) = told(host, &[], &file);
    assert_eq!(code, 0, "{lines:#?}");
    let found = findings(&lines, "wan0")[0];
    assert!(found.starts_with("note: a running Pointsman has it (pointsman, id "), "{found}");

    let no_capabilities = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    let (code, lines) = told(host, &no_capabilities, &file);
    assert_eq!(code, 0, "{lines:#?}");
    let found = findings(&lines, "wan0")[0];
    assert!(
        found.starts_with("warning: it has an XDP program whose name is not to be had"),
        "{found}"
    );
    assert_eq!(lines.last().unwrap(), "host: 0 problems, 3 warnings");
}

#[test]
fn wrong_uses_are_refused_before_the_host_is_looked_at() {
    let host = Host::new();
    let run = |arguments: &[&str]| {
        let output = host.site.gateway.command(POINTSMAN).args(arguments).output().unwrap();
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&["check", "--hosts"]);
    assert!(code == 2 && told.contains("a similar argument exists: '--host'"), "{code} {told}");
    let (code, told) = run(&["run", "--host"]);
    assert!(code == 2 && told.contains("unexpected argument '--host'"), "{code} {told}");
    let file = host.directory.path().join("p.toml");
    let text = host.configuration() + "[host]\noffloads = \"off\"\n";
    std::fs::write(&file, text).unwrap();
    let (code, told) = run(&["check", "--host", "--config", &file.display().to_string()]);
    assert!(
        code == 2 && told.contains("host.offloads is \"off\"; give \"warn\" or \"set\""),
        "{told}"
    );
}
