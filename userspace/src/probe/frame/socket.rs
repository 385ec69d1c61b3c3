use std::io;
use std::net::IpAddr;
use std::time::Instant;

use tokio::io::unix::AsyncFd;

use super::filter;
use super::session::{Frame, Question};
use crate::probe::PacketSocket;

/// A socket that sends packets of one protocol out of one interface, and receives from it the answers
/// to one question.
pub(super) struct FrameSocket(AsyncFd<PacketSocket>);

impl FrameSocket {
    /// Opens the socket in the calling thread's network namespace.
    pub(super) fn open(interface: u32, question: Question, identifier: u16) -> io::Result<Self> {
        let protocol = match question {
            Question::Echo(IpAddr::V4(_)) => libc::ETH_P_IP,
            Question::Echo(IpAddr::V6(_)) | Question::Nd => libc::ETH_P_IPV6,
            Question::Arp => libc::ETH_P_ARP,
        } as u16;
        let filter = filter::answers(question, identifier);
        let socket = PacketSocket::open(interface, protocol, &filter)?;
        // SAFETY: the socket is moved in; it owns its descriptor, and keeps it open and the same
        // until it is dropped.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self(socket))
    }

    /// Sends a frame.
    pub(super) fn send(&self, Frame { mac, packet }: &Frame) -> io::Result<()> {
        self.0.get_ref().send(*mac, packet)
    }

    /// Waits until there may be something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        // The caller reads until nothing is left, so the readiness is used up.
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    /// The next packet that has arrived, its length in `buffer` and when the kernel got it.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Instant)>> {
        self.0.get_ref().receive(buffer)
    }
}
