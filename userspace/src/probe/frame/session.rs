use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::arp::Arp;
use super::echo::{Echo, TOKEN};
use super::nd::{self, Advertisement};
use crate::probe::path::{Missing, Path};
use crate::probe::{Outcome, ProbeKind};

/// Where ARP asks everyone on the link.
const BROADCAST: [u8; 6] = [0xff; 6];

/// What is asked by a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// An echo of this host.
    Echo(IpAddr),
    /// The MAC of the IPv4 next hop.
    Arp,
    /// The MAC of the IPv6 next hop.
    Nd,
}

impl Question {
    /// What a probe of this kind asks, where it is one that frames ask.
    pub(super) fn of(kind: &ProbeKind) -> Option<Self> {
        match kind {
            ProbeKind::Icmp(target) => Some(Self::Echo(*target)),
            ProbeKind::Arp => Some(Self::Arp),
            ProbeKind::Nd => Some(Self::Nd),
            ProbeKind::Tcp(_) | ProbeKind::Http(_) | ProbeKind::Dns(_) => None,
        }
    }
}

/// A packet, and the MAC that its frame goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) mac: [u8; 6],
    pub(super) packet: Vec<u8>,
}

/// When a probe was sent, and what became of it.
pub(super) type Judged = (Instant, Outcome);

/// The requests that are under way, and what becomes of them. It has neither socket nor clock: the
/// caller sends, receives and tells the time.
///
/// Read all replies that have arrived before asking for the losses, else a caller that was held up
/// takes answered probes for lost ones.
#[derive(Debug)]
pub(super) struct FrameSession {
    question: Question,
    identifier: u16,
    token: [u8; TOKEN],
    timeout: Duration,
    next_sequence: u16,
    pending: BTreeMap<u16, Pending>,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    source: IpAddr,
    target: IpAddr,
    sent_at: Instant,
}

/// An answer, from the one who was asked to the one who has.
struct Reply {
    source: IpAddr,
    destination: IpAddr,
    /// Of which request, where the answer says so.
    sequence: Option<u16>,
}

impl FrameSession {
    /// A session that takes echo replies with this identifier and token as its own, and answers within
    /// `timeout`.
    pub(super) fn new(
        question: Question,
        (identifier, token): (u16, [u8; TOKEN]),
        timeout: Duration,
    ) -> Self {
        let pending = BTreeMap::new();
        Self { question, identifier, token, timeout, next_sequence: 0, pending }
    }

    /// A new request over this path, taken to be sent at `now`.
    ///
    /// After 65,536 requests the sequence numbers come round: a request that is still under way
    /// under the same number then is forgotten.
    pub(super) fn request(&mut self, path: &Path, now: Instant) -> Result<Frame, Missing> {
        let sequence = self.next_sequence;
        let (frame, source, target) = match self.question {
            Question::Echo(IpAddr::V4(target)) => self.echo4(path, target, sequence)?,
            Question::Echo(IpAddr::V6(target)) => self.echo6(path, target, sequence)?,
            Question::Arp => arp_request(path)?,
            Question::Nd => solicitation(path)?,
        };
        self.next_sequence = sequence.wrapping_add(1);
        self.pending.insert(sequence, Pending { source, target, sent_at: now });
        Ok(frame)
    }

    fn echo4(&self, path: &Path, target: Ipv4Addr, sequence: u16) -> Result<Sent, Missing> {
        let source = path.ipv4.source.ok_or(Missing::Source(4))?;
        let mac = path.ipv4.gateway_mac.ok_or(Missing::GatewayMac(4))?;
        let Self { identifier, token, .. } = *self;
        let packet = Echo { source, destination: target, identifier, sequence, token }.request();
        Ok((Frame { mac, packet }, source.into(), target.into()))
    }

    fn echo6(&self, path: &Path, target: Ipv6Addr, sequence: u16) -> Result<Sent, Missing> {
        let IpAddr::V6(source) = path.source_for(target.into())? else {
            return Err(Missing::Source(6));
        };
        let mac = path.ipv6.gateway_mac.ok_or(Missing::GatewayMac(6))?;
        let Self { identifier, token, .. } = *self;
        let packet = Echo { source, destination: target, identifier, sequence, token }.request();
        Ok((Frame { mac, packet }, source.into(), target.into()))
    }

    /// Takes back the newest request, which could not be sent.
    pub(super) fn unsent(&mut self, reason: String) -> Option<Judged> {
        let sequence = self.next_sequence.wrapping_sub(1);
        let pending = self.pending.remove(&sequence)?;
        Some((pending.sent_at, Outcome::Failed(reason)))
    }

    /// Takes in a packet that arrived at the host at `at`. What is no answer to a request under way, or
    /// comes too late, changes nothing.
    pub(super) fn received(&mut self, packet: &[u8], at: Instant) -> Vec<Judged> {
        let Some(reply) = self.parse(packet) else {
            return Vec::new();
        };
        let rtt = |pending: &Pending| at.saturating_duration_since(pending.sent_at);
        let is_answered = |sequence: u16, pending: &Pending| {
            // ARP and ND do not say to which request an answer is. It says that the next hop is there,
            // and so is one to all that were sent before.
            reply.sequence.map_or(pending.sent_at <= at, |answered| answered == sequence)
                && (reply.source, reply.destination) == (pending.target, pending.source)
                && rtt(pending) <= self.timeout
        };
        self.pending
            .extract_if(.., |sequence, pending| is_answered(*sequence, pending))
            .map(|(_, pending)| (pending.sent_at, Outcome::Answered { rtt: rtt(&pending) }))
            .collect()
    }

    fn parse(&self, packet: &[u8]) -> Option<Reply> {
        match self.question {
            Question::Echo(IpAddr::V4(_)) => self.own(Echo::<Ipv4Addr>::parse_reply(packet)?),
            Question::Echo(IpAddr::V6(_)) => self.own(Echo::<Ipv6Addr>::parse_reply(packet)?),
            Question::Arp => {
                let Arp { source, target, .. } = Arp::parse_reply(packet)?;
                Some(Reply { source: source.into(), destination: target.into(), sequence: None })
            }
            Question::Nd => {
                let Advertisement { target, destination } = Advertisement::parse(packet)?;
                let (source, destination) = (target.into(), destination.into());
                Some(Reply { source, destination, sequence: None })
            }
        }
    }

    /// An echo reply, if it is to a request of this session.
    fn own<A: Into<IpAddr>>(&self, echo: Echo<A>) -> Option<Reply> {
        let is_own = (echo.identifier, echo.token) == (self.identifier, self.token);
        is_own.then(|| Reply {
            source: echo.source.into(),
            destination: echo.destination.into(),
            sequence: Some(echo.sequence),
        })
    }

    /// The probes that are lost by `now`, in the order in which they were sent.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Judged> {
        let is_lost = |pending: &Pending| now > pending.sent_at + self.timeout;
        let mut lost: Vec<_> = self
            .pending
            .extract_if(.., |_, pending| is_lost(pending))
            .map(|(_, pending)| (pending.sent_at, Outcome::Lost))
            .collect();
        lost.sort_by_key(|(sent_at, _)| *sent_at);
        lost
    }

    /// When the next probe will be lost unless it is answered; [`Self::poll`] says so right after it.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.sent_at + self.timeout).min()
    }
}

/// A frame, from whom, and who is asked.
type Sent = (Frame, IpAddr, IpAddr);

/// Asks the next hop itself whether it still has its MAC, as long as that is known (RFC 1122 section
/// 2.3.2.1, unicast poll).
fn arp_request(path: &Path) -> Result<Sent, Missing> {
    let source_mac = path.mac.ok_or(Missing::Mac)?;
    let source = path.ipv4.source.ok_or(Missing::Source(4))?;
    let target = path.ipv4.gateway.ok_or(Missing::Gateway(4))?;
    let packet = Arp { source, source_mac, target, target_mac: [0; 6] }.request();
    let mac = path.ipv4.gateway_mac.unwrap_or(BROADCAST);
    Ok((Frame { mac, packet }, source.into(), target.into()))
}

/// The same of IPv6 (RFC 4861 section 7.2.2). It is sent from the address that every interface has.
fn solicitation(path: &Path) -> Result<Sent, Missing> {
    let own_mac = path.mac.ok_or(Missing::Mac)?;
    let source = path.link_local.or(path.ipv6.source).ok_or(Missing::LinkLocal)?;
    let target = path.ipv6.gateway.ok_or(Missing::Gateway(6))?;
    let (destination, mac) = match path.ipv6.gateway_mac {
        Some(mac) => (target, mac),
        None => nd::solicited_node(target),
    };
    let packet = nd::solicitation((source, own_mac), destination, target);
    Ok((Frame { mac, packet }, source.into(), target.into()))
}

#[cfg(test)]
mod tests;
