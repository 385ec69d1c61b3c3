//! The daemon is held up, and the other system says that it hears nothing of it: so it is there.

use pointsman_ebpf::abi::{Sequence, Watch};
use pointsman_ebpf::memory::site::A;

use super::super::harness::public;
use super::harness::{
    AHEAD, CONTROL, DETECTION, Gateway, MULTIHOP, NEVER, NOW, PLAIN, gateway, monitor, packet,
    watching,
};

const SECOND: u64 = 1_000_000_000;

/// The diagnostic of who has not heard the other for the detection time, and the state Down (RFC 5880 section
/// 4.1).
const EXPIRED: u8 = 1;
const DOWN: u8 = 0x40;

/// A gateway whose daemon has sent nothing for longer than the other system takes.
fn silent() -> Gateway {
    let gateway = gateway(PLAIN);
    monitor(&gateway.tables, &A).silence.store(0);
    gateway
}

/// What the other system says then, of this state and diagnostic, with its multiplier and interval, in microseconds.
fn report(diagnostic: u8, state: u8, mult: u8, interval: u32) -> [u8; 24] {
    let mut control = CONTROL;
    (control[0], control[1], control[2]) = (0x20 | diagnostic, state, mult);
    control[8..12].fill(0);
    control[12..16].copy_from_slice(&interval.to_be_bytes());
    control
}

/// The usual one.
fn down() -> [u8; 24] {
    report(EXPIRED, DOWN, 3, 1_000_000)
}

impl Gateway {
    #[track_caller]
    fn takes_report(&self, report: &[u8; 24], by: u64) {
        self.hears_and_passes(&packet(report).build(), by);
        monitor(&self.tables, &A).heard.store(u64::MAX);
        self.tables.put_off(A.id, AHEAD);
    }
}

/// It has forgotten the discriminator of who is silent, or has not. Whether it asks by polls is no matter.
#[test]
fn the_other_system_hears_nothing() {
    let gateway = silent();
    gateway.takes_report(&down(), 3 * SECOND);
    let mut named = down();
    named[8..12].copy_from_slice(&CONTROL[8..12]);
    gateway.takes_report(&named, 3 * SECOND);
    gateway.takes_report(&report(EXPIRED, DOWN | 0x20, 3, 1_000_000), 3 * SECOND);
    // What says that all is well is heard as ever.
    gateway.hears(&packet(&CONTROL).build());
}

/// Over several hops anybody may send such a packet, and has to know both discriminators.
#[test]
fn over_several_hops() {
    let gateway = gateway(Watch::new(MULTIHOP, 0, 0, Sequence::None));
    monitor(&gateway.tables, &A).silence.store(0);
    let to = public(&A, MULTIHOP);
    let packet = |control: &[u8; 24]| packet(control).to(to).ttl(60).build();
    gateway.ignores(&packet(&down()));
    let mut named = down();
    named[8..12].copy_from_slice(&CONTROL[8..12]);
    gateway.hears_and_passes(&packet(&named), 3 * SECOND);
}

/// By its own interval, and no longer than ten seconds.
#[test]
fn for_how_long() {
    let gateway = silent();
    for (mult, interval, by) in [
        (1, 1, 1000),
        (1, 9_999_999, 10 * SECOND - 1000),
        (10, 1_000_000, 10 * SECOND),
        (11, 1_000_000, 10 * SECOND),
        (255, u32::MAX, 10 * SECOND),
    ] {
        gateway.takes_report(&report(EXPIRED, DOWN, mult, interval), by);
    }
}

/// A multiplier of zero is none (RFC 5880 section 6.8.6), nor is an interval (section 4.1): it would kill the uplink.
#[test]
fn no_time_at_all() {
    let gateway = silent();
    gateway.ignores(&packet(&report(EXPIRED, DOWN, 0, 1_000_000)).build());
    gateway.ignores(&packet(&report(EXPIRED, DOWN, 3, 0)).build());
}

/// The other system has its own reasons, and the daemon is there to hear them.
#[test]
fn while_the_daemon_sends() {
    let gateway = gateway(PLAIN);
    gateway.ignores(&packet(&down()).build());
    monitor(&gateway.tables, &A).silence.store(0);
    monitor(&gateway.tables, &A).sent.store(NEVER >> 1);
    gateway.ignores(&packet(&down()).build());
}

/// From the end of that time on.
#[test]
fn since_when_the_daemon_is_silent() {
    let gateway = watching(Gateway::on_host_only(), PLAIN);
    monitor(&gateway.tables, &A).sent.store(NOW - 1000);
    monitor(&gateway.tables, &A).silence.store(1001);
    gateway.ignores(&packet(&down()).build());
    gateway.tables.set_now(NOW + 1);
    gateway.takes_report(&down(), 3 * SECOND);
}

#[test]
fn other_states_and_diagnostics() {
    let gateway = silent();
    for diagnostic in (0..32).filter(|diagnostic| *diagnostic != EXPIRED) {
        gateway.ignores(&packet(&report(diagnostic, DOWN, 3, 1_000_000)).build());
    }
    // AdminDown, Init, and Up.
    for state in [0, 0x80, 0xc0] {
        gateway.ignores(&packet(&report(EXPIRED, state, 3, 1_000_000)).build());
    }
}

/// Another version, length, or discriminator of either system.
#[test]
fn another_session() {
    let gateway = silent();
    let others = [(0, 0x41), (0, 0x01), (3, 25), (4, 0), (7, 0), (8, 1), (11, 0x88)];
    for (at, byte) in others {
        let mut other = down();
        other[at] = byte;
        gateway.ignores(&packet(&other).build());
    }
    gateway.ignores(&packet(&down()).ttl(254).build());
}

/// What was taken for a report is none of a session that is up.
#[test]
fn a_detection_time_is_of_the_session() {
    let gateway = silent();
    gateway.hears_and_passes(&packet(&super::harness::with(1, 0xe0)).build(), DETECTION);
}
