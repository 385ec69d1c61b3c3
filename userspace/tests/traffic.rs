//! Bulk traffic through the daemon's data plane, by the programs that people use for it.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{IpAddr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use pointsman_lab::plan::SERVER;
use pointsman_lab::{Namespace, wait_until};
use serde_json::Value;

use support::{BOUND, Gateway};

/// How much is moved in each direction, in bytes.
const LENGTH: usize = 200_000_000;

/// How long iperf3 sends.
const RUN: Duration = Duration::from_secs(10);

/// What is moved: noise, the same in every run, so that no part of it can pass for another.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut content = vec![0; LENGTH];
    let mut state = 0_u64;
    // SplitMix64.
    for word in content.as_chunks_mut::<8>().0 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *word = (mixed ^ (mixed >> 31)).to_le_bytes();
    }
    content
});

/// Reads to the end, and checks that it was the content, all of it and no more.
fn assert_is_content(mut received: impl Read) {
    let mut chunk = vec![0; 1 << 16];
    let mut offset = 0;
    loop {
        let end = offset + received.read(&mut chunk).unwrap();
        if end == offset {
            break;
        }
        let sent = CONTENT.get(offset..end);
        assert!(sent == Some(&chunk[..end - offset]), "bytes {offset} to {end} are not those sent");
        offset = end;
    }
    assert_eq!(offset, LENGTH, "bytes arrived");
}

/// Serves one connection by HTTP/1.1: GET sends the content, PUT is to bring it. Returns the
/// address that asked.
fn serve(listener: &TcpListener) -> IpAddr {
    let (mut stream, peer) = listener.accept().unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_write_timeout(Some(BOUND)).unwrap();
    let mut request = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(request.read_line(&mut head).unwrap(), 0, "the request ends early: {head:?}");
    }
    let length = format!("Content-Length: {LENGTH}\r\n");
    if head.starts_with("GET ") {
        write!(stream, "HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n").unwrap();
        stream.write_all(&CONTENT).unwrap();
    } else {
        assert!(head.starts_with("PUT ") && head.contains(&length), "{head:?}");
        assert_is_content(request.take(LENGTH as u64));
        let answer = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    }
    peer.ip()
}

/// Starts curl, its standard output a pipe. It ends by itself when nothing moves for long.
fn curl(host: &Namespace, arguments: &[&str]) -> Child {
    let seconds = BOUND.as_secs().to_string();
    host.command("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
        .args(["--connect-timeout", &seconds, "--speed-limit", "1", "--speed-time", &seconds])
        .args(arguments)
        .arg(format!("http://{SERVER}/content"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

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
    let client = &gateway.site.client;
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let server = thread::spawn(move || [serve(&listener), serve(&listener)]);

    let mut download = curl(client, &[]);
    assert_is_content(download.stdout.take().unwrap());
    assert!(download.wait().unwrap().success());

    let file = gateway.directory.path().join("content");
    fs::write(&file, &*CONTENT).unwrap();
    // Without an `Expect` header it does not wait for leave to send.
    let upload = curl(client, &["--header", "Expect:", "--upload-file", file.to_str().unwrap()]);
    let upload = upload.wait_with_output().unwrap();
    assert!(upload.status.success(), "{upload:?}");

    let uplinks = gateway.status().uplinks;
    for peer in server.join().unwrap() {
        let known = uplinks.iter().any(|uplink| uplink.address.map(IpAddr::V4) == Some(peer));
        assert!(known, "the server was asked from {peer}, which is no uplink's address");
    }
    assert_carried(&gateway, LENGTH as u64);
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
