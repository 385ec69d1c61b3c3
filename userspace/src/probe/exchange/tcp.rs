use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};
use tokio::net::TcpStream;

use super::Failure;
use super::socket::Bound;

sockopt_impl!(
    /// What the kernel knows of a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// Opens a connection, and says how long the target took to take it.
pub(super) async fn connect(
    bound: Bound,
    target: SocketAddr,
    start: Instant,
) -> Result<Duration, Failure> {
    let stream = bound.connect(target).await?;
    let elapsed = start.elapsed();
    Ok(handshake(&stream).map_or(elapsed, |measured| measured.min(elapsed)))
}

/// From the SYN to its answer, as the kernel has measured it; `None` where it had to send it again,
/// after which it does not know.
fn handshake(stream: &TcpStream) -> Option<Duration> {
    let info = getsockopt(stream, TcpInfo).ok()?;
    let is_measured = info.tcpi_total_retrans == 0 && info.tcpi_rtt > 0;
    is_measured.then(|| Duration::from_micros(info.tcpi_rtt.into()))
}
