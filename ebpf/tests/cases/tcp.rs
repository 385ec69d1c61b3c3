//! Connections of TCP (RFC 5382).

use pointsman_ebpf::abi::{Direction, Filtering, Mark, Progress};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, Sizes, coming, public, segment, segment_back,
};

/// Nanoseconds of one tick.
const TICK: u64 = 1 << 30;

fn seen(gateway: &Gateway, direction: Direction) -> u32 {
    Mark(gateway.entry(FlowTable::Established, direction).1.mark).seen()
}

/// RFC 5382 REQ-2: opened by the LAN, with data, and closed from either side.
#[test]
fn a_connection_from_the_lan() {
    let gateway = Gateway::new();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
    gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    for flags in [ACK, ACK | FIN, ACK] {
        gateway.sends(&segment(flags).sequence(7), &A, HOST.port());
        gateway.delivers(&segment_back(flags, &A).sequence(9), &A, HOST);
    }
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    for direction in [Direction::Out, Direction::In] {
        assert_eq!(seen(&gateway, direction), Mark::ANY | Mark::ACK | Mark::FIN);
    }
}

/// RFC 5382 REQ-2a: both ends send SYN before either has the other's, whatever the filtering.
#[test]
fn simultaneous_open() {
    for filtering in [Filtering::Endpoint, Filtering::Address, Filtering::AddressAndPort] {
        let gateway = Gateway::with_filtering(filtering);
        gateway.sends(&segment(SYN), &A, HOST.port());
        gateway.delivers(&segment_back(SYN, &A), &A, HOST);
        gateway.sends(&segment(SYN | ACK), &A, HOST.port());
        gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
        gateway.sends(&segment(ACK), &A, HOST.port());
        gateway.delivers(&segment_back(ACK, &A), &A, HOST);
        assert_eq!(gateway.tables.flow_count(FlowTable::Established), 2, "{}", gateway.tables);
        assert_eq!(gateway.tables.flow_count(FlowTable::Unreplied), 0, "{}", gateway.tables);
        gateway.counts_of(lan::HOST, 1, 0);
    }
}

/// RFC 5382 REQ-4: a SYN that the mapping does not take is dropped without a word, so that the
/// host's own SYN can still open the connection from the other side.
#[test]
fn an_unsolicited_syn_is_not_answered() {
    let gateway = Gateway::with_filtering(Filtering::AddressAndPort);
    gateway.sends(&segment(SYN).to(STRANGER), &A, HOST.port());
    gateway.drops(A.ifindex, &segment_back(SYN, &A).build(), DropReason::Filtered);
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN, &A), &A, HOST);
}

/// RFC 5382 REQ-4: also where there is no mapping yet. The kernel would answer at once with a
/// reset, from a port that is never its own.
#[test]
fn an_unsolicited_syn_to_a_port_that_is_handed_out_is_not_the_kernel_s() {
    let gateway = Gateway::new();
    gateway.drops(A.ifindex, &segment_back(SYN, &A).build(), DropReason::Unsolicited);
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN, &A), &A, HOST);
}

/// It is delivered, for the host to give up, but nobody has taken the connection.
#[test]
fn a_refusal_does_not_establish() {
    let gateway = Gateway::new();
    let waiting = Sizes { unreplied: 1, bindings: 2, ..Sizes::default() };
    gateway.sends(&segment(SYN), &A, HOST.port());
    for flags in [RST | ACK, RST] {
        gateway.delivers(&segment_back(flags, &A), &A, HOST);
        gateway.holds(waiting);
        gateway.counts_of(lan::HOST, 1, 1);
    }
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.holds(waiting);
    gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// Nor does the LAN's refusal of a connection from beyond.
#[test]
fn a_refusal_by_the_lan_does_not_establish() {
    let gateway = Gateway::new();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN, &A).from(STRANGER), &A, HOST);
    let waiting = Sizes { unreplied: 1, invited: 1, bindings: 2, ..Sizes::default() };
    gateway.holds(waiting);
    gateway.sends(&segment(RST | ACK).to(STRANGER), &A, HOST.port());
    gateway.holds(waiting);
}

/// RFC 5382 section 5: a reset from within the window ends the connection for the sweep, in either
/// direction.
#[test]
fn a_plausible_reset_is_marked() {
    for sequence in [5_000_000, 5_000_000 - Progress::BEHIND, 5_000_000 + Progress::AHEAD] {
        let gateway = with_progress(5_000_000);
        gateway.delivers(&segment_back(RST, &A).sequence(sequence), &A, HOST);
        assert_ne!(seen(&gateway, Direction::In) & Mark::RST, 0, "{sequence}");
        assert_eq!(seen(&gateway, Direction::Out) & Mark::RST, 0, "{sequence}");
        gateway.sends(&segment(RST).sequence(sequence), &A, HOST.port());
        assert_ne!(seen(&gateway, Direction::Out) & Mark::RST, 0, "{sequence}");
    }
}

/// A reset that somebody has made up shortens nothing. It is delivered all the same: the host judges
/// by itself (RFC 5961 section 3).
#[test]
fn an_implausible_reset_leaves_no_mark() {
    const FIRST_BEYOND: u32 = 5_000_000 + Progress::AHEAD + 1;
    for sequence in [5_000_000 - Progress::BEHIND - 1, FIRST_BEYOND, 0x8000_0000 + 5_000_000] {
        let gateway = with_progress(5_000_000);
        let before = gateway.flows();
        gateway.delivers(&segment_back(RST, &A).sequence(sequence), &A, HOST);
        assert_eq!(gateway.flows(), before, "{sequence}\n{}", gateway.tables);
        gateway.sends(&segment(RST).sequence(sequence), &A, HOST.port());
        assert_eq!(gateway.flows(), before, "{sequence}\n{}", gateway.tables);
    }
}

/// Sequence numbers wrap around.
#[test]
fn plausibility_wraps_around() {
    let gateway = with_progress(10);
    let before = gateway.flows();
    gateway.delivers(&segment_back(RST, &A).sequence(0xf000_0000), &A, HOST);
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
    gateway.delivers(&segment_back(RST, &A).sequence(0xffff_fff0), &A, HOST);
    assert_ne!(seen(&gateway, Direction::In) & Mark::RST, 0, "{}", gateway.tables);
}

/// An established connection, both of whose directions were noted at this sequence number.
fn with_progress(sequence: u32) -> Gateway {
    let gateway = Gateway::new();
    gateway.establish_tcp(&A);
    gateway.tables.set_now(9 * TICK);
    gateway.sends(&segment(ACK).sequence(sequence), &A, HOST.port());
    gateway.delivers(&segment_back(ACK, &A).sequence(sequence), &A, HOST);
    gateway
}

/// A SYN that somebody has made up must not make the sweep take an established connection for one
/// that is just being opened: its sequence number is as good a guess as a reset's.
#[test]
fn an_implausible_syn_shortens_nothing() {
    let gateway = with_progress(5_000_000);
    gateway.delivers(&segment_back(SYN, &A).sequence(0x9000_0000), &A, HOST);
    for direction in [Direction::In, Direction::Out] {
        assert_ne!(seen(&gateway, direction) & Mark::ACK, 0, "{}", gateway.tables);
    }
}

/// A connection that is moved goes on, and its peer's reset, for it knows nothing of the new
/// address, reaches the host.
#[test]
fn a_moved_connection_is_reset_by_its_peer() {
    let gateway = Gateway::new();
    gateway.establish_tcp(&A);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&segment(ACK), &B, HOST.port());
    gateway.delivers(&segment_back(RST, &B), &B, HOST);
}

/// A segment in mid-stream to a mapping is not of any flow, and is filtered as any other.
#[test]
fn a_segment_in_mid_stream_is_filtered() {
    let gateway = Gateway::with_filtering(Filtering::Address);
    gateway.sends(&segment(SYN), &A, HOST.port());
    for flags in [ACK, FIN | ACK, SYN | ACK, 0] {
        let packet = coming(PacketBuilder::tcp(STRANGER, public(&A, HOST.port()), flags), &A);
        gateway.drops(A.ifindex, &packet.build(), DropReason::Filtered);
    }
    gateway.delivers(&segment_back(SYN | ACK, &A).from(SERVER), &A, HOST);
}
