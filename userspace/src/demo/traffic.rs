//! The client's flows.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pointsman_lab::{Namespace, plan::SERVER};

use super::{
    history::Packet,
    live::Live,
    message::{self, Message},
    worker::{Stop, Worker},
};

/// The time from one packet of a flow to its next. No outage can be told more finely.
pub(super) const INTERVAL: Duration = Duration::from_millis(2);

/// How many times an interval the sender wakes up. Each time, it serves its share of the flows, so
/// that packets do not leave all at once.
const SLOTS: u32 = 4;

/// How long the last answers may take to come.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Packets for which a history has room from the start: those of half a minute.
const CAPACITY: usize = 15_000;

/// Starts a UDP flow from every one of `sources` and this port to the server. What they have sent
/// is told when they are stopped, in the order of `sources`, and by `live` meanwhile. Times count
/// from `epoch`.
pub(super) fn start(
    client: &Namespace,
    sources: &[Ipv4Addr],
    port: u16,
    live: &Arc<Live>,
    epoch: Instant,
) -> io::Result<Worker<Vec<Vec<Packet>>>> {
    let open = |&source: &Ipv4Addr| Flow::open(source, port, epoch);
    let mut flows = client.run(|| sources.iter().map(open).collect::<io::Result<Vec<_>>>())?;
    let live = Arc::clone(live);
    Worker::start("traffic", move |stop| {
        send_until(stop, &mut flows, &live);
        await_answers(&mut flows, &live);
        Ok(flows.into_iter().map(|flow| flow.history).collect())
    })
}

fn send_until(stop: &Stop, flows: &mut [Flow], live: &Live) {
    let slot = INTERVAL / SLOTS;
    let share = flows.len().div_ceil(SLOTS as usize).max(1);
    let mut due = Instant::now();
    while !stop.is_set() {
        for (share_index, flows) in flows.chunks_mut(share).enumerate() {
            for (index, flow) in flows.iter_mut().enumerate() {
                flow.receive(share_index * share + index, live);
                flow.send();
            }
            // Whoever was held up goes on from there, and does not send the rest in a burst.
            due = Instant::now().max(due + slot);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

/// Waits until the last packet of every flow is answered, which those of a flow that is cut off
/// never are.
fn await_answers(flows: &mut [Flow], live: &Live) {
    let deadline = Instant::now() + LAST_ANSWERS;
    while flows.iter().any(Flow::awaits_answer) && Instant::now() < deadline {
        thread::sleep(INTERVAL);
        for (index, flow) in flows.iter_mut().enumerate() {
            flow.receive(index, live);
        }
    }
}

/// A flow from the client to the server.
struct Flow {
    socket: UdpSocket,
    history: Vec<Packet>,
    epoch: Instant,
}

impl Flow {
    fn open(source: Ipv4Addr, port: u16, epoch: Instant) -> io::Result<Self> {
        let socket = UdpSocket::bind((source, port))?;
        socket.connect((SERVER, message::PORT))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, history: Vec::with_capacity(CAPACITY), epoch })
    }

    fn send(&mut self) {
        let request = Message { number: self.history.len() as u32, address: Ipv4Addr::UNSPECIFIED };
        self.history.push(Packet { sent: self.epoch.elapsed(), uplink: None });
        // A packet that the kernel does not take is one without an answer.
        let _ = self.socket.send(&request.to_bytes());
    }

    /// Takes in all answers that have come.
    fn receive(&mut self, index: usize, live: &Live) {
        // One byte more, to tell what is too long.
        let mut buffer = [0; message::LEN + 1];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.take_in(&buffer[..length], index, live),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier packet, which stays without an answer.
                Err(_) => {}
            }
        }
    }

    fn take_in(&mut self, answer: &[u8], index: usize, live: &Live) {
        let Some(answer) = Message::from_bytes(answer) else {
            return;
        };
        let Some(uplink) = live.uplink_of(answer.address) else {
            return;
        };
        if let Some(packet) = self.history.get_mut(answer.number as usize)
            && packet.uplink.is_none()
        {
            packet.uplink = Some(uplink);
            live.answered(index, uplink);
        }
    }

    fn awaits_answer(&self) -> bool {
        self.history.last().is_some_and(|packet| packet.uplink.is_none())
    }
}
