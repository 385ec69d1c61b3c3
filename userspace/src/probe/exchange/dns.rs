use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Rtype};
use domain::rdata::{A, Aaaa};

use tokio::io::Interest;

use super::Failure;
use super::socket::Bound;
use crate::probe::receive::receive;
use crate::probe::{DnsProbe, DnsRecord};

/// The longest answer by UDP without an extension (RFC 1035 section 2.3.4), and more, in bytes.
const ANSWER: usize = 4096;

/// Asks a server for a name's addresses (RFC 1035), and says how long the right answer took.
pub(super) async fn resolve(
    bound: Bound,
    probe: &DnsProbe,
    start: Instant,
) -> Result<Duration, Failure> {
    let socket = bound.datagrams(probe.server)?;
    // The hasher's keys are drawn at random, and are other ones each time.
    let query = query(probe, RandomState::new().hash_one(probe.server) as u16);
    socket.get_ref().send(query.as_slice()).map_err(|error| Failure::Unsent(error.to_string()))?;
    let mut buffer = [0; ANSWER];
    loop {
        // A message that nobody listens there comes as an error.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await;
        ready.map_err(|error| Failure::Unsent(error.to_string()))?.clear_ready();
        while let Some((length, arrival)) = receive(socket.get_ref(), &mut buffer)
            .map_err(|error| Failure::Wrong(format!("no answer: {error}")))?
        {
            if let Some(verdict) = judge(probe, &query, &buffer[..length]) {
                return verdict
                    .map(|()| arrival.saturating_duration_since(start))
                    .map_err(Failure::Wrong);
            }
        }
    }
}

fn query(probe: &DnsProbe, id: u16) -> Message<Vec<u8>> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    // A vector takes all that is pushed, and a question is far shorter than a message may be.
    let _ = message.push((&probe.name, rtype(probe.record), Class::IN));
    message.into_message()
}

fn rtype(record: DnsRecord) -> Rtype {
    match record {
        DnsRecord::A => Rtype::A,
        DnsRecord::Aaaa => Rtype::AAAA,
    }
}

/// What is to be said of a datagram from the server: whether the answer is right, or what is wrong with
/// it; `None` where it is no answer to this query.
fn judge(
    probe: &DnsProbe,
    query: &Message<Vec<u8>>,
    datagram: &[u8],
) -> Option<Result<(), String>> {
    let message = Message::from_octets(datagram).ok()?;
    if !message.is_answer(query) {
        return None;
    }
    let rcode = message.header().rcode();
    if rcode != Rcode::NOERROR {
        return Some(Err(rcode.to_string()));
    }
    Some(addresses(&message, probe.record).and_then(|found| match (probe.expect, &found[..]) {
        (None, [_, ..]) => Ok(()),
        (Some(expected), found) if found.contains(&expected) => Ok(()),
        (_, []) if message.header().tc() => Err("no address fits in the datagram".to_owned()),
        (_, []) => Err(format!("no {} record", probe.record)),
        (Some(expected), [found, ..]) => Err(format!("{found}, and not {expected}")),
    }))
}

/// The addresses that an answer has. Whether they are the name's own or those of what it stands for
/// (CNAME) is for the server to know.
fn addresses(message: &Message<&[u8]>, record: DnsRecord) -> Result<Vec<IpAddr>, String> {
    let garbled = |error| format!("an answer that makes no sense: {error}");
    let records = message.answer().map_err(garbled)?;
    let addresses: Result<Vec<IpAddr>, _> = match record {
        DnsRecord::A => records
            .limit_to_in::<A>()
            .map(|record| record.map(|record| IpAddr::V4(record.data().addr())))
            .collect(),
        DnsRecord::Aaaa => records
            .limit_to_in::<Aaaa>()
            .map(|record| record.map(|record| IpAddr::V6(record.data().addr())))
            .collect(),
    };
    addresses.map_err(garbled)
}

#[cfg(test)]
mod tests;
