//! How long the answers to SYNs take, and how often SYNs come again: what is counted, and of what.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{ATTEMPT_PATIENCE, AttemptKey, HandshakeCount};
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::Protocol;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, answer, coming, forward, from_other, public, reaching, request,
    segment, segment_back,
};

/// The host's clock when a connection starts, in nanoseconds.
const START: u64 = 1 << 40;

/// 20 milliseconds.
const ROUND_TRIP: u64 = 20_000_000;

/// An end of the other host's.
const CALLER: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, 6000);

fn wait(tables: &MemoryTables, nanoseconds: u64) {
    tables.set_now(tables.now() + nanoseconds);
}

fn place(sequence: u32) -> u32 {
    AttemptKey::new(A.id, SERVER.port(), sequence).place()
}

/// A sequence number whose SYN has the same place as that of number one.
fn neighbour() -> u32 {
    (2..).find(|sequence| place(*sequence) == place(1)).unwrap()
}

impl Gateway {
    /// So much has been counted of handshakes by this uplink, and nothing by others.
    #[track_caller]
    pub(crate) fn has_timed(&self, by: &Provider, counts: &[(HandshakeCount, u64)]) {
        let expected: BTreeMap<u32, u64> =
            counts.iter().map(|(what, count)| (what.of(by.id), *count)).collect();
        assert_eq!(self.tables.handshake_counts(), expected, "{}", self.tables);
    }
}

/// What is counted of one that is answered at once.
pub(crate) fn at_once() -> [(HandshakeCount, u64); 2] {
    [(HandshakeCount::BEGUN, 1), (HandshakeCount::answered_after(0), 1)]
}

fn gateway() -> Gateway {
    let gateway = Gateway::new();
    gateway.tables.set_now(START);
    gateway
}

/// Once, whatever comes later of the connection.
#[test]
fn a_handshake() {
    for round_trip in [0, 1_000_000, ROUND_TRIP, ATTEMPT_PATIENCE - 1] {
        let gateway = gateway();
        gateway.sends(&segment(SYN), &A, HOST.port());
        gateway.has_timed(&A, &[(HandshakeCount::BEGUN, 1)]);
        wait(&gateway.tables, round_trip);
        gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
        let counts = [(HandshakeCount::BEGUN, 1), (HandshakeCount::answered_after(round_trip), 1)];
        gateway.has_timed(&A, &counts);
        wait(&gateway.tables, ROUND_TRIP);
        gateway.sends(&segment(ACK), &A, HOST.port());
        gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
        gateway.delivers(&segment_back(ACK, &A), &A, HOST);
        gateway.has_timed(&A, &counts);
        assert!(gateway.tables.attempts().is_empty(), "{}", gateway.tables);
    }
}

/// Each time. Nobody knows which one the answer is to.
#[test]
fn a_syn_that_comes_again() {
    let gateway = gateway();
    for repeated in 0..3 {
        gateway.sends(&segment(SYN), &A, HOST.port());
        let counts = [(HandshakeCount::BEGUN, 1), (HandshakeCount::REPEATED, repeated)];
        let counts = counts.into_iter().filter(|(_, count)| *count != 0);
        gateway.has_timed(&A, &counts.collect::<Vec<_>>());
        wait(&gateway.tables, 1_000_000_000);
    }
    gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
    let counts =
        [(HandshakeCount::BEGUN, 1), (HandshakeCount::REPEATED, 2), (HandshakeCount::LATE, 1)];
    gateway.has_timed(&A, &counts);
    assert!(gateway.tables.attempts().is_empty(), "{}", gateway.tables);
}

/// What acknowledges another SYN, be it of the same place.
#[test]
fn not_the_answer_to_another() {
    for sequence in [7, neighbour()] {
        let gateway = gateway();
        // What comes back acknowledges the sequence number one.
        gateway.sends(&segment(SYN).sequence(sequence), &A, HOST.port());
        gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
        gateway.has_timed(&A, &[(HandshakeCount::BEGUN, 1)]);
        assert_eq!(gateway.tables.attempts().len(), 1, "{}", gateway.tables);
    }
}

/// A SYN without ACK, and a refusal.
#[test]
fn not_what_is_no_answer() {
    for flags in [SYN, RST | ACK] {
        let gateway = gateway();
        gateway.sends(&segment(SYN), &A, HOST.port());
        gateway.delivers(&segment_back(flags, &A), &A, HOST);
        gateway.has_timed(&A, &[(HandshakeCount::BEGUN, 1)]);
    }
}

/// Of two SYNs that would have the same place, the later one is not timed, unless the earlier one has been there
/// for too long to be answered. So slow answers are counted as often as quick ones.
#[test]
fn a_place_is_kept_as_long_as_an_answer_is_to_be_expected() {
    let other = neighbour();
    let second = from_other(PacketBuilder::tcp(CALLER, SERVER, SYN)).sequence(other);
    // The kernel's clock is read a little later than the host's.
    for (waited, begun) in [(ATTEMPT_PATIENCE / 2, 1), (ATTEMPT_PATIENCE + 1, 2)] {
        let gateway = gateway();
        gateway.sends(&segment(SYN), &A, HOST.port());
        wait(&gateway.tables, waited);
        gateway.sends(&second, &A, CALLER.port());
        gateway.has_timed(&A, &[(HandshakeCount::BEGUN, begun)]);
        let attempts = gateway.tables.attempts();
        let expected = AttemptKey::new(A.id, SERVER.port(), if begun == 1 { 1 } else { other });
        assert_eq!(attempts[&place(1)].key, expected.0, "{}", gateway.tables);
    }
}

/// A connection that is opened from outside says how long the LAN takes.
#[test]
fn not_what_comes_from_outside() {
    let mut gateway = gateway();
    gateway.set_forwards(&[forward(Protocol::TCP, 443, 443, HOST)]);
    let stranger = SERVER;
    let syn = coming(PacketBuilder::tcp(stranger, public(&A, 443), SYN), &A);
    gateway.delivers(&syn, &A, HOST);
    let answer = PacketBuilder::tcp(HOST, stranger, SYN | ACK);
    gateway.sends(&answer, &A, 443);
    gateway.has_timed(&A, &[]);
}

/// Nor does any other packet, or one that is not sent.
#[test]
fn nothing_else() {
    let gateway = gateway();
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.drops(
        lan::IFINDEX,
        &PacketBuilder::tcp(HOST, OTHER, SYN).build(),
        DropReason::LanToLan,
    );
    gateway.sends(&segment(ACK), &A, HOST.port());
    gateway.has_timed(&A, &[]);
}

/// From the LAN to the LAN by a public address.
#[test]
fn no_hairpin() {
    let gateway = gateway();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
    gateway.has_timed(&A, &at_once());
    let call = from_other(PacketBuilder::tcp(CALLER, public(&A, HOST.port()), SYN));
    let output = reaching(&call, HOST).from(public(&A, CALLER.port())).build();
    gateway.forwards_back(&call.build(), &A, &output);
    gateway.has_timed(&A, &at_once());
}

/// Each uplink by itself: what has moved to another one is begun there.
#[test]
fn each_uplink_has_its_own() {
    let gateway = gateway();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.sends(&segment(SYN), &B, HOST.port());
    let key = |by: &Provider| HandshakeCount::BEGUN.of(by.id);
    let counts = BTreeMap::from([(key(&A), 1), (key(&B), 1)]);
    assert_eq!(gateway.tables.handshake_counts(), counts, "{}", gateway.tables);
}
