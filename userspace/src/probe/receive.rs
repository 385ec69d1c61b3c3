use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::{Instant, SystemTime};

use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};

/// Has the kernel note when a packet arrives at this socket.
pub(super) fn stamp_arrivals(socket: &impl AsFd) -> io::Result<()> {
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
/// `buffer`, and when the kernel got it.
pub(super) fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Instant)>> {
    let mut control = cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
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
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
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
