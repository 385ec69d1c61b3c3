//! Whole frames, made by hand.

use pointsman_lab::Nic;
use socket2::{Domain, SockAddr, Socket, Type};

/// Sends whole frames by an interface.
pub(crate) struct Wire {
    socket: Socket,
    to: SockAddr,
}

impl Wire {
    pub(crate) fn new(nic: &Nic) -> Self {
        let open = || Socket::new(Domain::PACKET, Type::RAW, None);
        let socket = nic.namespace().run(open).unwrap();
        // SAFETY: a link-layer address is plain integers, and fits the storage.
        let ((), to) = unsafe {
            SockAddr::try_init(|storage, length| {
                let address = &mut *storage.cast::<libc::sockaddr_ll>();
                address.sll_family = libc::AF_PACKET as u16;
                address.sll_ifindex = nic.index() as i32;
                *length = size_of::<libc::sockaddr_ll>() as u32;
                Ok(())
            })
        }
        .unwrap();
        Self { socket, to }
    }

    /// Sends a frame. That there is no room for it just now is no failure.
    pub(crate) fn send(&self, frame: &[u8]) {
        match self.socket.send_to(frame, &self.to) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => panic!("a frame is not sent: {error}"),
        }
    }
}
