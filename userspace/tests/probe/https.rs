//! Documents by HTTPS.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use anyhow::Result;
use pointsman::probe::{HttpProbe, Outcome, ProbeKind};

use crate::certificates::Authority;
use crate::http::probe;
use crate::lab::{BEYOND, Lab, answered, wrong};
use crate::server::Server;

const PORT: u16 = 8443;

/// A probe for a document that trusts the authorities in this file.
fn at(url: &str, ca: &Path) -> HttpProbe {
    HttpProbe { ca: Some(ca.to_owned()), ..probe(url, (BEYOND, PORT)) }
}

#[test]
fn a_server_whose_certificate_is_right_answers() -> Result<()> {
    let lab = Lab::routed()?;
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path(), "ca.pem")?;
    for (name, url) in [
        ("example.net", "https://example.net:8443/health"),
        ("192.0.2.53", "https://192.0.2.53:8443/health"),
    ] {
        let _server = authority.serve(&lab.isps[1], (BEYOND, PORT).into(), name)?;
        let body = Some("all is well".to_owned());
        let probe = HttpProbe { body, ..at(url, &authority.file) };
        lab.assert_answered(1, ProbeKind::Http(probe))?;
    }
    Ok(())
}

#[test]
fn a_wrong_certificate_or_answer_says_so() -> Result<()> {
    let lab = Lab::routed()?;
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path(), "ca.pem")?;
    let other = Authority::new(directory.path(), "other.pem")?;
    let _server = authority.serve(&lab.isps[0], (BEYOND, PORT).into(), "example.net")?;
    let url = |name: &str, path: &str| format!("https://{name}:8443{path}");
    for (probe, reason) in [
        (
            at(&url("example.net", "/health"), &other.file),
            "no TLS: invalid peer certificate: UnknownIssuer",
        ),
        (
            at(&url("example.org", "/health"), &authority.file),
            "no TLS: invalid peer certificate: certificate not valid for name \"example.org\"; \
             certificate is only valid for DnsName(\"example.net\")",
        ),
        (at(&url("example.net", "/broken"), &authority.file), "status 503 Service Unavailable"),
    ] {
        lab.assert_outcome(0, ProbeKind::Http(probe), &wrong(reason))?;
    }
    Ok(())
}

#[test]
fn a_server_that_speaks_no_tls_says_so() -> Result<()> {
    let lab = Lab::routed()?;
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path(), "ca.pem")?;
    let greet = |mut stream: TcpStream, _| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let _server = Server::tcp(&lab.isps[0], (BEYOND, PORT).into(), greet)?;
    let probe = at("https://example.net:8443/health", &authority.file);
    let garbled = "no TLS: received corrupt message of type InvalidContentType";
    lab.assert_outcome(0, ProbeKind::Http(probe), &wrong(garbled))
}

#[test]
fn authorities_that_cannot_be_read_are_named_until_they_can() -> Result<()> {
    let lab = Lab::routed()?;
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path(), "ca.pem")?;
    let _server = authority.serve(&lab.isps[0], (BEYOND, PORT).into(), "example.net")?;
    let file = directory.path().join("missing.pem");
    let probe = at("https://example.net:8443/health", &file);
    lab.probe(0, ProbeKind::Http(probe), async |probed| {
        let missing = probed.next().await?.outcome.to_string();
        let expected = format!("not sent: cannot read the certificates in {}: ", file.display());
        assert!(missing.starts_with(&expected), "{missing}");
        std::fs::write(&file, "")?;
        probed.until(|outcome| outcome.to_string().contains("there is no certificate in")).await?;
        std::fs::rename(&authority.file, &file)?;
        probed.until(answered).await?;
        Ok(())
    })
}

#[test]
fn the_systems_authorities_do_not_know_ours() -> Result<()> {
    let lab = Lab::routed()?;
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path(), "ca.pem")?;
    let _server = authority.serve(&lab.isps[0], (BEYOND, PORT).into(), "example.net")?;
    let probe = probe("https://example.net:8443/health", (BEYOND, PORT));
    lab.probe(0, ProbeKind::Http(probe), async |probed| {
        match probed.next().await?.outcome {
            Outcome::Wrong(reason) => assert!(reason.contains("UnknownIssuer"), "{reason}"),
            // Where ca-certificates is not installed.
            Outcome::Failed(reason) => assert!(reason.contains("ca-certificates"), "{reason}"),
            other => panic!("{other:?}"),
        }
        Ok(())
    })
}
