//! A cable that can be impaired, with real frames.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use pointsman_lab::{
    Cable, CableOptions, Direction, Impairment, Namespace, Nic, PacketSocket, Pass, Relay, Site,
    plan, plan::SERVER, wait_until,
};

const BOUND: Duration = Duration::from_secs(10);

/// How long a socket is waited for before what was asked of it is asked again.
const PATIENCE: Duration = Duration::from_millis(20);

/// Numbers from here on mark the end of others.
const MARKS: u16 = 60_000;

/// Two hosts on a cable that can be impaired, with a socket each.
///
/// They know each other's MACs, so all frames on the cable are of these sockets.
struct Link {
    cable: Cable,
    relay: Relay,
    near: Host,
    far: Host,
}

impl Link {
    fn new(seed: u64) -> Self {
        let [near, far] = ["near", "far"].map(|label| Namespace::new(label).unwrap());
        let options = CableOptions { pass: Pass::Far, ..CableOptions::default() };
        let (cable, relay) = Cable::impaired(&near, "near0", &far, "far0", options, seed).unwrap();
        let near = Host::new(cable.near(), 1, cable.far(), 2);
        let far = Host::new(cable.far(), 2, cable.near(), 1);
        Self { cable, relay, near, far }
    }

    /// What arrives at the far host of these numbers.
    fn to_far(&self, numbers: impl IntoIterator<Item = u16>) -> Vec<u16> {
        transfer(&self.near, &self.far, numbers)
    }

    /// The same of the near one.
    fn to_near(&self, numbers: impl IntoIterator<Item = u16>) -> Vec<u16> {
        transfer(&self.far, &self.near, numbers)
    }
}

struct Host {
    socket: UdpSocket,
    mark: AtomicU16,
}

impl Host {
    fn new(nic: &Nic, own: u8, peer: &Nic, other: u8) -> Self {
        let (name, mac) = (nic.name(), peer.mac());
        let [own, other] = [own, other].map(|last| Ipv4Addr::new(10, 0, 0, last));
        nic.namespace()
            .ip(&format!(
                "address add {own}/24 dev {name}\n\
                 neighbour add {other} lladdr {mac} dev {name} nud permanent"
            ))
            .unwrap();
        let socket = nic.namespace().run(|| UdpSocket::bind((own, 9))).unwrap();
        socket.connect((other, 9)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        setsockopt(&socket, RcvBufForce, &(16 << 20)).unwrap();
        Self { socket, mark: AtomicU16::new(MARKS) }
    }

    fn send(&self, number: u16) {
        self.socket.send(&number.to_be_bytes()).unwrap();
    }

    /// The next number that arrives before patience is at its end.
    fn receive(&self) -> Option<u16> {
        let mut number = [0; 2];
        match self.socket.recv(&mut number) {
            Ok(_) => Some(u16::from_be_bytes(number)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Sends numbers, and then marks until one arrives, and returns what arrives before it.
fn transfer(from: &Host, to: &Host, numbers: impl IntoIterator<Item = u16>) -> Vec<u16> {
    numbers.into_iter().for_each(|number| from.send(number));
    let mark = from.mark.fetch_add(1, Ordering::Relaxed);
    let deadline = Instant::now() + BOUND;
    let mut arrived = Vec::new();
    from.send(mark);
    loop {
        match to.receive() {
            Some(number) if number == mark => return arrived,
            Some(number) if number < MARKS => arrived.push(number),
            // A second mark of another time.
            Some(_) => {}
            None => from.send(mark),
        }
        assert!(Instant::now() < deadline, "no mark arrives; before it, {arrived:?}");
    }
}

#[test]
fn without_an_impairment_everything_arrives_both_ways() {
    let link = Link::new(1);
    assert_eq!(link.cable.near().name(), "near0");
    assert_eq!(link.cable.far().name(), "far0");
    thread::scope(|scope| {
        for way in [Link::to_far, Link::to_near] {
            let link = &link;
            // A few at a time, so that no queue of the kernel has to hold many.
            let step = move |first: u16| {
                let numbers: Vec<_> = (first..first + 50).collect();
                assert_eq!(way(link, numbers.clone()), numbers);
            };
            scope.spawn(move || (0..5000).step_by(50).for_each(step));
        }
    });
}

#[test]
fn which_frames_are_lost_the_seed_decides_and_each_way_on_its_own() {
    let loss = Impairment { loss: 0.5, ..Impairment::default() };
    let run = |seed| {
        let link = Link::new(seed);
        link.relay.set_both(loss);
        [link.to_far(0..200), link.to_near(0..200)]
    };
    let [to_far, to_near] = run(1);
    for arrived in [&to_far, &to_near] {
        assert!((60..140).contains(&arrived.len()), "{} arrived", arrived.len());
    }
    assert_ne!(to_far, to_near);
    assert_eq!(run(1), [to_far.clone(), to_near]);
    assert_ne!(run(2)[0], to_far);
}

#[test]
fn one_way_is_impaired_and_the_other_is_not() {
    let link = Link::new(1);
    let twice = Impairment { duplicate: 1.0, ..Impairment::default() };
    let numbers: Vec<_> = (0..50).collect();
    let doubled: Vec<_> = numbers.iter().flat_map(|number| [*number; 2]).collect();
    let both = || [link.to_far(numbers.clone()), link.to_near(numbers.clone())];
    link.relay.set(Direction::ToFar, twice);
    assert_eq!(both(), [doubled.clone(), numbers.clone()]);
    link.relay.set(Direction::ToFar, Impairment::default());
    link.relay.set(Direction::ToNear, twice);
    assert_eq!(both(), [numbers.clone(), doubled]);
}

#[test]
fn a_blackhole_is_one_way_and_keeps_the_carrier() {
    let link = Link::new(1);
    link.relay.set(Direction::ToFar, Impairment::BLACKHOLE);
    (0..50).for_each(|number| link.near.send(number));
    assert_eq!(link.to_near(50..60), (50..60).collect::<Vec<_>>());
    assert_eq!(link.far.receive(), None);
    assert!(link.cable.near().has_carrier().unwrap() && link.cable.far().has_carrier().unwrap());
    link.relay.set_both(Impairment::default());
    assert_eq!(link.to_far(60..70), (60..70).collect::<Vec<_>>());
}

#[test]
fn frames_overtake_those_that_are_delayed() {
    let link = Link::new(1);
    let delay = Impairment { delay: Duration::from_secs(1), ..Impairment::default() };
    link.relay.set(Direction::ToFar, delay);
    link.near.send(1);
    // What comes after it is seen at the other end only once the relay has it too.
    assert_eq!(link.to_near([2]), [2]);
    link.relay.set(Direction::ToFar, Impairment { reorder: 1.0, ..delay });
    link.near.send(3);
    let mut arrived = Vec::new();
    wait_until("both have arrived", BOUND, || {
        arrived.extend(link.far.receive());
        Ok(arrived.len() == 2)
    })
    .unwrap();
    assert_eq!(arrived, [3, 1]);
}

#[test]
fn a_cut_takes_the_carrier_and_mending_brings_it_back() {
    let link = Link::new(1);
    assert_eq!(link.to_far([1]), [1]);
    link.cable.cut().unwrap();
    wait_until("carrier is lost", BOUND, || Ok(!link.cable.near().has_carrier()?)).unwrap();
    link.cable.restore().unwrap();
    assert_eq!(link.to_far([2]), [2]);
    assert_eq!(link.to_near([3]), [3]);
}

#[test]
fn nothing_is_carried_without_the_relay() {
    let Link { cable, relay, near, far } = Link::new(1);
    assert_eq!(transfer(&near, &far, [1]), [1]);
    drop(relay);
    near.send(2);
    assert_eq!(far.receive(), None);
    assert!(cable.near().has_carrier().unwrap());
}

#[test]
fn frames_are_carried_as_they_are_with_their_tags() {
    let link = Link::new(1);
    let (near, far) = (link.cable.near(), link.cable.far());
    let sender = PacketSocket::open(near).unwrap();
    let mut receiver = PacketSocket::open(far).unwrap();
    // To a host that nobody is; of protocols for experiments (IEEE 802 section 9.2.3).
    let macs = [[2, 9, 9, 9, 9, 9], near.mac().0].concat();
    let [plain, tag, outer] = [&[0x88, 0xb5][..], &[0x81, 0, 0x60, 35], &[0x88, 0xa8, 0, 100]];
    let payload = [7; 60];
    for tags in [&[][..], &[tag], &[outer], &[outer, tag]] {
        let frame = [&macs, &tags.concat(), plain, &payload].concat();
        sender.send(&frame).unwrap();
        let mut received = None;
        wait_until("the frame has arrived", BOUND, || {
            received = receiver.receive().unwrap();
            Ok(received.is_some())
        })
        .unwrap();
        assert_eq!(received, Some(frame), "tags {tags:x?}");
    }
}

#[test]
fn a_site_can_be_impaired() {
    let site = Site::builder().impaired(7).build().unwrap();
    let macs: BTreeSet<_> =
        site.uplinks.iter().map(|uplink| uplink.access.far().mac().to_string()).collect();
    assert_eq!(macs.len(), site.uplinks.len());
    let ping = |index: usize, times: &str| {
        let interface = format!("wan{index}");
        let server = SERVER.to_string();
        let arguments = ["-n", "-c", times, "-i", "0.2", "-W", "1", "-I", &interface, &server];
        site.gateway.output("ping", &arguments)
    };
    for (index, uplink) in site.uplinks.iter().enumerate() {
        ping(index, "3").unwrap();
        assert!(uplink.relay.is_some());
        assert_eq!(uplink.gateway_address, plan::gateway(index));
    }
    let relay = site.uplinks[0].relay.as_ref().unwrap();
    relay.set(Direction::ToNear, Impairment::BLACKHOLE);
    assert!(ping(0, "1").is_err());
    ping(1, "3").unwrap();
    relay.set(Direction::ToNear, Impairment::default());
    ping(0, "3").unwrap();

    let plain = Site::builder().build().unwrap();
    assert!(plain.uplinks.iter().all(|uplink| uplink.relay.is_none()));
}
