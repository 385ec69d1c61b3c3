//! Random sequences.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_ebpf::memory::sequence::{
    Body, Bytes, Packet, Player, Profile, Routing, Sequence, Setup, Step, Tagging, generate,
};
use pointsman_ebpf::memory::{Counts, Random};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::Verdict;

use super::run::{Difference, Played, run};
use super::shrink::{Shrink, shrink};
use super::{fuzz6, fuzz64};

/// Few under Miri, which is slow.
pub(crate) const SEQUENCES: u64 = if cfg!(miri) { 3 } else { 10_000 };

/// Seed, and number of seconds, of the fuzzer.
const SEED: &str = "POINTSMAN_FUZZ_SEED";
const SECONDS: &str = "POINTSMAN_FUZZ_SECONDS";
/// How many sequences the ordinary test runs, if not [`SEQUENCES`].
const COUNT: &str = "POINTSMAN_FUZZ_SEQUENCES";

fn sequence(seed: u64, number: u64) -> Sequence {
    let profile = if number % 8 == 7 { Profile::Kernel } else { Profile::Any };
    generate(&mut Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number)), profile)
}

/// Runs a sequence; what fails is shrunk first.
pub(crate) fn check(sequence: &Sequence) -> Counts {
    check_by(sequence, run)
}

/// The same by this `run`, which compares all after every step if it is told to be thorough.
pub(crate) fn check_by<S: Shrink>(
    sequence: &S,
    run: impl Fn(&S, bool) -> Result<Played, Difference>,
) -> Counts {
    if let Ok(played) = run(sequence, false) {
        return played.counts;
    }
    let play = |sequence: &S| run(sequence, true).map(drop).map_err(|error| (error.step, error));
    let (sequence, (step, Difference { what, tables, .. })) = shrink(sequence, play);
    panic!("at step {step}: {what}\n{tables}\nAs a regression:\n\n    check({sequence:?});\n");
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is no number")))
}

/// How many sequences the ordinary tests run.
pub(crate) fn sequences() -> u64 {
    number(COUNT).unwrap_or(SEQUENCES)
}

#[test]
fn path_and_model_agree() {
    let count = sequences();
    let mut all = Vec::new();
    for number in 0..count {
        all.push(check(&sequence(1, number)));
    }
    if count >= SEQUENCES && !cfg!(miri) {
        coverage(&all);
    }
}

/// What the kernel is compared with must not depend on its random numbers.
#[test]
fn on_the_kernel_no_random_number_is_drawn() {
    for number in 0..SEQUENCES.div_ceil(10) {
        let sequence = generate(&mut Random::new(number), Profile::Kernel);
        let tables = sequence.setup.tables();
        let undrawn = sequence.setup.tables().random();
        let mut player = Player::default();
        let mut tables = tables;
        for step in &sequence.steps {
            let input = player.frame(step);
            let after = input.clone().map(|(came, mut frame)| {
                let verdict = tables.run(&mut frame, came.ifindex());
                (verdict, frame)
            });
            player.played(input, after.as_ref().map(|(verdict, frame)| (*verdict, &frame[..])));
            step.apply(&mut tables, &sequence.setup);
        }
        assert_eq!(tables.random(), undrawn, "{sequence:?}\n{tables}");
    }
}

/// Every checksum that a datagram and its answer can have, translated: all of them are right, and
/// none of UDP is zero (RFC 768).
#[test]
fn every_checksum_is_translated_right() {
    let stride = if cfg!(miri) { 7919 } else { 1 };
    for body in [Body::Udp { checksum: true }, Body::Tcp(16, 1, Bytes::default()), Body::Icmp(8, 0)]
    {
        let sequence = |steps| Sequence { setup: plain_setup(), steps };
        let packet = |value: u16| {
            let [high, low] = value.to_be_bytes();
            let at = if matches!(body, Body::Tcp(..)) { 54 } else { 42 };
            let damage = [Some((at, high)), Some((at + 1, low)), None, None];
            Packet { body: body.clone(), damage, repaired: true, ..Packet::default() }
        };
        let values: Vec<u16> = (0..=u16::MAX).step_by(stride).collect();
        for values in values.chunks(4096) {
            let sent = values.iter().map(|value| Step::Send(packet(*value)));
            let replied = values.iter().map(|value| Step::Reply(0, packet(*value)));
            check(&sequence(sent.chain(replied).collect()));
        }
    }
}

/// A gateway where nothing is scarce.
pub(crate) fn plain_setup() -> Setup {
    const MANY: u32 = 1_000_000;
    Setup {
        drawn: 0,
        filtering: 0,
        nat_ports: (1024, 65535),
        host_mappings: MANY,
        host_unreplied: MANY,
        flows: MANY,
        bindings: MANY,
        forwards: 0,
        mtu: [1500; 3],
        icmp: (5, 3),
        pool: 1,
        sticky: 0,
        on_failure: 0,
        one_first: true,
        tagging: Tagging::default(),
        routing: Routing::default(),
    }
}

/// A fuzzer that never gets to the interesting places proves nothing.
fn coverage(all: &[Counts]) {
    use pointsman_ebpf::abi::{CounterId, Direction};
    use pointsman_ebpf::memory::site::PROVIDERS;
    use pointsman_ebpf::verdict::{DropReason, PassReason};

    let never = [
        DropReason::NotReady,
        DropReason::Redirect,
        DropReason::MappingRaced,
        DropReason::UnrepliedTableFull,
        // Of IPv6 (`fuzz6.rs`).
        DropReason::Ipv6,
        DropReason::ExtensionHeaders,
        DropReason::ForeignSource,
        DropReason::SourceUplinkDown,
        DropReason::NoTranslation,
        DropReason::AnycastTranslation,
        // Of NAT64, which these gateways have not.
        DropReason::SourceRoute,
        DropReason::Nat64Destination,
        DropReason::Nat64Untranslatable,
        DropReason::Nat66Protocol,
    ];
    let packets = |id: CounterId| all.iter().map(|counts| counts.get(id).packets).sum::<u64>();
    for reason in DropReason::ALL.iter().filter(|reason| !never.contains(reason)) {
        let seen = packets(CounterId::dropped(*reason)) + packets(CounterId::answered(*reason));
        assert!(seen > 0, "nothing was dropped as {reason:?}");
    }
    for reason in PassReason::ALL {
        assert!(packets(CounterId::passed(*reason)) > 0, "nothing was passed as {reason:?}");
    }
    assert!(packets(CounterId::across_lan()) > 0, "none crosses the LAN");
    for provider in PROVIDERS {
        for direction in [Direction::Out, Direction::In, Direction::Hairpin] {
            let verdict = Verdict::Forward { egress: 0, uplink: provider.id, direction };
            assert!(packets(verdict.counter()) > 0, "none for {verdict:?}");
        }
    }
}

/// Run by `cargo xtask fuzz`, on all cores.
#[test]
#[ignore = "runs for as long as it is told"]
fn for_a_time() {
    let seconds = number(SECONDS).expect("how many seconds is told");
    let seed = number(SEED).unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (next, packets) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let work = || {
        while Instant::now() < end && !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // By turns of IPv4, of IPv6, and of what goes from one to the other.
            let counts = std::panic::catch_unwind(|| match number % 3 {
                0 => check(&sequence(seed, number / 3)),
                1 => fuzz6::check(&fuzz6::sequence(seed, number / 3)),
                _ => fuzz64::check(&fuzz64::sequence(seed, number / 3)),
            });
            match counts {
                Ok(counts) => packets.fetch_add(counts.packets(), Ordering::Relaxed),
                Err(_) => return failed.store(true, Ordering::Relaxed),
            };
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (sequences, packets) = (next.into_inner(), packets.into_inner());
    let rate = sequences as f64 / started.elapsed().as_secs_f64();
    println!("seed {seed}: {sequences} sequences, {packets} packets, {rate:.0} sequences/s");
    assert!(!failed.into_inner(), "path and model differ: see above");
}
