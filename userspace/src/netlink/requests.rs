use std::io;
use std::os::fd::AsRawFd as _;

use netlink_packet_core::{NLM_F_ACK, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;

use super::Error;
use super::socket::{self, DATAGRAM};

/// Requests of which only whether the kernel agrees is of interest.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Requests {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Open`] if the kernel gives no such socket.
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self { socket: socket::open()?, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Sends a request, and reads the kernel's answer: it answers while the request is being sent.
    ///
    /// # Errors
    /// Where the socket fails. What the kernel says against it is in what is returned.
    pub(super) fn ask(
        &mut self,
        flags: u16,
        message: RouteNetlinkMessage,
    ) -> io::Result<io::Result<()>> {
        self.sequence = self.sequence.wrapping_add(1);
        socket::send(&self.socket, self.sequence, flags | NLM_F_ACK, message)?;
        loop {
            let length = nix::sys::socket::recv(
                self.socket.as_raw_fd(),
                &mut self.buffer,
                nix::sys::socket::MsgFlags::MSG_DONTWAIT,
            )?;
            for message in socket::messages(&self.buffer[..length]) {
                // What was asked for comes before the acknowledgement.
                if let NetlinkPayload::Error(error) = message.payload
                    && message.header.sequence_number == self.sequence
                {
                    return Ok(error.code.map_or(Ok(()), |_| Err(error.to_io())));
                }
            }
        }
    }
}
