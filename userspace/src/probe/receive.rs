use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::{Instant, SystemTime};

use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrLike, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};

/// Has the kernel note when a packet arrives at this socket.
pub(crate) fn stamp_arrivals(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
}

/// A socket for nothing but to keep the kernel noting when packets arrive: it takes a while to begin
/// when a first socket wants that, and ends with the last.
pub(super) fn keep_stamping() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    stamp_arrivals(&socket)?;
    Ok(socket)
}

/// The next packet that has arrived at a socket that [`stamp_arrivals`] was called with: its length in
/// `buffer`, when the kernel got it, and from whom, if that is asked for.
pub(crate) fn receive_from<A: SockaddrLike>(
    socket: &impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Instant, Option<A>)>> {
    let mut control = cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    loop {
        match recvmsg::<A>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
            Ok(message) => {
                let arrival = message.cmsgs()?.find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(time) => Some(to_instant(time)),
                    _ => None,
                });
                let arrival = arrival.unwrap_or_else(Instant::now);
                return Ok(Some((message.bytes, arrival, message.address)));
            }
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            // Told once each time that the interface is set down; the socket lives on.
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::ENETDOWN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// As [`receive_from`], from whomever.
pub(super) fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Instant)>> {
    let received = receive_from::<()>(socket, buffer)?;
    Ok(received.map(|(length, arrival, _)| (length, arrival)))
}

/// The kernel stamps packets by the wall clock; only how long ago it was counts here.
fn to_instant(stamp: TimeSpec) -> Instant {
    let now = Instant::now();
    let arrival = SystemTime::UNIX_EPOCH + stamp.into();
    let age = SystemTime::now().duration_since(arrival).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}
