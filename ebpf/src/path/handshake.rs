//! How long the answers to the SYNs of LAN hosts take by an uplink, and how many SYNs come again: a sample, from
//! real traffic.
//!
//! It is looked at what no translation changes. Only packets that start a connection are, and these are never sent
//! by the first stage: an established one pays nothing.

use super::Tables;
use crate::abi::{ATTEMPT_PATIENCE, AttemptKey, Direction, HandshakeCount};
use crate::wire::{Frame, Tcp, tcp_flags};

/// Takes note of a TCP segment with SYN that is forwarded this way by this uplink. Its header is at `transport`.
#[inline(always)]
pub(super) fn time<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    transport: usize,
    (uplink, direction): (u8, Direction),
) {
    let Some(tcp) = frame.read::<Tcp>(transport) else { return };
    let is_answer = tcp.flags & tcp_flags::ACK != 0;
    if direction == Direction::Out && !is_answer {
        let port = tcp.ports.destination().to_host();
        tables.syn_sent(AttemptKey::new(uplink, port, tcp.sequence()));
    } else if direction == Direction::In && is_answer {
        let sequence = tcp.acknowledgment().wrapping_sub(1);
        let port = tcp.ports.source().to_host();
        tables.syn_answered(AttemptKey::new(uplink, port, sequence));
    }
}

/// A SYN has left. Called through [`Tables::syn_sent`].
#[inline(always)]
pub fn syn_sent<T: Tables>(tables: &T, key: AttemptKey) {
    let Some(attempt) = tables.attempt(key.place()) else { return };
    let known = AttemptKey(attempt.key.acquire());
    if known.is_of(key) {
        if !known.is_repeated() {
            // Unless another CPU has the answer now.
            attempt.key.replace(known.0, key.repeated().0);
        }
        count(tables, key, HandshakeCount::REPEATED);
        return;
    }
    let sent = attempt.sent.load();
    let now = tables.exact_now();
    if known == AttemptKey::default() || now.saturating_sub(sent) > ATTEMPT_PATIENCE {
        // In this order, for another CPU may have the answer soon.
        attempt.sent.store(now);
        attempt.key.release(key.0);
        count(tables, key, HandshakeCount::BEGUN);
    }
}

/// A SYN and ACK has come. Called through [`Tables::syn_answered`].
#[inline(always)]
pub fn syn_answered<T: Tables>(tables: &T, key: AttemptKey) {
    let Some(attempt) = tables.attempt(key.place()) else { return };
    let known = AttemptKey(attempt.key.acquire());
    if !known.is_of(key) {
        return;
    }
    let took = tables.exact_now().saturating_sub(attempt.sent.load());
    // Of an answer that comes twice, one counts.
    if attempt.key.replace(known.0, AttemptKey::default().0) {
        let what = match known.is_repeated() {
            true => HandshakeCount::LATE,
            false => HandshakeCount::answered_after(took),
        };
        count(tables, key, what);
    }
}

#[inline(always)]
fn count<T: Tables>(tables: &T, key: AttemptKey, what: HandshakeCount) {
    if let Some(word) = tables.handshakes(what.of(key.uplink())) {
        word.count_up();
    }
}
