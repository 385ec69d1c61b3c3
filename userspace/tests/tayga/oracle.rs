//! TAYGA at work.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::process::{Child, Stdio};
use std::time::Duration;

use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::A;
use pointsman_ebpf::memory::site6::Prefix;
use pointsman_lab::{Namespace, wait_until};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use tempfile::TempDir;

use crate::packets::{HOST, server6};

/// How long anything may take that happens at once.
const BOUND: Duration = Duration::from_secs(20);

/// What ends the answer to a packet: a datagram that is translated after it.
const LAST: &[u8] = b"that was all";

/// TAYGA at work, and the packets that go into its device and come out.
pub(crate) struct Tayga {
    process: Child,
    device: Socket,
    to: [SockAddr; 2],
    prefix: Prefix,
    _host: Namespace,
    _directory: TempDir,
}

impl Tayga {
    /// With this prefix, and the LAN's host for the gateway's public address.
    pub(crate) fn start(prefix: Prefix) -> Self {
        let host = Namespace::new("tayga").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tayga.conf");
        let (network, length) = prefix;
        let configuration = format!(
            "tun-device nat64\n\
             ipv4-addr 192.88.99.1\n\
             ipv6-addr fd00:64::1\n\
             prefix {network}/{length}\n\
             map {} {}\n",
            A.address, HOST.0
        );
        fs::write(&file, configuration).unwrap();
        let process = host
            .command("tayga")
            .args(["--nodetach", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut index = 0;
        wait_until("TAYGA has its device", BOUND, || {
            let found = host.run(|| nix::net::if_::if_nametoindex("nat64"));
            index = found.unwrap_or_default();
            Ok(index != 0)
        })
        .unwrap();
        host.ip("link set nat64 up mtu 1500").unwrap();
        // All protocols.
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(all)));
        let device = host.run(open).unwrap();
        device.set_read_timeout(Some(BOUND)).unwrap();
        device.bind(&address(index, libc::ETH_P_ALL)).unwrap();
        let to = [libc::ETH_P_IP, libc::ETH_P_IPV6].map(|protocol| address(index, protocol));
        Self { process, device, to, prefix, _host: host, _directory: directory }
    }

    fn send(&self, packet: &[u8]) {
        let version = packet[0] >> 4;
        let sent = self.device.send_to(packet, &self.to[usize::from(version == 6)]).unwrap();
        assert_eq!(sent, packet.len());
    }

    /// What becomes of a packet: none, one, or several.
    pub(crate) fn translate(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.send(packet);
        let last = PacketBuilder6::udp(HOST, server6(self.prefix)).payload(LAST).build();
        self.send(&last[14..]);
        let mut packets = Vec::new();
        loop {
            let packet = self.receive().unwrap();
            if packet.ends_with(LAST) {
                return packets;
            }
            packets.push(packet);
        }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        loop {
            let (len, from) = self.device.recv_from(&mut buffer)?;
            // What others send is no answer: the kernel may have something to say to the device.
            if kind(&from) == libc::PACKET_OUTGOING {
                continue;
            }
            // SAFETY: the kernel has written as many bytes.
            return Ok(buffer[..len].iter().map(|byte| unsafe { byte.assume_init() }).collect());
        }
    }
}

impl Drop for Tayga {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The link-layer address of packets of a protocol that go into an interface.
fn address(index: u32, protocol: i32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: every address of the kernel's fits the storage, and zeros are one.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: what was written is of this length, and says which family it is of.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) }
}

/// Whether a packet came from the device, or from this host to it.
fn kind(address: &SockAddr) -> u8 {
    assert_eq!(address.family(), libc::AF_PACKET as u16);
    // SAFETY: the kernel has written an address of this family.
    unsafe { (*address.as_ptr().cast::<libc::sockaddr_ll>()).sll_pkttype }
}
