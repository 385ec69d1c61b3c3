//! Bulk transfers by HTTP, of which every byte is checked.

use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::{fs, thread};

use pointsman_lab::{Namespace, wait_until};

use crate::support::BOUND;

/// How much is moved in each direction, in bytes.
pub(crate) const LENGTH: usize = 200_000_000;

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
fn curl(host: &Namespace, server: IpAddr, arguments: &[&str]) -> Child {
    let seconds = BOUND.as_secs().to_string();
    host.command("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
        .args(["--connect-timeout", &seconds, "--speed-limit", "1", "--speed-time", &seconds])
        .args(arguments)
        .arg(match server {
            IpAddr::V4(server) => format!("http://{server}/content"),
            IpAddr::V6(server) => format!("http://[{server}]/content"),
        })
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Listens where HTTP is asked for.
///
/// The address may be that of a listener that was just closed, and is taken for as long as a process
/// that another test starts has the descriptor: until it executes its program.
fn listen(host: &Namespace, address: IpAddr) -> TcpListener {
    let mut listener = None;
    wait_until("the listener has its address", BOUND, || {
        match host.run(|| TcpListener::bind((address, 80))) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => listener = Some(bound.unwrap()),
        }
        Ok(listener.is_some())
    })
    .unwrap();
    listener.unwrap()
}

/// Has curl fetch the content from a server, and bring it there. Returns the addresses that asked for
/// either.
pub(crate) fn move_both_ways(
    client: &Namespace,
    server: &Namespace,
    address: IpAddr,
    directory: &Path,
    arguments: &[&str],
) -> [IpAddr; 2] {
    move_between((client, address), (server, address), directory, arguments)
}

/// As [`move_both_ways`], where the client knows the server by another address than it has.
pub(crate) fn move_between(
    (client, known_as): (&Namespace, IpAddr),
    (server, address): (&Namespace, IpAddr),
    directory: &Path,
    arguments: &[&str],
) -> [IpAddr; 2] {
    let listener = listen(server, address);
    let serving = thread::spawn(move || [serve(&listener), serve(&listener)]);

    let mut download = curl(client, known_as, arguments);
    assert_is_content(download.stdout.take().unwrap());
    assert!(download.wait().unwrap().success());

    let file = directory.join("content");
    fs::write(&file, &*CONTENT).unwrap();
    // Without an `Expect` header it does not wait for leave to send.
    let upload = [arguments, &["--header", "Expect:", "--upload-file", file.to_str().unwrap()]];
    let upload = curl(client, known_as, &upload.concat()).wait_with_output().unwrap();
    assert!(upload.status.success(), "{upload:?}");
    serving.join().unwrap()
}
