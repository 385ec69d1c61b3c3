/// The length of an ICMP echo's header, in bytes (RFC 792, RFC 4443 section 4.1).
pub(super) const ECHO_HEADER: usize = 8;
/// The length of what an echo carries, in bytes.
pub(super) const TOKEN: usize = 8;

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

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
