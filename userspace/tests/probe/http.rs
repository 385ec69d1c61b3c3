//! Documents by HTTP.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;

use anyhow::Result;
use pointsman::probe::{HttpProbe, Outcome, ProbeKind};
use pointsman_lab::Namespace;

use crate::lab::{ABSENT, BEYOND, BOUND, Lab, answered, wrong};
use crate::server::{Server, read_head};

/// Answers as the path says.
pub(crate) fn serve(stream: &mut (impl io::Read + Write)) -> io::Result<()> {
    let head = read_head(stream)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let hosts = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("host: "));
    let hosts: Vec<_> = hosts.collect();
    let answer = match path {
        "/health" => "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nall is well\n".to_owned(),
        "/empty" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/moved" => {
            "HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        "/broken" => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/garbage" => "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "/host" => {
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", hosts.join(" and "))
        }
        // What is wanted is behind what is read.
        "/large" => format!("HTTP/1.1 200 OK\r\n\r\n{}all is well", "x".repeat(64 << 10)),
        "/hang" => {
            thread::sleep(BOUND);
            return Ok(());
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes())
}

pub(crate) fn listen(host: &Namespace, address: SocketAddr) -> io::Result<Server> {
    // Whoever asks ends the connection once it knows enough.
    Server::tcp(host, address, |mut stream, _| drop(serve(&mut stream)))
}

pub(crate) fn probe(url: &str, server: impl Into<SocketAddr>) -> HttpProbe {
    let url = url.parse().expect("a URL");
    HttpProbe { url, server: server.into(), statuses: Vec::new(), body: None, ca: None }
}

/// A probe for this path of a server beyond the uplink.
fn at(path: &str) -> HttpProbe {
    probe(&format!("http://192.0.2.53:8080{path}"), (BEYOND, 8080))
}

fn lab() -> Result<(Lab, Server)> {
    let lab = Lab::routed()?;
    let server = listen(&lab.isps[0], (BEYOND, 8080).into())?;
    Ok((lab, server))
}

#[test]
fn a_right_answer_is_one() -> Result<()> {
    let (lab, _server) = lab()?;
    let body = Some("is well".to_owned());
    for probe in [
        at("/health"),
        at("/empty"),
        HttpProbe { body, ..at("/health") },
        HttpProbe { statuses: vec![200, 302], ..at("/moved") },
    ] {
        lab.assert_answered(0, ProbeKind::Http(probe))?;
    }
    Ok(())
}

#[test]
fn a_wrong_answer_says_what_is_wrong_with_it() -> Result<()> {
    let (lab, _server) = lab()?;
    let body = || Some("all is well".to_owned());
    for (probe, reason) in [
        (at("/broken"), "status 503 Service Unavailable"),
        (at("/moved"), "status 302 Found"),
        (HttpProbe { statuses: vec![204], ..at("/health") }, "status 200 OK"),
        (
            HttpProbe { body: Some("all is lost".to_owned()), ..at("/health") },
            "no \"all is lost\" in a document of 12 bytes or more",
        ),
        (
            HttpProbe { body: body(), ..at("/empty") },
            "no \"all is well\" in a document of 0 bytes or more",
        ),
        (
            HttpProbe { body: body(), ..at("/large") },
            "no \"all is well\" in a document of 65536 bytes or more",
        ),
        (at("/garbage"), "no HTTP answer: invalid HTTP version parsed"),
    ] {
        lab.assert_outcome(0, ProbeKind::Http(probe), &wrong(reason))?;
    }
    Ok(())
}

#[test]
fn nobody_listening_is_wrong_and_silence_is_a_loss() -> Result<()> {
    let lab = Lab::routed()?;
    let refused = wrong("no connection: Connection refused (os error 111)");
    lab.assert_outcome(0, ProbeKind::Http(at("/health")), &refused)?;
    let absent = probe("http://192.0.2.99/", (ABSENT, 80));
    lab.assert_outcome(0, ProbeKind::Http(absent), &Outcome::Lost)
}

#[test]
fn the_server_is_told_its_name_and_asked_at_its_address() -> Result<()> {
    let (lab, _server) = lab()?;
    let probe = |url: &str, body: &str| HttpProbe {
        body: Some(body.to_owned()),
        ..probe(url, (BEYOND, 8080))
    };
    for probe in [
        probe("http://example.net/host", "host: example.net"),
        probe("http://example.net:8080/host", "host: example.net:8080"),
    ] {
        lab.assert_answered(0, ProbeKind::Http(probe))?;
    }
    Ok(())
}

/// The next ones are sent while all before them are under way.
#[test]
fn an_exchange_that_hangs_does_not_delay_the_next() -> Result<()> {
    let (lab, server) = lab()?;
    lab.probe_within(0, ProbeKind::Http(at("/hang")), BOUND, async |probed| {
        let all_under_way = async {
            while server.asked() < 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND / 2, all_under_way).await?;
        assert!(probed.events.try_recv().is_err());
        Ok(())
    })?;
    let silent = ProbeKind::Http(at("/hang"));
    lab.probe(0, silent, async |probed| {
        assert_eq!(probed.next().await?.outcome, Outcome::Lost);
        Ok(())
    })
}

#[test]
fn nothing_leaves_by_the_other_uplink_when_one_is_down() -> Result<()> {
    let lab = Lab::routed()?;
    let address = (BEYOND, 8080).into();
    let _servers = [listen(&lab.isps[0], address)?, listen(&lab.isps[1], address)?];
    lab.assert_nothing_leaves_by_the_other(&ProbeKind::Http(at("/health")))
}

#[test]
fn a_server_that_comes_back_is_noticed() -> Result<()> {
    let lab = Lab::routed()?;
    lab.probe(0, ProbeKind::Http(at("/health")), async |probed| {
        probed.until(|outcome| matches!(outcome, Outcome::Wrong(_))).await?;
        let _server = listen(&lab.isps[0], (BEYOND, 8080).into())?;
        probed.until(answered).await?;
        Ok(())
    })
}
