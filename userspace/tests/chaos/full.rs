//! Tables that are full.

use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use pointsman::api::status::Status;
use pointsman_lab::plan::SERVER;

use crate::flows::{Flows, Passage};
use crate::ledger::Faults;
use crate::rig::Rig;

/// The smallest tables that there are.
const SMALL: &str = "[flows]\nmax = 1024\nunreplied = 1024\n";

/// Flows that have room with ease, two entries each.
const FEW: usize = 128;

/// Where nobody answers.
const SILENT: SocketAddrV4 = SocketAddrV4::new(SERVER, 7999);

/// How many flows a flood is, and the pause after each.
const FLOOD: usize = 4000;
const PAUSE: Duration = Duration::from_micros(300);

#[test]
fn full_tables_refuse_new_flows_and_keep_the_old() {
    let rig = Rig::start("", SMALL);
    // It takes everything in and says nothing.
    let _silent = rig.site.server.run(|| UdpSocket::bind(SILENT)).unwrap();
    let addresses: Vec<_> = rig.site.client_addresses().collect();
    let established = rig.flows(addresses.iter().copied().cycle().take(FEW), 500);
    established.wait_until_answered();

    for address in addresses.iter().copied().cycle().take(FLOOD) {
        let socket = rig.site.client.run(|| UdpSocket::bind((address, 0))).unwrap();
        socket.send_to(b"?", SILENT).unwrap();
        // Slower than queues are emptied.
        thread::sleep(PAUSE);
    }
    established.wait_until_answered();

    // More than there is room for.
    let crowd = rig.crowd();
    let before = refused(&rig.status());
    rig.wait_for("flows find no room", |status| refused(status) > before + 1000);
    established.wait_until_answered();
    let [established, crowd] = [established, crowd].map(Flows::finish);
    established.assert_undisturbed();
    let books = rig.balance(Faults::default());
    let both = [&established, &crowd];
    let sum = |of: fn(&Passage) -> u64| both.map(|flows| flows.sum(of)).iter().sum::<u64>();
    let sent = sum(|flow| flow.sent) + FLOOD as u64;
    assert_eq!(sent, books.forwarded_out() + books.unsent, "{books:#?}");
    // It is their answer that there is no room for.
    assert!(books.drops.keys().eq(["flow_table_full"]) && books.told() == 0, "{books:#?}");
    assert_eq!(sum(|flow| flow.answers), books.forwarded_back() + books.dropped(), "{books:#?}");
}

/// How many answers have found no room.
fn refused(status: &Status) -> u64 {
    status.drops["flow_table_full"].packets
}
