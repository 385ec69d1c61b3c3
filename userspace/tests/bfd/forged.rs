//! Packets that somebody else makes up while a session is up.

use std::net::SocketAddrV4;

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_lab::{LabError, PacketSocket, Site, plan, wait_until};

use super::bird::Bird;
use super::support::{BOUND, Gateway};
use super::{fiber, gateway, wait_until_both_are_up};

/// The port of sessions over one hop (RFC 5881 section 4), and another one that they are sent from.
const PORT: u16 = 3784;
const SOURCE_PORT: u16 = 50_000;

/// Where the control packet starts in a frame.
const CONTROL: usize = 42;

/// How often each is sent.
const TIMES: u64 = 20;

/// The last packet of the gateway's: the frame.
fn overheard(socket: &mut PacketSocket) -> Vec<u8> {
    let mut found = None;
    wait_until("the gateway sends a packet of BFD", BOUND, || {
        while let Some(frame) = socket.receive().unwrap() {
            if frame.len() >= CONTROL + 24 && frame[36..38] == PORT.to_be_bytes() {
                found = Some(frame);
            }
        }
        Ok::<_, LabError>(found.is_some())
    })
    .unwrap();
    found.unwrap()
}

/// What would take the session down: a packet of the other system's that says that it is down (RFC 5880 section
/// 4.1).
fn down(own: &[u8]) -> [u8; 24] {
    let mut control = [0; 24];
    control[..4].copy_from_slice(&[0x20, 0x40, 3, 24]);
    // What is mine is yours.
    control[4..8].copy_from_slice(&own[CONTROL + 8..CONTROL + 12]);
    control[8..12].copy_from_slice(&own[CONTROL + 4..CONTROL + 8]);
    control[12..20].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    control
}

fn has_been_down(gateway: &Gateway) -> bool {
    gateway.daemon.log().contains("uplink fiber: down: ")
}

#[test]
fn what_is_not_of_the_session_changes_nothing() {
    let site = Site::builder().build().unwrap();
    let bird = Bird::start(&site.uplinks[0].isp, &plan::gateway(0).to_string(), "");
    // Its silence is not what is tried here.
    bird.claim_realtime();
    let gateway = gateway(site, "");
    wait_until_both_are_up(&gateway, &bird);
    let mut socket = PacketSocket::open(gateway.site.uplinks[0].access.far()).unwrap();
    let own = overheard(&mut socket);
    let forged = down(&own);
    let ends = [(plan::isp(0), SOURCE_PORT), (plan::gateway(0), PORT)];
    let [from, to] = ends.map(|(address, port)| SocketAddrV4::new(address, port));
    let [to_mac, from_mac] = [6, 0].map(|at| <[u8; 6]>::try_from(&own[at..at + 6]).unwrap());
    let send = |control: &[u8], ttl| {
        let packet = PacketBuilder::udp(from, to).macs(from_mac, to_mac).payload(control);
        socket.send(&packet.ttl(ttl).build()).unwrap();
    };
    let with = |at: usize, byte: u8| {
        let mut control = forged;
        control[at] = byte;
        control
    };
    let passed = gateway.status().passed["local"].packets;
    let wrong = [
        // From beyond the link, however near, and with a field of RFC 5880 section 6.8.6 amiss.
        (forged, 254),
        (forged, 1),
        (with(0, 0x40), 255),
        (with(1, 0x41), 255),
        (with(1, 0x44), 255),
        (with(2, 0), 255),
        (with(3, 23), 255),
        (with(3, 25), 255),
        (with(8, !forged[8]), 255),
    ];
    for (control, ttl) in wrong {
        (0..TIMES).for_each(|_| send(&control, ttl));
    }
    let no_discriminator = { [&forged[..4], &[0; 4], &forged[8..]].concat() };
    let cut_short = &forged[..23];
    (0..TIMES).for_each(|_| send(&no_discriminator, 255));
    (0..TIMES).for_each(|_| send(cut_short, 255));
    let sent = TIMES * (wrong.len() as u64 + 2);
    gateway
        .wait_for("all of it has come", |status| status.passed["local"].packets >= passed + sent);
    assert_eq!(fiber(&gateway.status()).state, "up");
    assert!(!has_been_down(&gateway), "{}", gateway.daemon.log());
    assert!(bird.is_up());
    // The same from the link is believed: who is there could also cut it.
    send(&forged, 255);
    gateway.wait_for("it was down for a moment", |_| has_been_down(&gateway));
}
