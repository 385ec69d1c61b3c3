/// The length of an ICMP echo's header, in bytes (RFC 792, RFC 4443 section 4.1).
const ECHO_HEADER: usize = 8;
/// The length of what an echo carries, in bytes.
pub(super) const TOKEN: usize = 8;
/// The length of the whole message, in bytes.
pub(super) const MESSAGE: usize = ECHO_HEADER + TOKEN;

/// An echo request, or the reply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo<A> {
    /// Who sends it.
    pub(super) source: A,
    /// To whom.
    pub(super) destination: A,
    /// Tells the sender's sessions apart.
    pub(super) identifier: u16,
    /// Tells the requests of a session apart.
    pub(super) sequence: u16,
    /// What the request carries and the reply brings back.
    pub(super) token: [u8; TOKEN],
}

impl<A> Echo<A> {
    /// The message of this type, without its checksum.
    pub(super) fn message(&self, kind: u8) -> [u8; MESSAGE] {
        let mut message = [0; MESSAGE];
        message[0] = kind;
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        message[ECHO_HEADER..].copy_from_slice(&self.token);
        message
    }

    /// Reads a message between these addresses, if it is one of this type, and as long as a request.
    pub(super) fn of(kind: u8, (source, destination): (A, A), message: &[u8]) -> Option<Self> {
        if message.len() != MESSAGE || message[..2] != [kind, 0] {
            return None;
        }
        Some(Self {
            source,
            destination,
            identifier: u16_at(message, 4)?,
            sequence: u16_at(message, 6)?,
            token: message[ECHO_HEADER..].try_into().ok()?,
        })
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
