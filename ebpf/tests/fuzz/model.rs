use std::collections::HashMap;

/// An address and a port, or the identifier of an echo in the place of the one at its sender.
type End = [u8; 6];

/// What an answer must find: uplink, protocol, remote end, public end.
type Public = (u8, u8, End, End);

/// An independent book of who asked whom: every answer belongs to the host that last used its
/// public end towards that remote end.
#[derive(Default)]
pub(crate) struct Model {
    asked: HashMap<Public, End>,
}

impl Model {
    /// A packet of the LAN, `before` and `after` it was translated to leave by the uplink.
    pub(crate) fn left(&mut self, uplink: u8, before: &[u8], after: &[u8]) {
        let public = (uplink, after[23], destination(after), source(after));
        self.asked.insert(public, source(before));
    }

    /// Where in the LAN a packet that came in by the uplink has to go.
    pub(crate) fn host(&self, uplink: u8, before: &[u8]) -> Option<End> {
        let public = (uplink, before[23], source(before), destination(before));
        self.asked.get(&public).copied()
    }
}

/// The sender's end, at the remote end's side of an echo without the identifier.
fn source(frame: &[u8]) -> End {
    let transport = transport(frame);
    match (frame[23], frame[transport]) {
        (ICMP, ECHO_REPLY) => end(frame, 26, None),
        (ICMP, _) => end(frame, 26, Some(transport + 4)),
        _ => end(frame, 26, Some(transport)),
    }
}

/// The receiver's end, likewise.
pub(crate) fn destination(frame: &[u8]) -> End {
    let transport = transport(frame);
    match (frame[23], frame[transport]) {
        (ICMP, ECHO_REPLY) => end(frame, 30, Some(transport + 4)),
        (ICMP, _) => end(frame, 30, None),
        _ => end(frame, 30, Some(transport + 2)),
    }
}

const ICMP: u8 = 1;
const ECHO_REPLY: u8 = 0;

fn transport(frame: &[u8]) -> usize {
    14 + usize::from(frame[14] & 15) * 4
}

fn end(frame: &[u8], address: usize, port: Option<usize>) -> End {
    let mut end = [0; 6];
    end[..4].copy_from_slice(&frame[address..address + 4]);
    if let Some(port) = port {
        end[4..].copy_from_slice(&frame[port..port + 2]);
    }
    end
}
