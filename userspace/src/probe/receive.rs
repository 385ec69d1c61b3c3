use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::{Duration, Instant, SystemTime};

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

thread_local! {
    /// Both clocks as they were when this thread looked last.
    static LAST: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// The kernel stamps packets by the wall clock; only how long ago it was counts here.
fn to_instant(stamp: TimeSpec) -> Instant {
    let clocks = (Instant::now(), SystemTime::now());
    let age = age(SystemTime::UNIX_EPOCH + stamp.into(), clocks, LAST.replace(Some(clocks)));
    clocks.0.checked_sub(age).unwrap_or(clocks.0)
}

/// How long ago a packet was stamped. Where the wall clock has been set since the clocks were looked at
/// last, a stamp may be by what it was before, and says nothing: the packet counts as just arrived.
fn age(
    stamp: SystemTime,
    (now, wall): (Instant, SystemTime),
    last: Option<(Instant, SystemTime)>,
) -> Duration {
    let is_steady = last.is_none_or(|(then, wall_then)| {
        let passed = now.saturating_duration_since(then);
        let shown = wall.duration_since(wall_then);
        shown.is_ok_and(|shown| shown.abs_diff(passed) <= READING + passed / SLEWING)
    });
    if is_steady { wall.duration_since(stamp).unwrap_or_default() } else { Duration::ZERO }
}

/// How far apart the readings of two clocks may be that are taken one after the other.
const READING: Duration = Duration::from_millis(1);

/// One part in so many is what a clock that is being corrected, and not set, may gain or lose: twice what
/// adjtimex(2) does.
const SLEWING: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The age of a packet that was stamped 2 ms ago, 10 s after the clocks were looked at last, if the wall
    /// clock has been set by this since it was stamped.
    fn age_if_set(set: impl FnOnce(SystemTime) -> SystemTime) -> Duration {
        let (then, wall_then) = (Instant::now(), SystemTime::UNIX_EPOCH + 1000 * HOUR);
        let passed = Duration::from_secs(10);
        let stamp = wall_then + passed - Duration::from_millis(2);
        age(stamp, (then + passed, set(wall_then + passed)), Some((then, wall_then)))
    }

    #[test]
    fn a_packet_is_as_old_as_its_stamp() {
        assert_eq!(age_if_set(|wall| wall), Duration::from_millis(2));
        // As by NTP, all the while.
        let slewed = Duration::from_millis(4);
        assert_eq!(age_if_set(|wall| wall + slewed), Duration::from_millis(6));
        let wall = SystemTime::UNIX_EPOCH + HOUR;
        let stamp = wall - Duration::from_millis(3);
        assert_eq!(age(stamp, (Instant::now(), wall), None), Duration::from_millis(3));
    }

    #[test]
    fn a_wall_clock_that_is_set_makes_no_packet_old() {
        assert_eq!(age_if_set(|wall| wall + HOUR), Duration::ZERO);
        assert_eq!(age_if_set(|wall| wall - HOUR), Duration::ZERO);
        assert_eq!(age_if_set(|wall| wall + Duration::from_millis(50)), Duration::ZERO);
    }
}
