//! Random sequences of IPv6.

use pointsman_ebpf::abi::{CounterId, Direction};
use pointsman_ebpf::memory::sequence::Profile;
use pointsman_ebpf::memory::sequence6::{Player6, Sequence6, generate};
use pointsman_ebpf::memory::site::PROVIDERS;
use pointsman_ebpf::memory::{Counts, Random};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

use super::fuzz::{SEQUENCES, check_by, sequences};
use super::run6::run;

/// A sequence by its number.
pub(crate) fn sequence(seed: u64, number: u64) -> Sequence6 {
    let profile = if number % 8 == 7 { Profile::Kernel } else { Profile::Any };
    // Other numbers than those of IPv4 have.
    let seed = !seed.wrapping_mul(0x1_0000_0001).wrapping_add(number);
    generate(&mut Random::new(seed), profile)
}

/// Runs a sequence; what fails is shrunk first.
pub(crate) fn check(sequence: &Sequence6) -> Counts {
    check_by(sequence, run)
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
        let undrawn = sequence.setup.tables().random();
        let mut tables = sequence.setup.tables();
        let mut player = Player6::default();
        for step in &sequence.steps {
            let input = player.frame(step);
            let after = input.clone().map(|(came, mut frame)| {
                let verdict = tables.run(&mut frame, came.ifindex());
                (verdict, frame)
            });
            player.played(input, after.as_ref().map(|(verdict, frame)| (*verdict, &frame[..])));
            step.apply(&mut tables);
        }
        assert_eq!(tables.random(), undrawn, "{sequence:?}\n{tables}");
    }
}

/// What IPv6 has no use for, or what cannot happen here.
const NEVER: [DropReason; 11] = [
    DropReason::PriorityTag,
    DropReason::ForwardUnresolved,
    DropReason::AddressPairTaken,
    DropReason::MappingRaced,
    DropReason::HostUnreplied,
    DropReason::UnrepliedTableFull,
    DropReason::NotReady,
    DropReason::Redirect,
    // Of NAT64, which these gateways have not.
    DropReason::SourceRoute,
    DropReason::Nat64Destination,
    DropReason::Nat64Untranslatable,
];

/// A fuzzer that never gets to the interesting places proves nothing.
fn coverage(all: &[Counts]) {
    let packets = |id: CounterId| all.iter().map(|counts| counts.get(id).packets).sum::<u64>();
    for reason in DropReason::ALL.iter().filter(|reason| !NEVER.contains(reason)) {
        let seen = packets(CounterId::dropped(*reason)) + packets(CounterId::answered(*reason));
        assert!(seen > 0, "nothing was dropped as {reason:?}");
    }
    use DropReason::{
        AnycastTranslation, NoTranslation, NoUplink, SourceUplinkDown, TooBig, TtlExceeded,
    };
    for reason in
        [TtlExceeded, TooBig, NoUplink, SourceUplinkDown, NoTranslation, AnycastTranslation]
    {
        assert!(packets(CounterId::answered(reason)) > 0, "nothing was answered as {reason:?}");
    }
    use PassReason::{LanNeighbour, Local, NotForUs, UnknownPort};
    for reason in [Local, NotForUs, UnknownPort, LanNeighbour] {
        assert!(packets(CounterId::passed(reason)) > 0, "nothing was passed as {reason:?}");
    }
    for provider in PROVIDERS {
        for direction in [Direction::Out, Direction::In, Direction::Hairpin] {
            let verdict = Verdict::Forward { egress: 0, uplink: provider.id, direction };
            assert!(packets(verdict.counter()) > 0, "none for {verdict:?}");
        }
    }
}
