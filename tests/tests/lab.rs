//! The laboratory itself: what tests and the demonstration take for granted.

use std::{
    fs, io::ErrorKind, net::Ipv4Addr, os::unix::process::ExitStatusExt as _, sync::mpsc, thread,
    time::Duration,
};

use pointsman_lab::{
    BpfFs, Cable, CableOptions, LabError, Namespace, Pass, Site, may_run,
    plan::{LAN_GATEWAY, NEIGHBOUR, SERVER},
    wait_until,
};

const BOUND: Duration = Duration::from_secs(10);

/// Whether one of a few pings is answered.
fn pings(from: &Namespace, to: Ipv4Addr) -> bool {
    let to = to.to_string();
    let arguments = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", &to];
    from.output("ping", &arguments).is_ok()
}

#[test]
fn this_machine_may_run_the_laboratory() {
    may_run().unwrap();
}

#[test]
fn two_hosts_ping_through_a_cable() {
    let near = Namespace::new("near").unwrap();
    let far = Namespace::new("far").unwrap();
    let options = CableOptions { pass: Pass::Both, ..CableOptions::default() };
    let cable = Cable::new(&near, "near0", &far, "far0", options).unwrap();
    near.ip("address add 10.0.0.1/24 dev near0").unwrap();
    far.ip("address add 10.0.0.2/24 dev far0").unwrap();

    assert_ne!(cable.near().index(), cable.far().index());
    let link = near.output("ip", &["link", "show", "near0"]).unwrap();
    assert!(link.contains(&cable.near().mac().to_string()), "{link}");
    assert!(link.contains("xdp"), "{link}");
    assert!(pings(&near, Ipv4Addr::new(10, 0, 0, 2)));
    assert!(pings(&far, Ipv4Addr::new(10, 0, 0, 1)));
}

#[test]
fn a_nic_tells_what_ethtool_tells() {
    let near = Namespace::new("near").unwrap();
    let far = Namespace::new("far").unwrap();
    let options = CableOptions { pass: Pass::Both, ..CableOptions::default() };
    let cable = Cable::new(&near, "near0", &far, "far0", options).unwrap();
    near.ip("address add 10.0.0.1/24 dev near0").unwrap();
    far.ip("address add 10.0.0.2/24 dev far0").unwrap();
    assert!(pings(&near, Ipv4Addr::new(10, 0, 0, 2)));

    let shown = near.output("ethtool", &["-S", "near0"]).unwrap();
    let statistics = cable.near().statistics().unwrap();
    assert!(statistics["rx_queue_0_xdp_packets"] >= 3, "{statistics:?}");
    for (name, value) in &statistics {
        assert!(shown.lines().any(|line| line.trim() == format!("{name}: {value}")), "{shown}");
    }
    assert_eq!(shown.lines().count(), statistics.len() + 1, "{shown}");
}

#[test]
fn a_file_system_for_pins_goes_as_it_came() {
    let mounted = BpfFs::new().unwrap();
    let directory = mounted.path().to_owned();
    fs::create_dir(mounted.pins()).unwrap();
    fs::remove_dir(mounted.pins()).unwrap();
    mounted.set_read_only(true).unwrap();
    let refused = fs::create_dir(mounted.pins()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    drop(mounted);
    assert!(!directory.exists());
}

#[test]
fn offloads_are_as_asked_for() {
    let near = Namespace::new("near").unwrap();
    let far = Namespace::new("far").unwrap();
    let on =
        CableOptions { transmit_offload: true, receive_offload: true, ..CableOptions::default() };
    Cable::new(&near, "on", &far, "on", on).unwrap();
    Cable::new(&near, "off", &far, "off", CableOptions::default()).unwrap();
    for host in [&near, &far] {
        for state in ["on", "off"] {
            let features = host.output("ethtool", &["-k", state]).unwrap();
            for feature in ["tx-checksumming", "tx-tcp-segmentation", "generic-receive-offload"] {
                let wanted = format!("{feature}: {state}");
                assert!(features.contains(&wanted), "no `{wanted}` in\n{features}");
            }
        }
    }
}

#[test]
fn a_host_is_calm() {
    let host = Namespace::new("host").unwrap();
    for (key, value) in [
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv6.conf.default.disable_ipv6", "1"),
    ] {
        let got = host.output("sysctl", &["-n", key]).unwrap();
        assert_eq!(got.trim(), value, "{key}");
    }
}

#[test]
fn settings_belong_to_one_host() {
    let one = Namespace::new("one").unwrap();
    let other = Namespace::new("other").unwrap();
    one.sysctl("net.ipv4.ip_forward", "1").unwrap();
    let get = |host: &Namespace| host.output("sysctl", &["-n", "net.ipv4.ip_forward"]);
    assert_eq!(get(&one).unwrap().trim(), "1");
    assert_eq!(get(&other).unwrap().trim(), "0");
}

#[test]
fn everyone_in_a_site_reaches_whom_they_should() {
    let site = Site::builder().uplinks(3).client_addresses(300).build().unwrap();
    assert!(pings(&site.client, LAN_GATEWAY));
    for uplink in &site.uplinks {
        let label = uplink.isp.label();
        assert!(pings(&site.server, uplink.gateway_address), "to {label}");
        assert!(pings(&site.gateway, uplink.isp_address), "{label}");
        let interface = uplink.access.near().name();
        let server = SERVER.to_string();
        let arguments = ["-c", "3", "-i", "0.2", "-W", "1", "-I", interface, &server];
        site.gateway.output("ping", &arguments).unwrap();
    }
    let labels: Vec<_> = site.hosts().map(Namespace::label).collect();
    assert_eq!(labels, ["client", "gateway", "isp-a", "isp-b", "isp-c", "server"]);
    let last = site.client_addresses().last().unwrap();
    assert!(pings(&site.gateway, last), "{last}");
    // The gateway forwards nothing by itself.
    assert!(!pings(&site.client, SERVER));
}

#[test]
fn neighbours_in_the_lan_reach_each_other_and_the_gateway() {
    let site = Site::builder().uplinks(1).neighbour(true).build().unwrap();
    let neighbour = site.neighbour.as_ref().unwrap();
    assert!(pings(&site.client, NEIGHBOUR));
    assert!(pings(neighbour, site.client_addresses().next().unwrap()));
    assert!(pings(neighbour, LAN_GATEWAY));
    assert!(pings(&site.gateway, NEIGHBOUR));
}

#[test]
fn a_cut_takes_the_carrier_and_mending_brings_it_back() {
    let site = Site::builder().build().unwrap();
    let [cut, whole] = &site.uplinks[..] else {
        panic!("a site has two uplinks");
    };
    assert!(cut.access.near().has_carrier().unwrap());
    cut.cut().unwrap();
    wait_until("carrier is lost", BOUND, || Ok(!cut.access.near().has_carrier()?)).unwrap();
    assert!(whole.access.near().has_carrier().unwrap());
    assert!(!pings(&site.gateway, cut.isp_address));

    cut.restore().unwrap();
    assert!(cut.access.near().has_carrier().unwrap());
    assert!(pings(&site.gateway, cut.isp_address));
    assert!(pings(&site.server, cut.gateway_address));
}

#[test]
fn a_blackhole_is_silent_and_keeps_the_carrier() {
    let site = Site::builder().uplinks(1).build().unwrap();
    let uplink = &site.uplinks[0];
    assert!(pings(&site.gateway, SERVER));

    uplink.blackhole(true).unwrap();
    assert!(uplink.access.near().has_carrier().unwrap());
    assert!(pings(&site.gateway, uplink.isp_address), "isp's own");
    let server = SERVER.to_string();
    let ping = ["-n", "-c", "3", "-i", "0.2", "-W", "1", &server];
    let error = site.gateway.output("ping", &ping).unwrap_err();
    let said = error.to_string();
    assert!(!said.contains("nreachable"), "not silent: {said}");
    assert!(!pings(&site.server, uplink.gateway_address));

    uplink.blackhole(false).unwrap();
    assert!(pings(&site.gateway, SERVER));
}

#[test]
fn the_reference_gateway_translates() {
    let site = Site::builder().uplinks(1).build().unwrap();
    site.masquerade().unwrap();
    assert!(pings(&site.client, SERVER));

    let listener = site.server.run(|| std::net::TcpListener::bind((SERVER, 80))).unwrap();
    let connection = site
        .client
        .run(|| std::net::TcpStream::connect_timeout(&(SERVER, 80).into(), BOUND))
        .unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), site.uplinks[0].gateway_address);
    assert_eq!(peer.port(), connection.local_addr().unwrap().port());
}

#[test]
fn a_host_that_is_dropped_is_gone() {
    let near = Namespace::new("near").unwrap();
    let far = Namespace::new("far").unwrap();
    let cable = Cable::new(&near, "near0", &far, "far0", CableOptions::default()).unwrap();
    drop(cable);
    let links = || far.output("ip", &["-oneline", "link", "show"]);
    assert!(links().unwrap().contains("far0"));
    drop(near);
    wait_until("the far end goes with the near host", BOUND, || Ok(!links()?.contains("far0")))
        .unwrap();
}

#[test]
fn a_process_does_not_outlive_the_thread_that_started_it() {
    let host = Namespace::new("host").unwrap();
    let start = || host.command("sleep").arg("60").spawn();
    let mut child = thread::scope(|scope| scope.spawn(start).join().unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn a_thread_lives_in_its_host() {
    let host = Namespace::new("host").unwrap();
    host.ip("address add 10.0.0.1/32 dev lo").unwrap();
    let (send, receive) = mpsc::channel();
    let thread = host.spawn_thread("listener", move || {
        let bound = std::net::UdpSocket::bind("10.0.0.1:7").map(drop);
        send.send(bound).unwrap();
    });
    thread.join().unwrap();
    receive.recv().unwrap().unwrap();
    assert!(std::net::UdpSocket::bind("10.0.0.1:7").is_err());
}

#[test]
#[should_panic(expected = "told you so")]
fn a_panic_in_a_host_goes_on_in_the_caller() {
    let host = Namespace::new("host").unwrap();
    host.run(|| panic!("told you so"));
}

#[test]
fn the_command_for_people_enters_the_host() {
    let host = Namespace::new("host").unwrap();
    host.ip("address add 10.9.8.7/32 dev lo").unwrap();
    let shell = format!("{} ip address show dev lo", host.enter_command());
    let output = std::process::Command::new("sh").args(["-c", &shell]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("10.9.8.7"), "{stdout}");
}

#[test]
fn errors_name_the_host_and_the_command() {
    let host = Namespace::new("teapot").unwrap();
    let error = host.ip("link set lo up\nlink set nosuch up\nlink set lo down").unwrap_err();
    let LabError::Failed { command, label, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(command, "ip link set nosuch up");
    assert_eq!(label, "teapot");

    let error = host.output("no-such-program", &[]).unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");
    assert!(error.ends_with("; install it"), "{error}");
    let error = host.sysctl("net.ipv4.no_such_key", "1").unwrap_err();
    assert!(error.to_string().contains("no_such_key"), "{error}");
    assert!(Site::builder().uplinks(0).build().is_err());
}

#[test]
fn many_sites_are_built_at_once() {
    thread::scope(|scope| {
        let build = || Site::builder().build().map(|site| pings(&site.client, LAN_GATEWAY));
        let builders: Vec<_> = (0..4).map(|_| scope.spawn(build)).collect();
        for builder in builders {
            assert!(builder.join().unwrap().unwrap());
        }
    });
}
