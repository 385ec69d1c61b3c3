//! The maximum segment size among the options of a TCP header (RFC 9293 section 3.2).

use super::{Frame, Tcp, tcp_option};

/// The most bytes of options that a TCP header can have.
const MAX_OPTIONS: usize = 40;

/// Where the value of the option stands, from the start of the TCP header at `transport`, of which
/// `header_len` bytes are there. Nothing where the options are malformed or cut short before it.
///
/// It goes byte by byte, and not option by option: the verifier then knows each place, and goes
/// through the loop once and not once for every way that options can follow each other.
#[inline(always)]
pub fn find<F: Frame>(frame: &F, transport: usize, header_len: usize) -> Option<usize> {
    let mut next = size_of::<Tcp>();
    for at in size_of::<Tcp>()..size_of::<Tcp>() + MAX_OPTIONS {
        if at >= header_len {
            break;
        }
        if at < next {
            continue;
        }
        // Where there is but one byte left, it is no segment size.
        let [kind, len] = frame.read::<[u8; 2]>(transport + at)?;
        match kind {
            tcp_option::END => break,
            tcp_option::NOP => next = at + 1,
            tcp_option::MSS if len == tcp_option::MSS_LEN => {
                return (at + usize::from(len) <= header_len).then_some(at + 2);
            }
            tcp_option::MSS => break,
            _ if len < 2 => break,
            _ => next = at + usize::from(len),
        }
    }
    None
}
