//! Traffic from the LAN to the server and back, and what becomes of each packet.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pointsman_lab::{Namespace, Site, claim_realtime, plan};

/// How many flows there are: one for each of the client's addresses.
pub(crate) const FLOWS: usize = 64;

/// From one burst to the next, and how many packets it has: 10,000 a second.
const PACE: Duration = Duration::from_millis(1);
const BURST: usize = 10;

/// What a packet holds: its number, and behind that, once the server has sent it back, from whom it came.
const NUMBER: usize = 8;
const LENGTH: usize = NUMBER + 4;

const PORT: u16 = 7;

/// Sends every packet back to where it came from, with that written into it, until it is dropped.
pub(crate) struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(server: &Namespace) -> Result<Self> {
        let socket = server.run(|| UdpSocket::bind((plan::SERVER, PORT)))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("echo".into()).spawn(move || {
            let _ = claim_realtime();
            let mut buffer = [0; LENGTH];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((LENGTH, peer)) = socket.recv_from(&mut buffer)
                    && let SocketAddr::V4(address) = peer
                {
                    buffer[NUMBER..].copy_from_slice(&address.ip().octets());
                    // What cannot be sent is lost.
                    let _ = socket.send_to(&buffer, peer);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet of one flow: when it was sent, and by which public address it came to the server, if it came back.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) sent: Instant,
    pub(crate) by: Option<Ipv4Addr>,
}

/// All packets of a run. That of number `n` is of flow `n % FLOWS`.
pub(crate) struct Record(pub(crate) Vec<Packet>);

impl Record {
    /// The packets of a flow, in the order of sending.
    pub(crate) fn of_flow(&self, flow: usize) -> impl Iterator<Item = &Packet> {
        self.0.iter().skip(flow).step_by(FLOWS)
    }
}

/// Traffic that runs, on flows of its own.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<io::Result<Vec<Instant>>>,
    receiver: JoinHandle<Vec<(usize, Ipv4Addr)>>,
}

impl Traffic {
    pub(crate) fn start(site: &Site) -> Result<Self> {
        let sockets: Arc<Vec<UdpSocket>> = Arc::new(
            site.client
                .run(|| {
                    let bound = site.client_addresses().map(|own| UdpSocket::bind((own, 0)));
                    bound.collect::<io::Result<Vec<_>>>()
                })
                .and_then(|sockets| {
                    for socket in &sockets {
                        socket.connect((plan::SERVER, PORT))?;
                        socket.set_nonblocking(true)?;
                    }
                    Ok(sockets)
                })
                .context("the client has no sockets")?,
        );
        ensure!(sockets.len() == FLOWS, "there are {} addresses", sockets.len());
        let stop = Arc::new(AtomicBool::new(false));
        let (of_sender, stopped) = (Arc::clone(&sockets), Arc::clone(&stop));
        let sender = thread::Builder::new()
            .name("sender".into())
            .spawn(move || send(&of_sender, &stopped))?;
        let stopped = Arc::clone(&stop);
        let receiver = thread::Builder::new()
            .name("receiver".into())
            .spawn(move || receive(&sockets, &stopped))?;
        Ok(Self { stop, sender, receiver })
    }

    /// Ends it, and says what became of each packet.
    pub(crate) fn finish(self) -> Result<Record> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        let received =
            self.receiver.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?;
        let mut packets: Vec<Packet> =
            sent.into_iter().map(|sent| Packet { sent, by: None }).collect();
        for (number, by) in received {
            let packet = packets.get_mut(number).context("a packet came that was never sent")?;
            packet.by = Some(by);
        }
        Ok(Record(packets))
    }
}

/// Sends bursts at their times, the flows in turn.
fn send(sockets: &[UdpSocket], stop: &AtomicBool) -> io::Result<Vec<Instant>> {
    let _ = claim_realtime();
    let mut sent = Vec::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // What was held up is made up for.
        due += PACE;
        for _ in 0..BURST {
            let number = sent.len();
            let mut packet = [0; LENGTH];
            packet[..NUMBER].copy_from_slice(&(number as u64).to_be_bytes());
            sent.push(Instant::now());
            // What cannot be sent is lost.
            let _ = sockets[number % FLOWS].send(&packet);
        }
    }
    Ok(sent)
}

/// Takes in what comes back, until nothing does for a while after the end.
fn receive(sockets: &[UdpSocket], stop: &AtomicBool) -> Vec<(usize, Ipv4Addr)> {
    let _ = claim_realtime();
    let mut received = Vec::new();
    let mut buffer = [0; LENGTH];
    loop {
        let mut fds: Vec<_> =
            sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::from(50_u8)) {
            Ok(0) if stop.load(Ordering::Relaxed) => return received,
            Ok(_) | Err(_) => {}
        }
        for socket in sockets {
            while let Ok(LENGTH) = socket.recv(&mut buffer) {
                let (number, by) = buffer.split_at(NUMBER);
                if let (Ok(number), Ok(by)) = (number.try_into(), <[u8; 4]>::try_from(by)) {
                    received.push((u64::from_be_bytes(number) as usize, by.into()));
                }
            }
        }
        // Several milliseconds' at once: a look at all flows costs as much as many packets.
        thread::sleep(Duration::from_millis(2));
    }
}
