use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::ProbeId;
use super::echo::{Echo, REQUEST};

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered in time.
    Answered {
        /// From sending the request to the reply's arrival at the host.
        rtt: Duration,
    },
    /// No answer came in time.
    Lost,
    /// The probe could not be sent, for this reason.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { rtt } => write!(f, "answered in {rtt:.1?}"),
            Self::Lost => f.write_str("lost"),
            Self::Failed(reason) => write!(f, "not sent: {reason}"),
        }
    }
}

/// A probe whose outcome is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeEvent {
    /// Which probe it is.
    pub probe: ProbeId,
    /// When it was sent.
    pub sent_at: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// The echo requests that are under way, and what becomes of them. It has neither socket nor clock:
/// the caller sends, receives and tells the time.
///
/// Read all replies that have arrived before asking for the losses, else a caller that was held up
/// takes answered probes for lost ones.
#[derive(Debug)]
pub struct EchoSession {
    identifier: u16,
    token: [u8; 8],
    timeout: Duration,
    next_sequence: u16,
    pending: BTreeMap<u16, Pending>,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    source: Ipv4Addr,
    target: Ipv4Addr,
    sent_at: Instant,
}

impl EchoSession {
    /// A session that takes replies with this identifier and token as its own, within `timeout`.
    pub fn new(identifier: u16, token: [u8; 8], timeout: Duration) -> Self {
        Self { identifier, token, timeout, next_sequence: 0, pending: BTreeMap::new() }
    }

    /// The IPv4 packet of a new request, taken to be sent at `now`.
    ///
    /// After 65,536 requests the sequence numbers come round: a request that is still under way
    /// under the same number then is forgotten.
    pub fn request(&mut self, source: Ipv4Addr, target: Ipv4Addr, now: Instant) -> [u8; REQUEST] {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.pending.insert(sequence, Pending { source, target, sent_at: now });
        let Self { identifier, token, .. } = *self;
        Echo { source, destination: target, identifier, sequence, token }.request()
    }

    /// Takes back the newest request, which could not be sent.
    pub fn unsent(&mut self, reason: String) -> Option<ProbeEvent> {
        let sequence = self.next_sequence.wrapping_sub(1);
        let Pending { target, sent_at, .. } = self.pending.remove(&sequence)?;
        Some(ProbeEvent { probe: ProbeId::icmp(target), sent_at, outcome: Outcome::Failed(reason) })
    }

    /// Takes in an IPv4 packet that arrived at the host at `at`. What is no reply to a request
    /// under way, or comes too late, changes nothing.
    pub fn received(&mut self, packet: &[u8], at: Instant) -> Option<ProbeEvent> {
        let reply = Echo::parse_reply(packet)?;
        if reply.identifier != self.identifier || reply.token != self.token {
            return None;
        }
        let Pending { source, target, sent_at } = *self.pending.get(&reply.sequence)?;
        let rtt = at.saturating_duration_since(sent_at);
        if (reply.source, reply.destination) != (target, source) || rtt > self.timeout {
            return None;
        }
        self.pending.remove(&reply.sequence);
        Some(ProbeEvent {
            probe: ProbeId::icmp(target),
            sent_at,
            outcome: Outcome::Answered { rtt },
        })
    }

    /// The probes that are lost by `now`, in the order in which they were sent.
    pub fn poll(&mut self, now: Instant) -> Vec<ProbeEvent> {
        let mut lost: Vec<_> = self
            .pending
            .extract_if(.., |_, pending| now > pending.sent_at + self.timeout)
            .map(|(_, Pending { target, sent_at, .. })| ProbeEvent {
                probe: ProbeId::icmp(target),
                sent_at,
                outcome: Outcome::Lost,
            })
            .collect();
        lost.sort_by_key(|event| event.sent_at);
        lost
    }

    /// When the next probe will be lost unless it is answered; [`EchoSession::poll`] says so right
    /// after it.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.sent_at + self.timeout).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::echo::reply_to;
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
    const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 54);
    const TIMEOUT: Duration = Duration::from_millis(50);
    const MS: Duration = Duration::from_millis(1);

    fn session() -> EchoSession {
        EchoSession::new(7, *b"01234567", TIMEOUT)
    }

    #[test]
    fn an_answer_in_time_is_an_answer() {
        let (mut session, start) = (session(), Instant::now());
        let request = session.request(SOURCE, TARGET, start);
        let event = session.received(&reply_to(&request), start + TIMEOUT);
        let outcome = Outcome::Answered { rtt: TIMEOUT };
        assert_eq!(
            event,
            Some(ProbeEvent { probe: ProbeId::icmp(TARGET), sent_at: start, outcome })
        );
        assert_eq!(session.next_deadline(), None);
        assert_eq!(session.poll(start + 10 * TIMEOUT), []);
    }

    #[test]
    fn an_answer_counts_once() {
        let (mut session, start) = (session(), Instant::now());
        let reply = reply_to(&session.request(SOURCE, TARGET, start));
        assert!(session.received(&reply, start + MS).is_some());
        assert_eq!(session.received(&reply, start + MS), None);
    }

    #[test]
    fn silence_is_a_loss_once_the_time_is_over() {
        let (mut session, start) = (session(), Instant::now());
        session.request(SOURCE, TARGET, start);
        assert_eq!(session.next_deadline(), Some(start + TIMEOUT));
        assert_eq!(session.poll(start + TIMEOUT), []);
        let lost =
            ProbeEvent { probe: ProbeId::icmp(TARGET), sent_at: start, outcome: Outcome::Lost };
        assert_eq!(session.poll(start + TIMEOUT + MS), [lost]);
        assert_eq!(session.poll(start + TIMEOUT + MS), []);
    }

    #[test]
    fn a_late_answer_does_not_undo_the_loss() {
        let (mut session, start) = (session(), Instant::now());
        let reply = reply_to(&session.request(SOURCE, TARGET, start));
        assert_eq!(session.received(&reply, start + TIMEOUT + MS), None);
        assert_eq!(session.poll(start + TIMEOUT + MS).len(), 1);
    }

    #[test]
    fn a_caller_that_was_held_up_loses_nothing_that_arrived_in_time() {
        let (mut session, start) = (session(), Instant::now());
        let answered = reply_to(&session.request(SOURCE, TARGET, start));
        session.request(SOURCE, OTHER, start);
        let much_later = start + 100 * TIMEOUT;
        assert!(session.received(&answered, start + MS).is_some());
        let lost: Vec<_> = session.poll(much_later).into_iter().map(|event| event.probe).collect();
        assert_eq!(lost, [ProbeId::icmp(OTHER)]);
    }

    #[test]
    fn a_reply_must_be_from_the_target_to_the_source() {
        let (mut session, start) = (session(), Instant::now());
        session.request(SOURCE, TARGET, start);
        for (source, target) in [(SOURCE, OTHER), (OTHER, TARGET)] {
            let mut forger = EchoSession::new(7, *b"01234567", TIMEOUT);
            let forged = reply_to(&forger.request(source, target, start));
            assert_eq!(session.received(&forged, start), None);
        }
    }

    #[test]
    fn a_reply_must_bring_back_identifier_token_and_sequence() {
        let (mut session, start) = (session(), Instant::now());
        session.request(SOURCE, TARGET, start);
        for (identifier, token) in [(8, *b"01234567"), (7, *b"01234568")] {
            let mut forger = EchoSession::new(identifier, token, TIMEOUT);
            let forged = reply_to(&forger.request(SOURCE, TARGET, start));
            assert_eq!(session.received(&forged, start), None);
        }
        let mut ahead = self::session();
        ahead.request(SOURCE, TARGET, start);
        let unknown = reply_to(&ahead.request(SOURCE, TARGET, start));
        assert_eq!(session.received(&unknown, start), None);
    }

    #[test]
    fn targets_are_judged_each_on_its_own() {
        let (mut session, start) = (session(), Instant::now());
        session.request(SOURCE, TARGET, start);
        let reply = reply_to(&session.request(SOURCE, OTHER, start + MS));
        assert_eq!(
            session.received(&reply, start + 2 * MS).map(|event| event.probe),
            Some(ProbeId::icmp(OTHER))
        );
        assert_eq!(session.poll(start + 2 * TIMEOUT).len(), 1);
    }

    #[test]
    fn a_request_that_was_not_sent_fails_and_is_not_lost_as_well() {
        let (mut session, start) = (session(), Instant::now());
        session.request(SOURCE, TARGET, start);
        let event = session.unsent("network is down".into());
        let outcome = Outcome::Failed("network is down".into());
        assert_eq!(
            event,
            Some(ProbeEvent { probe: ProbeId::icmp(TARGET), sent_at: start, outcome })
        );
        assert_eq!(session.unsent("network is down".into()), None);
        assert_eq!(session.poll(start + 2 * TIMEOUT), []);
    }

    #[test]
    fn losses_come_in_the_order_of_sending_when_the_numbers_come_round() {
        let (mut session, start) = (session(), Instant::now());
        session.next_sequence = u16::MAX;
        session.request(SOURCE, TARGET, start);
        session.request(SOURCE, TARGET, start + MS);
        let order: Vec<_> =
            session.poll(start + 2 * TIMEOUT).iter().map(|event| event.sent_at - start).collect();
        assert_eq!(order, [Duration::ZERO, MS]);
    }
}
