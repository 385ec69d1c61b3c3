//! Probes of the daemon, whose answers come by the data plane.

use std::net::SocketAddr;
use std::path::Path;

use pointsman_lab::{Site, plan, plan6};
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::server::Server;
use crate::support::{Gateway, pointsman};
use crate::{dns, http, support};

/// A configuration with these probes of both uplinks, all of which are to be answered. The uplinks carry
/// IPv6, each in another way.
fn configuration(directory: &Path, probes: &[String]) -> String {
    let mut modes = [
        format!("{{ mode = \"nptv6\", prefix = \"{}/48\" }}", plan6::provider(0)),
        "{ mode = \"nat66\" }".to_owned(),
    ]
    .into_iter();
    let probes = probes.join(", ");
    let mut text = String::new();
    for line in support::configuration(directory).lines() {
        if line.starts_with("health = ") {
            text += &format!(
                "ipv6 = {}\n\
                 health = {{ quorum = \"all\", interval = \"50ms\", timeout = \"500ms\", probes = \
                 [{probes}] }}\n",
                modes.next().unwrap()
            );
        } else {
            text += &format!("{line}\n");
        }
    }
    text
}

fn site() -> Site {
    let site = Site::builder().build().unwrap();
    site.enable_ipv6(&[plan6::UNIQUE_LOCAL]).unwrap();
    site
}

fn at(address: impl Into<std::net::IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// Whatever an uplink does with the LAN's IPv6.
#[test]
fn every_kind_is_answered_through_the_data_plane() {
    let site = site();
    let certificates = TempDir::new().unwrap();
    let authority = Authority::new(certificates.path(), "ca.pem").unwrap();
    let host = &site.server;
    let (server, server6) = (plan::SERVER, plan6::SERVER);
    let _servers = [
        http::listen(host, at(server, 80)).unwrap(),
        http::listen(host, at(server6, 80)).unwrap(),
        authority.serve(host, at(server, 443), "example.net").unwrap(),
        Server::udp(host, at(server, 53), dns::answer).unwrap(),
        Server::udp(host, at(server6, 53), dns::answer).unwrap(),
    ];
    let secure = format!(
        "{{ kind = \"https\", url = \"https://example.net/health\", address = \"{server}\", ca = \
         \"{}\" }}",
        authority.file.display()
    );
    let probes = [
        format!("{{ kind = \"icmp\", target = \"{server6}\" }}"),
        format!("{{ kind = \"tcp\", target = \"[{server6}]:80\" }}"),
        format!("{{ kind = \"http\", url = \"http://{server}/health\", body = \"all is well\" }}"),
        secure,
        format!("{{ kind = \"dns\", server = \"{server}\", name = \"example.net\" }}"),
        format!(
            "{{ kind = \"dns\", server = \"{server6}\", name = \"example.net\", type = \"AAAA\" }}"
        ),
        "{ kind = \"arp\" }".to_owned(),
        "{ kind = \"nd\" }".to_owned(),
    ];
    // It waits until both uplinks are up, for which all have to be answered.
    let gateway = Gateway::configured(site, |directory| configuration(directory, &probes));
    gateway.wait_for("all are answered by both", |status| {
        status
            .uplinks
            .iter()
            .flat_map(|uplink| &uplink.probes)
            .all(|probe| probe.last == "answered")
    });
    let probes = &gateway.status().uplinks[0].probes;
    let told: Vec<_> = probes.iter().map(|probe| (&*probe.kind, &*probe.target)).collect();
    let server6 = server6.to_string();
    assert_eq!(
        told,
        [
            ("icmp", &*server6),
            ("tcp", &*format!("[{server6}]:80")),
            ("http", "http://192.0.2.53/health"),
            ("https", "https://example.net/health"),
            ("dns", "192.0.2.53"),
            ("dns", &*server6),
            ("arp", "gateway"),
            ("nd", "gateway"),
        ]
    );
}

#[test]
fn an_uplink_is_down_while_the_quorum_is_not_answered_and_says_whose_fault_it_is() {
    let site = site();
    let address = at(plan::SERVER, 80);
    let server = http::listen(&site.server, address).unwrap();
    let probes = [
        format!("{{ kind = \"icmp\", target = \"{}\" }}", plan::SERVER),
        format!("{{ kind = \"http\", url = \"http://{}/health\" }}", plan::SERVER),
    ];
    let gateway = Gateway::configured(site, |directory| configuration(directory, &probes));
    drop(server);
    gateway.wait_for("both are down", |status| {
        status.uplinks.iter().all(|uplink| uplink.state == "down")
    });
    gateway.wait_for("it says why", |status| {
        let uplink = &status.uplinks[0];
        let error = uplink.probes[1].error.as_deref();
        uplink.reason.ends_with(" probes of http://192.0.2.53/health failed")
            && (&*uplink.probes[0].last, &*uplink.probes[1].last) == ("answered", "wrong")
            && error == Some("no connection: Connection refused (os error 111)")
    });
    let socket = gateway.directory.path().join("api.sock");
    let output = pointsman(&gateway.site.gateway, &["status", "--socket"], &[&socket]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("icmp 192.0.2.53") && table.contains("wrong: no"), "{table}");

    let _server = http::listen(&gateway.site.server, address).unwrap();
    gateway.wait_for("both are up again", |status| {
        status.uplinks.iter().all(|uplink| uplink.state == "up")
    });
}

#[test]
fn a_probe_that_could_not_be_answered_is_a_problem_of_the_host() {
    let site = site();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("p.toml");
    let probes = [
        format!("{{ kind = \"icmp\", target = \"{}\" }}", plan::SERVER),
        format!("{{ kind = \"tcp\", target = \"{}:80\" }}", plan::SERVER),
        format!("{{ kind = \"dns\", server = \"{}\", name = \"example.net\" }}", plan6::SERVER),
    ];
    let text = configuration(directory.path(), &probes)
        .replace("interface = \"wan1\"", "interface = \"wan1\"\ngateway = \"198.51.100.1\"");
    std::fs::write(&file, text).unwrap();
    let problems = || {
        let output = pointsman(&site.gateway, &["check", "--host", "--config"], &[&file]);
        let text = String::from_utf8(output.stdout).unwrap();
        let problems = text.lines().filter(|line| line.starts_with("problem: "));
        (output.status.code(), problems.map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(problems(), (Some(0), Vec::new()));

    site.gateway.ip("route del default via 198.51.100.1 dev wan1").unwrap();
    site.gateway.sysctl("net.ipv4.conf.wan0.rp_filter", "1").unwrap();
    site.gateway.ip6("address flush dev wan1 scope global").unwrap();
    let (code, found) = problems();
    assert_eq!(code, Some(3), "{found:#?}");
    assert_eq!(
        found,
        [
            "problem: uplink \"cable\": tcp 192.0.2.53:80: the kernel has no route to 192.0.2.53 by wan1 \
             (No route to host (os error 113)); add one: `ip route add default via 198.51.100.1 dev \
             wan1 metric 1000`",
            "problem: uplink \"cable\": dns 2001:db8:53::53 A example.net: there is no IPv6 address to \
             send from",
        ]
    );
}
