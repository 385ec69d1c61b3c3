//! What the other system learns when an uplink is drained.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use pointsman_lab::plan::SERVER;
use pointsman_lab::{LabError, Site, plan, wait_until};

use crate::bird::Bird;
use crate::support::{BOUND, Gateway, pointsman};
use crate::{configuration, fiber, wait_until_both_are_up};

/// Each connection may take another way.
const BY_FLOW: &str = "[[group]]\nname = \"default\"\nsticky = \"flow\"\n";

fn run(gateway: &Gateway, arguments: &[&str]) {
    let socket = gateway.directory.path().join("api.sock");
    let arguments = [arguments, &["--socket"]].concat();
    let output = pointsman(&gateway.site.gateway, &arguments, &[&socket]);
    assert!(output.status.success(), "{output:?}\n{}", gateway.daemon.log());
}

/// A connection by fiber to a server that sends back what it gets.
fn connect(gateway: &Gateway) -> TcpStream {
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    for _ in 0..64 {
        let stream = gateway.site.client.run(|| TcpStream::connect((SERVER, 80))).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let (mut served, peer) = listener.accept().unwrap();
        if peer.ip() == IpAddr::from(plan::gateway(0)) {
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = served.read(&mut buffer) {
                    served.write_all(&buffer[..length]).unwrap();
                }
            });
            return stream;
        }
    }
    panic!("no connection has taken fiber");
}

#[test]
fn the_other_end_learns_of_a_drain_and_flows_go_on() {
    let site = Site::builder().build().unwrap();
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), "");
    let gateway = Gateway::configured(site, |directory| configuration(directory, "") + BY_FLOW);
    wait_until_both_are_up(&gateway, &bird);
    let mut stream = connect(&gateway);
    // The state is in the upper two bits of the second byte (RFC 5880 section 4.1); zero is AdminDown.
    let filter = "dst port 3784 and src host 203.0.113.2 and udp[9] & 0xc0 = 0";
    let mut capture = gateway.site.uplinks[0].isp.command("tcpdump");
    let capture = capture.args(["-n", "-i", "customer", "-c", "1", filter]);
    let mut capture = capture.stdout(Stdio::null()).spawn().unwrap();
    run(&gateway, &["drain", "fiber"]);
    wait_until("BIRD is told", BOUND, || Ok::<_, LabError>(!bird.is_up())).unwrap();
    let captured = wait_until("it is told as it should be", BOUND, || {
        Ok::<_, LabError>(capture.try_wait().unwrap().is_some())
    });
    // It may have ended.
    let _ = capture.kill();
    captured.unwrap();
    gateway.wait_for("the session is held", |status| fiber(status).state == "admin_down");
    // For many detection times.
    let sent = gateway.status().uplinks[0].out.packets;
    while gateway.status().uplinks[0].out.packets < sent + 100 {
        stream.write_all(&[7; 100]).unwrap();
        let mut back = [0; 100];
        stream.read_exact(&mut back).unwrap();
    }
    assert!(!bird.is_up());
    run(&gateway, &["undrain", "fiber"]);
    wait_until_both_are_up(&gateway, &bird);
    stream.write_all(&[8]).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let log = gateway.daemon.log();
    assert!(!log.contains("uplink fiber: down"), "{log}");
}
