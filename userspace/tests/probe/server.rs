//! Servers in hosts of the laboratory. They end with their values.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pointsman_lab::Namespace;
use socket2::SockRef;

/// How often a server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// A server that runs.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    /// How many times it was asked.
    asked: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Takes connections to this address, and has `serve` serve each on a thread of its own.
    pub(crate) fn tcp(
        host: &Namespace,
        address: SocketAddr,
        serve: impl Fn(TcpStream, SocketAddr) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = host.run(|| TcpListener::bind(address))?;
        // This holds for taking connections, too.
        SockRef::from(&listener).set_read_timeout(Some(LOOK))?;
        let serve = Arc::new(serve);
        Ok(Self::run(move |stop, asked| {
            while !stop.load(Ordering::Relaxed) {
                if let Ok((stream, peer)) = listener.accept() {
                    // Which it has from the listener.
                    let _ = stream.set_read_timeout(None);
                    asked.fetch_add(1, Ordering::Relaxed);
                    let serve = Arc::clone(&serve);
                    thread::spawn(move || serve(stream, peer));
                }
            }
        }))
    }

    /// Takes datagrams to this address, and sends back what `answer` makes of each.
    pub(crate) fn udp(
        host: &Namespace,
        address: SocketAddr,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> io::Result<Self> {
        let socket = host.run(|| UdpSocket::bind(address))?;
        socket.set_read_timeout(Some(LOOK))?;
        Ok(Self::run(move |stop, asked| {
            let mut buffer = [0; 1500];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
                asked.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&buffer[..length]) {
                    // Who asked may have gone.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        }))
    }

    fn run(work: impl FnOnce(&AtomicBool, &AtomicUsize) + Send + 'static) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (until, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = Some(thread::spawn(move || work(&until, &count)));
        Self { stop, asked, thread }
    }

    /// How many times it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

/// Reads the head of an HTTP request.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
