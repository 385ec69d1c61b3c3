//! Bulk traffic through the daemon's data plane, by the programs that people use for it.

#[path = "support/bulk.rs"]
mod bulk;
#[path = "support/standard.rs"]
mod standard;
mod support;

use std::fs;
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use pointsman_lab::plan::SERVER;
use pointsman_lab::wait_until;
use serde_json::Value;

use support::{BOUND, Gateway};

/// How long iperf3 sends.
const RUN: Duration = Duration::from_secs(10);

/// Checks that packets went both ways, `bytes` at least in each, and that none was dropped.
fn assert_carried(gateway: &Gateway, bytes: u64) {
    let status = gateway.status();
    let out: u64 = status.uplinks.iter().map(|uplink| uplink.out.bytes).sum();
    let back: u64 = status.uplinks.iter().map(|uplink| uplink.back.bytes).sum();
    assert!(out >= bytes && back >= bytes, "{out} bytes out, {back} back: {status:#?}");
    let dropped: u64 = status.drops.values().map(|drops| drops.packets).sum();
    assert_eq!(dropped, 0, "{status:#?}");
}

#[test]
fn curl_moves_200_mb_both_ways_byte_exact() {
    let gateway = Gateway::start();
    let site = &gateway.site;
    let directory = gateway.directory.path();
    let peers = bulk::move_both_ways(&site.client, &site.server, SERVER.into(), directory, &[]);
    let uplinks = gateway.status().uplinks;
    for peer in peers {
        let known = uplinks.iter().any(|uplink| uplink.address.map(IpAddr::V4) == Some(peer));
        assert!(known, "the server was asked from {peer}, which is no uplink's address");
    }
    assert_carried(&gateway, bulk::LENGTH as u64);
}

/// Waits until iperf3 has ended well. It does not give up by itself when nothing arrives any more.
fn wait_for_iperf3(mut process: Child, gateway: &Gateway) {
    let mut ended = None;
    let waited = wait_until("iperf3 has ended", RUN + BOUND, || {
        ended = process.try_wait().unwrap();
        Ok(ended.is_some())
    });
    let ended_well = ended.is_some_and(|status| status.success());
    assert!(ended_well, "{waited:?}, {ended:?}\n{:#?}", gateway.status());
}

#[test]
fn iperf3_runs_ten_seconds_both_ways() {
    let gateway = Gateway::start();
    let (client, server) = (&gateway.site.client, &gateway.site.server);
    let address = SERVER.to_string();
    let listening = server
        .command("iperf3")
        .args(["--server", "--one-off", "--bind", &address])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("iperf3 listens", BOUND, || {
        Ok(!server.output("ss", &["-Hltn", "sport = :5201"])?.is_empty())
    })
    .unwrap();

    let file = gateway.directory.path().join("report.json");
    let sending = client
        .command("iperf3")
        .args(["--client", &address, "--bidir", "--time", &RUN.as_secs().to_string()])
        .args(["--json", "--logfile"])
        .arg(&file)
        .spawn()
        .unwrap();
    wait_for_iperf3(sending, &gateway);
    wait_for_iperf3(listening, &gateway);

    let report: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(report.get("error").is_none(), "{report:#}");
    let [out, back] = ["sum_received", "sum_received_bidir_reverse"].map(|key| {
        let sum = &report["end"][key];
        let bytes = sum["bytes"].as_u64().unwrap_or_default();
        assert!(bytes > 0, "{key}: nothing came: {report:#}");
        let rate = sum["bits_per_second"].as_f64().unwrap() / 1e6;
        println!("{key}: {bytes} bytes, {rate:.0} Mbit/s");
        bytes
    });
    assert_carried(&gateway, out.min(back));
}
