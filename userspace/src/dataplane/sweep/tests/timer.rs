use pointsman_ebpf::abi::seconds_to_ticks;

use super::super::timer::MARK_LAG;
use super::*;

const ACK: u32 = Mark::ANY | Mark::ACK;
const FIN: u32 = Mark::FIN;
const RST: u32 = Mark::RST;

#[test]
fn tcp_is_established_from_both_acknowledgements_to_both_ends_or_a_reset() {
    for (out, back, timer) in [
        (0, 0, TCP_TRANSITORY),
        (Mark::ANY, Mark::ANY, TCP_TRANSITORY),
        (ACK, Mark::ANY, TCP_TRANSITORY),
        (Mark::ANY, ACK, TCP_TRANSITORY),
        (ACK, ACK, TCP_ESTABLISHED),
        (ACK | FIN, ACK, TCP_ESTABLISHED),
        (ACK, ACK | FIN, TCP_ESTABLISHED),
        (ACK | FIN, ACK | FIN, TCP_TRANSITORY),
        (ACK | RST, ACK, TCP_TRANSITORY),
        (ACK, ACK | RST, TCP_TRANSITORY),
        (ACK | FIN, ACK | RST, TCP_TRANSITORY),
    ] {
        assert_eq!(IDLE.of_flow(TCP, [out, back]), timer, "{out:b} and {back:b}");
    }
}

#[test]
fn only_tcp_has_states() {
    for (protocol, timer) in [(UDP, UDP_IDLE), (ICMP, ICMP_IDLE), (GRE, UDP_IDLE)] {
        for seen in [0, Mark::ANY, ACK, ACK | FIN, ACK | RST] {
            assert_eq!(IDLE.of_flow(protocol, [seen; 2]), timer, "{protocol}: {seen:b}");
        }
    }
}

#[test]
fn a_mapping_without_a_flow_stays_as_long_as_a_flow_that_is_being_opened() {
    let timers = [UDP_IDLE, TCP_TRANSITORY, ICMP_IDLE, UDP_IDLE];
    assert_eq!([UDP, TCP, ICMP, GRE].map(|protocol| IDLE.of_mapping(protocol)), timers);
}

#[test]
fn nothing_goes_before_its_time() {
    let timers = Timers {
        udp: Duration::from_millis(1500),
        tcp_established: Duration::from_secs(7440),
        tcp_transitory: Duration::from_secs(240),
        icmp: Duration::from_secs(60),
    };
    let idle = IdleTicks::from(&timers);
    let ticks = |seconds| seconds_to_ticks(seconds) + MARK_LAG;
    let expected = IdleTicks {
        udp: ticks(2),
        tcp_established: ticks(7440),
        tcp_transitory: ticks(240),
        icmp: ticks(60),
    };
    assert_eq!(idle, expected);
    // A mark of the end of a tick, judged at the start of another, and the lag.
    let least = |seconds: u64| (seconds * 1_000_000_000).div_ceil(1 << 30) as u32 + MARK_LAG;
    assert!(idle.udp >= least(2) && idle.tcp_established >= least(7440), "{idle:?}");
}
