use std::io::{self, IoSliceMut};
use std::mem::size_of;
use std::os::fd::AsRawFd as _;
use std::time::{Instant, SystemTime};

use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

/// A socket that sends IPv4 packets out of one interface, and receives from it the echo replies
/// that carry one identifier.
pub(super) struct EchoSocket {
    socket: AsyncFd<Socket>,
    interface: u32,
}

impl EchoSocket {
    /// Opens the socket in the calling thread's network namespace.
    pub(super) fn open(interface: u32, identifier: u16) -> io::Result<Self> {
        // Without a protocol the socket receives nothing until it is bound: the filter comes first.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&echo_replies(identifier))?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        socket.bind(&link_address(interface, [0; 6])?)?;
        // SAFETY: the socket is moved in; it owns its descriptor, and keeps it open and the same
        // until it is dropped.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self { socket, interface })
    }

    /// Sends an IPv4 packet in a frame to this MAC.
    pub(super) fn send(&self, packet: &[u8], mac: [u8; 6]) -> io::Result<()> {
        let address = link_address(self.interface, mac)?;
        self.socket.get_ref().send_to(packet, &address).map(drop)
    }

    /// Waits until there may be something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        // The caller reads until nothing is left, so the readiness is used up.
        self.socket.readable().await?.clear_ready();
        Ok(())
    }

    /// The next packet that has arrived, its length in `buffer` and when the kernel got it.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Instant)>> {
        let mut control = cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.get_ref().as_raw_fd();
        loop {
            match recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => {
                    let arrival = message.cmsgs()?.find_map(|control| match control {
                        ControlMessageOwned::ScmTimestampns(time) => Some(to_instant(time)),
                        _ => None,
                    });
                    return Ok(Some((message.bytes, arrival.unwrap_or_else(Instant::now))));
                }
                Err(nix::errno::Errno::EAGAIN) => return Ok(None),
                // Told once each time that the interface is set down; the socket lives on.
                Err(nix::errno::Errno::ENETDOWN | nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The kernel stamps packets by the wall clock; only how long ago it was counts here.
pub(crate) fn to_instant(stamp: TimeSpec) -> Instant {
    let now = Instant::now();
    let arrival = SystemTime::UNIX_EPOCH + stamp.into();
    let age = SystemTime::now().duration_since(arrival).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// An address for a socket of the family `AF_PACKET`, for IPv4.
fn link_address(interface: u32, mac: [u8; 6]) -> io::Result<SockAddr> {
    let interface = i32::try_from(interface).map_err(io::Error::other)?;
    let mut octets = [0; 8];
    octets[..6].copy_from_slice(&mac);
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_IP as u16).to_be(),
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: octets,
    };
    // SAFETY: the storage is as large and as aligned as any socket address has to be, and after the
    // write it holds an initialised one of the length that is set.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            storage.cast::<libc::sockaddr_ll>().write(address);
            length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t);
            Ok(())
        })
    }?;
    Ok(address)
}

/// Accepts unfragmented ICMP echo replies with this identifier. The packet starts with its IPv4
/// header. What is more to check is cheaper to check once it has passed here.
fn echo_replies(identifier: u16) -> [SockFilter; 11] {
    const PROTOCOL: u32 = 9;
    const FRAGMENT: u32 = 6;
    const FRAGMENT_MASK: u32 = 0x3fff;
    const TYPE: u32 = 0;
    const IDENTIFIER: u32 = 4;
    let load_u8 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    let load_u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    let load_header_length = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    let load_icmp_u8 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
    let load_icmp_u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let if_set = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    let accept = (libc::BPF_RET | libc::BPF_K) as u16;
    [
        SockFilter::new(load_u8, 0, 0, PROTOCOL),
        SockFilter::new(if_equal, 0, 8, libc::IPPROTO_ICMP as u32),
        SockFilter::new(load_u16, 0, 0, FRAGMENT),
        SockFilter::new(if_set, 6, 0, FRAGMENT_MASK),
        SockFilter::new(load_header_length, 0, 0, 0),
        SockFilter::new(load_icmp_u8, 0, 0, TYPE),
        SockFilter::new(if_equal, 0, 3, 0),
        SockFilter::new(load_icmp_u16, 0, 0, IDENTIFIER),
        SockFilter::new(if_equal, 0, 1, u32::from(identifier)),
        SockFilter::new(accept, 0, 0, u32::MAX),
        SockFilter::new(accept, 0, 0, 0),
    ]
}
