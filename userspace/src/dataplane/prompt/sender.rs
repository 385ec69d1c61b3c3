use std::io;

use crate::probe::FrameSender;

/// Sends frames, and says once what was wrong.
#[derive(Default)]
pub(crate) struct Sender {
    /// Opened when the first frame is sent.
    socket: Option<FrameSender>,
    complained: bool,
}

impl Sender {
    /// Sends a frame by an interface. One that cannot be sent is as one that is lost.
    pub(crate) fn send(&mut self, interface: u32, frame: &[u8]) {
        let sent = self.try_send(interface, frame);
        if let Err(error) = sent
            && !self.complained
        {
            self.complained = true;
            log::error!(
                "LAN hosts are not told that their connections are over before they send: {error}"
            );
        }
    }

    fn try_send(&mut self, interface: u32, frame: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => FrameSender::open()?,
        };
        self.socket.insert(socket).send(interface, frame)
    }
}
