use proptest::prelude::*;

use super::super::{arp, echo4, echo6};
use super::*;
use crate::probe::Side;

const SOURCE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 54);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const LOCAL6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TARGET6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ECHO: Question = Question::Echo(IpAddr::V4(TARGET));
const ALL: [Question; 4] = [ECHO, Question::Echo(IpAddr::V6(TARGET6)), Question::Arp, Question::Nd];
const OWN: (u16, [u8; TOKEN]) = (7, *b"01234567");
const TIMEOUT: Duration = Duration::from_millis(50);
const MS: Duration = Duration::from_millis(1);

const PATH: Path = Path {
    is_suspect: false,
    mac: Some(MAC),
    ipv4: Side { source: Some(SOURCE), gateway: Some(GATEWAY), gateway_mac: Some(GATEWAY_MAC) },
    ipv6: Side { source: Some(SOURCE6), gateway: Some(GATEWAY6), gateway_mac: Some(GATEWAY_MAC) },
    link_local: Some(LOCAL6),
};

fn session(question: Question) -> FrameSession {
    FrameSession::new(question, OWN, TIMEOUT)
}

impl FrameSession {
    /// The packet of a request over the usual path.
    fn packet(&mut self, now: Instant) -> Vec<u8> {
        self.request(&PATH, now).expect("all is known").packet
    }

    /// The same, and what the far end makes of it.
    fn reply(&mut self, now: Instant) -> Vec<u8> {
        let request = self.packet(now);
        match self.question {
            Question::Echo(IpAddr::V4(_)) => echo4::reply_to(&request),
            Question::Echo(IpAddr::V6(_)) => echo6::reply_to(&request),
            Question::Arp => arp::reply_to(&request, GATEWAY_MAC),
            Question::Nd => nd::advertisement_to(&request, GATEWAY_MAC),
        }
    }
}

#[test]
fn an_answer_in_time_is_an_answer() {
    for question in ALL {
        let (mut session, start) = (session(question), Instant::now());
        let reply = session.reply(start);
        let judged = session.received(&reply, start + TIMEOUT);
        assert_eq!(judged, [(start, Outcome::Answered { rtt: TIMEOUT })], "{question:?}");
        assert_eq!(session.next_deadline(), None);
        assert_eq!(session.poll(start + 10 * TIMEOUT), []);
        assert_eq!(session.received(&reply, start + TIMEOUT), [], "an answer counts once");
    }
}

#[test]
fn silence_is_a_loss_once_the_time_is_over() {
    for question in ALL {
        let (mut session, start) = (session(question), Instant::now());
        session.packet(start);
        assert_eq!(session.next_deadline(), Some(start + TIMEOUT));
        assert_eq!(session.poll(start + TIMEOUT), []);
        assert_eq!(session.poll(start + TIMEOUT + MS), [(start, Outcome::Lost)]);
        assert_eq!(session.poll(start + TIMEOUT + MS), []);
    }
}

#[test]
fn a_late_answer_does_not_undo_the_loss() {
    for question in ALL {
        let (mut session, start) = (session(question), Instant::now());
        let reply = session.reply(start);
        assert_eq!(session.received(&reply, start + TIMEOUT + MS), []);
        assert_eq!(session.poll(start + TIMEOUT + MS).len(), 1);
    }
}

#[test]
fn a_caller_that_was_held_up_loses_nothing_that_arrived_in_time() {
    for question in ALL {
        let (mut session, start) = (session(question), Instant::now());
        let answered = session.reply(start);
        let lost_at = start + 2 * MS;
        session.packet(lost_at);
        assert_eq!(session.received(&answered, start + MS).len(), 1);
        assert_eq!(session.poll(start + 100 * TIMEOUT), [(lost_at, Outcome::Lost)]);
    }
}

#[test]
fn a_reply_must_be_from_the_target_to_the_source() {
    let (mut session, start) = (session(ECHO), Instant::now());
    session.packet(start);
    let other = Question::Echo(OTHER.into());
    let elsewhere = Side { source: Some(OTHER), ..PATH.ipv4 };
    for (question, path) in [(other, PATH), (ECHO, Path { ipv4: elsewhere, ..PATH })] {
        let mut forger = FrameSession::new(question, OWN, TIMEOUT);
        let forged = forger.request(&path, start).expect("all is known").packet;
        assert_eq!(session.received(&echo4::reply_to(&forged), start), []);
    }
}

#[test]
fn a_reply_must_bring_back_identifier_token_and_sequence() {
    for question in [ECHO, Question::Echo(TARGET6.into())] {
        let (mut session, start) = (session(question), Instant::now());
        session.packet(start);
        for own in [(8, OWN.1), (7, *b"01234568")] {
            let forged = FrameSession::new(question, own, TIMEOUT).reply(start);
            assert_eq!(session.received(&forged, start), []);
        }
        let mut ahead = self::session(question);
        ahead.packet(start);
        let unknown = ahead.reply(start);
        assert_eq!(session.received(&unknown, start), []);
    }
}

/// Others answer too, and hosts say who they are without being asked.
#[test]
fn only_the_next_hop_answers_for_itself() {
    let start = Instant::now();
    let other = Path {
        ipv4: Side { gateway: Some(OTHER), ..PATH.ipv4 },
        ipv6: Side { gateway: Some(TARGET6), ..PATH.ipv6 },
        ..PATH
    };
    let mut arp_session = session(Question::Arp);
    arp_session.packet(start);
    let request = session(Question::Arp).request(&other, start).expect("all is known").packet;
    assert_eq!(arp_session.received(&arp::reply_to(&request, MAC), start), []);
    let mut announcement = arp::reply_to(&session(Question::Arp).packet(start), GATEWAY_MAC);
    announcement[24..28].copy_from_slice(&GATEWAY.octets());
    assert_eq!(arp_session.received(&announcement, start), []);

    let mut nd_session = session(Question::Nd);
    nd_session.packet(start);
    let request = session(Question::Nd).request(&other, start).expect("all is known").packet;
    assert_eq!(nd_session.received(&nd::advertisement_to(&request, MAC), start), []);
}

#[test]
fn without_a_number_an_answer_is_to_every_request_before_it() {
    let (mut session, start) = (session(Question::Arp), Instant::now());
    let reply = session.reply(start);
    session.packet(start + 10 * MS);
    session.packet(start + 20 * MS);
    let answered = |rtt: u32, sent: u32| (start + sent * MS, Outcome::Answered { rtt: rtt * MS });
    assert_eq!(session.received(&reply, start + 11 * MS), [answered(11, 0), answered(1, 10)]);
    assert_eq!(session.poll(start + 2 * TIMEOUT), [(start + 20 * MS, Outcome::Lost)]);
}

#[test]
fn the_next_hop_is_asked_itself_as_long_as_its_mac_is_known() {
    let (mut path, now) = (PATH, Instant::now());
    let asked = |path: &Path, question| session(question).request(path, now).expect("it is known");
    assert_eq!(asked(&path, Question::Arp).mac, GATEWAY_MAC);
    let solicitation = asked(&path, Question::Nd);
    assert_eq!(solicitation.mac, GATEWAY_MAC);
    assert_eq!(solicitation.packet[8..40], [LOCAL6.octets(), GATEWAY6.octets()].concat());
    (path.ipv4.gateway_mac, path.ipv6.gateway_mac) = (None, None);
    assert_eq!(asked(&path, Question::Arp).mac, [0xff; 6]);
    assert_eq!(asked(&path, Question::Nd).mac, [0x33, 0x33, 0xff, 0, 0, 1]);
}

#[test]
fn a_target_on_the_link_is_asked_from_there() {
    let question = Question::Echo(GATEWAY6.into());
    let frame = session(question).request(&PATH, Instant::now()).expect("all is known");
    assert_eq!(frame.packet[8..40], [LOCAL6.octets(), GATEWAY6.octets()].concat());
}

#[test]
fn it_says_what_is_missing() {
    type Change = fn(&mut Path);
    let without = |change: Change| {
        let mut path = PATH;
        change(&mut path);
        path
    };
    let cases: [(Question, Change, &str); 8] = [
        (ALL[0], |path| path.ipv4.source = None, "there is no IPv4 address to send from"),
        (ALL[0], |path| path.ipv4.gateway_mac = None, "the MAC of the IPv4 next hop is not known"),
        (ALL[1], |path| path.ipv6.source = None, "there is no IPv6 address to send from"),
        (ALL[1], |path| path.ipv6.gateway_mac = None, "the MAC of the IPv6 next hop is not known"),
        (ALL[2], |path| path.mac = None, "the interface's MAC is not known"),
        (ALL[2], |path| path.ipv4.gateway = None, "the IPv4 next hop is not known"),
        (
            ALL[3],
            |path| (path.link_local, path.ipv6.source) = (None, None),
            "the interface has no link-local address",
        ),
        (ALL[3], |path| path.ipv6.gateway = None, "the IPv6 next hop is not known"),
    ];
    for (question, change, expected) in cases {
        let mut session = session(question);
        let missing = session.request(&without(change), Instant::now()).unwrap_err();
        assert_eq!(missing.to_string(), expected);
        assert_eq!(session.next_deadline(), None);
    }
}

#[test]
fn a_request_that_was_not_sent_fails_and_is_not_lost_as_well() {
    let (mut session, start) = (session(ECHO), Instant::now());
    session.packet(start);
    let judged = session.unsent("network is down".into());
    assert_eq!(judged, Some((start, Outcome::Failed("network is down".into()))));
    assert_eq!(session.unsent("network is down".into()), None);
    assert_eq!(session.poll(start + 2 * TIMEOUT), []);
}

#[test]
fn losses_come_in_the_order_of_sending_when_the_numbers_come_round() {
    let (mut session, start) = (session(ECHO), Instant::now());
    session.next_sequence = u16::MAX;
    session.packet(start);
    session.packet(start + MS);
    let order: Vec<_> =
        session.poll(start + 2 * TIMEOUT).iter().map(|(sent_at, _)| *sent_at - start).collect();
    assert_eq!(order, [Duration::ZERO, MS]);
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic_or_is_an_answer_by_chance(
        question in 0..ALL.len(),
        packet in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let (mut session, start) = (session(ALL[question]), Instant::now());
        session.packet(start);
        prop_assert_eq!(session.received(&packet, start), []);
    }
}
