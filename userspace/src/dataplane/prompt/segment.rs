//! A segment that nobody can take.

use pointsman_ebpf::abi::{Flow, FlowKey, Progress, Vlan};
use pointsman_ebpf::wire::{Protocol, checksum, tcp_flags};

const IPV4: [u8; 2] = [8, 0];
const CUSTOMER: [u8; 2] = [0x81, 0];
const SERVICE: [u8; 2] = [0x88, 0xa8];

/// What lies as far from a sequence number as any can, and no window reaches half as far (RFC 7323 section 2.3).
const HALF: u32 = 1 << 31;

/// The frame to the LAN host of a connection, of which this is the entry for what comes in.
pub(super) fn frame(key: &FlowKey, flow: &Flow, vlan: Vlan) -> Vec<u8> {
    let mut frame = flow.lan.macs().words().concat();
    for (id, is_service) in [vlan.outer(), vlan.inner()].into_iter().flatten() {
        frame.extend(if is_service { SERVICE } else { CUSTOMER });
        frame.extend(id.to_be_bytes());
    }
    frame.extend(IPV4);
    frame.extend(packet(key, flow));
    frame
}

/// An ACK without data, from the other end to the host's.
fn packet(key: &FlowKey, flow: &Flow) -> Vec<u8> {
    let addresses = [key.source().octets(), flow.address.octets()].concat();
    let sequence = (Progress(flow.progress).0 as u32).wrapping_add(HALF);
    let mut tcp = [key.source_port().octets(), flow.port.octets()].concat();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend([5 << 4, tcp_flags::ACK, 0, 0, 0, 0, 0, 0]);
    let pseudo_header = [&addresses[..], &[0, Protocol::TCP, 0, tcp.len() as u8]].concat();
    seal(&mut tcp, 16, checksum::sum(&pseudo_header, 0));
    // It is sent whole, so it needs no identification (RFC 6864 section 4.1).
    let total = 20 + tcp.len() as u8;
    let mut ip = vec![0x45, 0, 0, total, 0, 0, 0x40, 0, 64, Protocol::TCP, 0, 0];
    ip.extend(addresses);
    seal(&mut ip, 10, 0);
    [ip, tcp].concat()
}

/// Writes the checksum over a header, and what else it covers, into its place, which is zero.
fn seal(header: &mut [u8], at: usize, besides: u64) {
    let sum = !checksum::fold(checksum::sum(header, besides));
    header[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
}
