//! Sockets below UDP and TCP: raw IP, whole frames, and what the kernel has heard of errors.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use pointsman_lab::{LabError, Namespace, wait_until};
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::BOUND;

/// An ICMP error that the kernel has matched with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IcmpError {
    pub(crate) icmp_type: u8,
    pub(crate) code: u8,
    /// The MTU, where the error is about that.
    pub(crate) info: u32,
    /// Who sent it.
    pub(crate) from: Ipv4Addr,
}

/// Makes the kernel keep the errors that it hears of a socket.
pub(crate) fn keep_errors(socket: &UdpSocket) {
    setsockopt(socket, sockopt::Ipv4RecvErr, &true).unwrap();
}

/// Makes a socket send no fragments, and learn what its path takes.
pub(crate) fn set_mtu_discovery(socket: &UdpSocket) {
    let discover = libc::IP_PMTUDISC_DO;
    // SAFETY: the kernel reads an integer, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const discover).cast(),
            size_of_val(&discover) as u32,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Waits for the next ICMP error about what the socket has sent.
pub(crate) fn next_error(socket: &UdpSocket) -> IcmpError {
    let mut found = None;
    wait_until("an ICMP error has come", BOUND, || {
        found = read_error(socket).map_err(|errno| unreadable(errno.into()))?;
        Ok(found.is_some())
    })
    .unwrap();
    found.unwrap()
}

fn unreadable(source: io::Error) -> LabError {
    LabError::Namespace { label: "errors of a socket".to_owned(), source }
}

fn read_error(socket: &UdpSocket) -> nix::Result<Option<IcmpError>> {
    let mut payload = [0; 2048];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        match recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            message => message?,
        };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4RecvErr(error, Some(from)) = control
            && error.ee_origin == libc::SO_EE_ORIGIN_ICMP
        {
            let from = u32::from_be(from.sin_addr.s_addr).into();
            let libc::sock_extended_err { ee_type: icmp_type, ee_code: code, ee_info, .. } = error;
            return Ok(Some(IcmpError { icmp_type, code, info: ee_info, from }));
        }
    }
    Ok(None)
}

/// A socket for one IP protocol, of one of a host's addresses.
pub(crate) struct RawIp(Socket);

impl RawIp {
    pub(crate) fn new(host: &Namespace, address: Ipv4Addr, protocol: i32) -> Self {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol)));
        let socket = host.run(open).unwrap();
        socket.bind(&SocketAddrV4::new(address, 0).into()).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&self, to: Ipv4Addr, payload: &[u8]) {
        let to = SocketAddrV4::new(to, 0);
        assert_eq!(self.0.send_to(payload, &to.into()).unwrap(), payload.len());
    }

    /// The payload of the next packet, and its source and destination.
    pub(crate) fn receive(&self) -> (Vec<u8>, Ipv4Addr, Ipv4Addr) {
        let mut buffer = Vec::with_capacity(65_535);
        self.0.recv_from(buffer.spare_capacity_mut()).map_or_else(
            |error| panic!("no packet came: {error}"),
            |(length, _)| {
                // SAFETY: the kernel has written as many bytes.
                unsafe { buffer.set_len(length) };
            },
        );
        let address =
            |at: usize| Ipv4Addr::new(buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]);
        let header = usize::from(buffer[0] & 0x0f) * 4;
        (buffer[header..].to_vec(), address(12), address(16))
    }
}
