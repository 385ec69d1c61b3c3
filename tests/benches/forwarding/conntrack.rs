//! The kernel's table of connections.

use std::{io, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use pointsman_lab::Namespace;

/// `IPCTNL_MSG_CT_DELETE` of `NFNL_SUBSYS_CTNETLINK`: without a connection, it means all of them.
const DELETE: u16 = 1 << 8 | 2;

/// Makes the kernel of a host forget all connections that it follows.
pub(crate) fn flush(host: &Namespace) -> Result<()> {
    let answer = host
        .run(|| -> io::Result<[u8; 20]> {
            let socket = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkNetFilter,
            )?;
            let mut request = Vec::new();
            request.extend(20_u32.to_ne_bytes());
            request.extend(DELETE.to_ne_bytes());
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
            request.extend(flags.to_ne_bytes());
            // Sequence number, port, and the family with version and resource.
            request.extend([0; 8]);
            request.extend([libc::AF_INET as u8, 0, 0, 0]);
            send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
            let mut answer = [0; 20];
            recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            Ok(answer)
        })
        .context("cannot speak to the kernel's connection tracking")?;
    let [.., a, b, c, d] = answer;
    let error = i32::from_ne_bytes([a, b, c, d]);
    ensure!(error == 0, "connections are not forgotten: {}", io::Error::from_raw_os_error(-error));
    Ok(())
}
