use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike,
        UnknownCmsg, bind, recvmsg, send, setsockopt, socket, sockopt::RcvBufForce,
    },
};

use crate::{LabError, Nic};

/// The longest frame that is received, in bytes.
const FRAME: usize = 1 << 16;

/// Room for the frames of half a second in which the reader does not run, in bytes.
const BUFFER: usize = 16 << 20;

/// How long the MACs of a frame are together, in bytes: a VLAN tag stands after them.
const MACS: usize = 12;

/// Of `struct tpacket_auxdata`, where these fields begin, in bytes.
const STATUS: usize = 0;
const VLAN_TCI: usize = 16;
const VLAN_TPID: usize = 18;

/// A socket that receives whole frames as they come in by an interface, whoever they are for, and
/// sends such frames. It never blocks.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl PacketSocket {
    /// Opens a socket in the interface's namespace.
    ///
    /// # Errors
    ///
    /// Where the interface no longer exists, or the process may not.
    pub fn open(nic: &Nic) -> Result<Self, LabError> {
        let socket = open(nic).map_err(|source| LabError::Device {
            action: "open a packet socket on",
            device: nic.name.clone(),
            label: nic.namespace.label().to_owned(),
            source,
        })?;
        Ok(Self { socket, buffer: vec![0; FRAME] })
    }

    /// The next frame that has come in.
    ///
    /// # Errors
    ///
    /// Where the kernel gives none, but not because the interface is down.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut control = cmsg_space!(libc::tpacket_auxdata);
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let fd = self.socket.as_raw_fd();
        loop {
            match recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => {
                    let tag = message.cmsgs()?.find_map(vlan_tag);
                    let length = message.bytes;
                    return Ok(Some(tagged(&self.buffer[..length], tag)));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                // Told once each time that the interface is set down; the socket lives on.
                Err(Errno::ENETDOWN | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// Where the kernel does not take it, as one that is too long, or while the interface is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

fn open(nic: &Nic) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // Without a protocol the socket receives nothing until it is bound.
    let open = || socket(AddressFamily::Packet, SockType::Raw, flags, None);
    let socket = nic.namespace.run(open)?;
    // VLAN tags come beside the frames, and what is sent from here is not received.
    enable(&socket, libc::PACKET_AUXDATA)?;
    enable(&socket, libc::PACKET_IGNORE_OUTGOING)?;
    setsockopt(&socket, RcvBufForce, &BUFFER)?;
    bind(socket.as_raw_fd(), &link_address(nic.index)?)?;
    Ok(socket)
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets an option of packet sockets that is a flag.
fn enable(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, length) = (libc::SOL_PACKET, size_of_val(&on) as libc::socklen_t);
    // SAFETY: the kernel reads an integer of this length during the call.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), length)
    };
    Errno::result(set)?;
    Ok(())
}

/// The address of all frames of an interface.
fn link_address(index: u32) -> io::Result<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the pointer is to an initialised address of this family, of the length that is given,
    // and is read during the call only.
    let address = unsafe {
        LinkAddr::from_raw((&raw const address).cast(), Some(size_of_val(&address) as u32))
    };
    address.ok_or_else(|| io::Error::other("the system's address of an interface is another one"))
}

/// The VLAN tag that the kernel has taken off a frame and keeps beside it.
fn vlan_tag(control: ControlMessageOwned) -> Option<[u8; 4]> {
    let ControlMessageOwned::Unknown(UnknownCmsg { cmsg_header, data_bytes }) = control else {
        return None;
    };
    if (cmsg_header.cmsg_level, cmsg_header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    let status = u32::from_ne_bytes(data_bytes.get(STATUS..)?.first_chunk().copied()?);
    let [tpid, tci] = [VLAN_TPID, VLAN_TCI]
        .map(|field| data_bytes.get(field..)?.first_chunk().copied().map(u16::from_ne_bytes));
    let ([a, b], [c, d]) = (tpid?.to_be_bytes(), tci?.to_be_bytes());
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some([a, b, c, d])
}

/// The frame as it was on the cable.
fn tagged(frame: &[u8], tag: Option<[u8; 4]>) -> Vec<u8> {
    match (tag, frame.split_at_checked(MACS)) {
        (Some(tag), Some((macs, rest))) => [macs, &tag, rest].concat(),
        _ => frame.to_vec(),
    }
}
