//! The server beyond all providers.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use pointsman_lab::{Namespace, plan::SERVER};

use super::{
    message::{self, Message},
    worker::{Stop, Worker},
};

/// How often the server looks for requests. Nothing that is measured depends on when an answer
/// comes, so packets are answered together, which costs less than to be woken for each.
const PAUSE: Duration = Duration::from_millis(1);

/// Room for the requests of half a second in which the server does not run, in bytes.
const BUFFER: usize = 16 << 20;

/// Starts to answer every request with the address it came from.
pub(super) fn start(server: &Namespace) -> io::Result<Worker<()>> {
    let socket = server.run(|| UdpSocket::bind((SERVER, message::PORT)))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, RcvBufForce, &BUFFER)?;
    Worker::start("echo", move |stop| answer_until(stop, &socket))
}

fn answer_until(stop: &Stop, socket: &UdpSocket) -> io::Result<()> {
    // One byte more, to tell what is too long.
    let mut buffer = [0; message::LEN + 1];
    while !stop.is_set() {
        match socket.recv_from(&mut buffer) {
            Ok((length, peer)) => {
                let IpAddr::V4(address) = peer.ip() else {
                    continue;
                };
                if let Some(answer) = answer(&buffer[..length], address) {
                    // Where it cannot be sent, it is lost, and the client counts it.
                    let _ = socket.send_to(&answer, peer);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            // An ICMP error about an earlier answer.
            Err(_) => {}
        }
    }
    Ok(())
}

fn answer(request: &[u8], address: Ipv4Addr) -> Option<[u8; message::LEN]> {
    let request = Message::from_bytes(request)?;
    Some(Message { address, ..request }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_number_asked_and_the_address_seen() {
        let request = Message { number: 7, address: Ipv4Addr::UNSPECIFIED };
        let seen = Ipv4Addr::new(198, 51, 100, 2);
        let answer = answer(&request.to_bytes(), seen).expect("it is a request");
        let expected = Message { number: 7, address: seen };
        assert_eq!(Message::from_bytes(&answer), Some(expected));
        assert_eq!(super::answer(b"hello", seen), None);
    }
}
