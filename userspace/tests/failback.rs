//! What becomes of flows when the uplink that they have lost is back: they stay, what their hosts open next
//! joins them, and they are given back when that is asked for.

#[path = "support/states.rs"]
mod states;
mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pointsman::api::RebalanceStatus;
use pointsman_lab::plan::{self, SERVER};
use pointsman_lab::{LabError, Site, wait_until};

use support::{BOUND, Gateway, configuration, pointsman};

const PORT: u16 = 7000;

/// How long it takes at most until what is silent is given back: ten seconds, what marks lag behind, and the
/// looks at it in between.
const SILENCE: Duration = Duration::from_secs(60);

/// Fiber before cable, and what is added to cable and to the group.
fn gateway(cable: &str, group: &str) -> Gateway {
    let site = Site::builder().client_addresses(2).build().unwrap();
    Gateway::configured(site, |directory| {
        let text = configuration(directory)
            .replace("interface = \"wan1\"\n", &format!("interface = \"wan1\"\n{cable}\n"));
        let tiers = "uplinks = [[\"fiber\"], [\"cable\"]]";
        format!("{text}[[group]]\nname = \"default\"\n{tiers}\n{group}\n")
    })
}

/// A server that answers each datagram by the sender's address and the datagram itself.
fn serve(site: &Site) {
    let socket = site.server.run(|| UdpSocket::bind((SERVER, PORT))).unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 4];
        while let Ok((_, from)) = socket.recv_from(&mut datagram) {
            let SocketAddr::V4(peer) = from else { return };
            let answer = [peer.ip().octets(), datagram].concat();
            // Who asked may have gone.
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// A flow of UDP from one of the client's addresses.
struct Flow {
    socket: UdpSocket,
    sent: AtomicU32,
}

impl Flow {
    fn of(gateway: &Gateway, host: usize) -> Self {
        let address = gateway.site.client_addresses().nth(host).unwrap();
        let socket = gateway.site.client.run(|| UdpSocket::bind((address, 0))).unwrap();
        socket.connect((SERVER, PORT)).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self { socket, sent: AtomicU32::new(0) }
    }

    /// Sends the next datagram, which must be answered. Returns the address that it came from.
    #[track_caller]
    fn ask(&self) -> Ipv4Addr {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.socket.send(&number.to_be_bytes()).unwrap();
        let mut answer = [0; 8];
        let len = self.socket.recv(&mut answer).expect("no datagram is lost");
        assert_eq!((len, &answer[4..]), (8, &number.to_be_bytes()[..]), "one was lost before");
        Ipv4Addr::from_octets([answer[0], answer[1], answer[2], answer[3]])
    }
}

fn fiber() -> Ipv4Addr {
    plan::gateway(0)
}

fn cable() -> Ipv4Addr {
    plan::gateway(1)
}

impl Gateway {
    /// Cuts fiber, lets `open` happen, and restores it.
    fn without_fiber<T>(&self, open: impl FnOnce() -> T) -> T {
        self.site.uplinks[0].cut().unwrap();
        self.wait_for_states("down", "up");
        let opened = open();
        self.site.uplinks[0].restore().unwrap();
        self.wait_for_states("up", "up");
        opened
    }

    /// Runs `pointsman rebalance`, and returns what it says.
    fn rebalance(&self, arguments: &[&str]) -> String {
        let arguments = [&["rebalance"], arguments, &["--socket"]].concat();
        let socket = self.directory.path().join("api.sock");
        let output = pointsman(&self.site.gateway, &arguments, &[&socket]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn progress(&self) -> Option<RebalanceStatus> {
        self.status().rebalance
    }

    /// Packets that were dropped so far, whether the sender was told or not.
    fn dropped(&self) -> u64 {
        let status = self.status();
        status.drops.values().chain(status.answered.values()).map(|drops| drops.packets).sum()
    }
}

fn done(moved: usize, staying: usize) -> Option<RebalanceStatus> {
    Some(RebalanceStatus { moved, to_move: 0, waiting: 0, staying })
}

#[test]
fn flows_stay_together_until_they_are_given_back() {
    let gateway = gateway("", "");
    serve(&gateway.site);
    let call = gateway.without_fiber(|| {
        let call = Flow::of(&gateway, 0);
        assert_eq!(call.ask(), cable());
        call
    });
    let dropped = gateway.dropped();
    assert_eq!(call.ask(), cable());
    let voice = Flow::of(&gateway, 0);
    assert_eq!(voice.ask(), cable());
    let other = Flow::of(&gateway, 1);
    assert_eq!(other.ask(), fiber());

    // A call that goes on is not moved, nor what belongs to it.
    let told = gateway.rebalance(&[]);
    let expected =
        "0 flows to move now, at most 500 a second, 2 flows when their hosts are silent\n";
    assert_eq!(told, expected);
    assert_eq!((call.ask(), voice.ask()), (cable(), cable()));
    wait_until("both are given back", SILENCE, || {
        Ok::<_, LabError>(gateway.progress() == done(2, 0))
    })
    .unwrap();
    assert_eq!((call.ask(), voice.ask(), other.ask()), (fiber(), fiber(), fiber()));
    assert_eq!(Flow::of(&gateway, 0).ask(), fiber());
    assert_eq!(gateway.dropped(), dropped);
}

/// All at once, amid their packets, of which none is lost; what they keep of the host is forgotten.
#[test]
fn all_flows_move_when_that_is_asked_for() {
    let gateway = gateway("", "");
    serve(&gateway.site);
    let flows = gateway.without_fiber(|| {
        let flows: Vec<_> = (0..20).map(|number| Flow::of(&gateway, number % 2)).collect();
        assert!(flows.iter().all(|flow| flow.ask() == cable()));
        flows
    });
    let dropped = gateway.dropped();
    assert_eq!(gateway.rebalance(&["--all"]), "20 flows to move now, at most 500 a second\n");
    wait_until("all are given back", BOUND, || {
        let on_cable = flows.iter().filter(|flow| flow.ask() == cable()).count();
        Ok::<_, LabError>(on_cable == 0)
    })
    .unwrap();
    assert_eq!(gateway.progress(), done(20, 0));
    assert_eq!((Flow::of(&gateway, 0).ask(), Flow::of(&gateway, 1).ask()), (fiber(), fiber()));
    assert_eq!(gateway.dropped(), dropped);
}

/// By itself: a connection that would break stays, and works.
#[test]
fn a_group_gives_flows_back_and_breaks_none() {
    let gateway = gateway("", "failback = { after = \"1s\" }");
    serve(&gateway.site);
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let (flow, mut near, mut far) = gateway.without_fiber(|| {
        let flow = Flow::of(&gateway, 0);
        assert_eq!(flow.ask(), cable());
        let near = gateway.site.client.run(|| TcpStream::connect((SERVER, 80))).unwrap();
        let (far, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), cable());
        (flow, near, far)
    });
    wait_until("the flow that may is given back", SILENCE, || {
        Ok::<_, LabError>(gateway.progress().is_some_and(|it| (it.moved, it.waiting) == (1, 0)))
    })
    .unwrap();
    assert_eq!(flow.ask(), fiber());
    let before = gateway.status().uplinks[1].out.packets;
    near.write_all(b"still here").unwrap();
    let mut read = [0; 10];
    far.set_read_timeout(Some(BOUND)).unwrap();
    far.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"still here");
    gateway.wait_for("it goes by cable", |status| status.uplinks[1].out.packets > before);
}

/// What is paid for by the byte keeps nothing, not even what goes on.
#[test]
fn a_metered_uplink_gives_all_back() {
    let gateway = gateway("metered = true", "failback = { after = \"1s\" }");
    serve(&gateway.site);
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let (flow, _near, _far) = gateway.without_fiber(|| {
        let flow = Flow::of(&gateway, 0);
        assert_eq!(flow.ask(), cable());
        let near = gateway.site.client.run(|| TcpStream::connect((SERVER, 80))).unwrap();
        (flow, near, listener.accept().unwrap())
    });
    wait_until("the flow is given back amid its packets", BOUND, || {
        Ok::<_, LabError>(flow.ask() == fiber())
    })
    .unwrap();
    gateway.wait_for("the connection is, too", |status| status.rebalance == done(2, 0));
    let out = gateway.status().uplinks[1].out.packets;
    assert_eq!((flow.ask(), Flow::of(&gateway, 0).ask()), (fiber(), fiber()));
    assert_eq!(gateway.status().uplinks[1].out.packets, out);
}
