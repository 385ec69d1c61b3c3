//! Random sequences of NAT64.

use std::cell::RefCell;

use pointsman_ebpf::memory::sequence::Profile;
use pointsman_ebpf::memory::sequence64::{Sequence64, generate};
use pointsman_ebpf::memory::{Counts, Random};
use pointsman_ebpf::verdict::DropReason;

use super::fuzz::{SEQUENCES, check_by, sequences};
use super::run64::{Seen, run};

/// A sequence by its number.
pub(crate) fn sequence(seed: u64, number: u64) -> Sequence64 {
    let profile = if number % 8 == 7 { Profile::Kernel } else { Profile::Any };
    // Other numbers than those of the others have.
    let seed = seed.wrapping_mul(0x1_0000_0001).wrapping_add(number).wrapping_mul(3);
    generate(&mut Random::new(seed), profile)
}

/// Runs a sequence; what fails is shrunk first.
pub(crate) fn check(sequence: &Sequence64) -> Counts {
    check_seeing(sequence, &RefCell::default())
}

fn check_seeing(sequence: &Sequence64, seen: &RefCell<Seen>) -> Counts {
    check_by(sequence, |sequence, _| run(sequence, seen))
}

#[test]
fn path_and_model_agree() {
    let count = sequences();
    let seen = RefCell::default();
    for number in 0..count {
        let _ = check_seeing(&sequence(1, number), &seen);
    }
    if count >= SEQUENCES && !cfg!(miri) {
        coverage(&seen.into_inner());
    }
}

/// A fuzzer that never gets to the interesting places proves nothing.
fn coverage(seen: &Seen) {
    use DropReason::{
        BadChecksum, ExtensionHeaders, Filtered, FlowTableFull, ForeignSource, FragmentOverlap,
        FragmentTiny, FragmentWithoutFirst, HostMappings, HostUnreplied, Icmp, IcmpMismatch,
        MappingTableFull, Martian, Nat64Destination, Nat64Untranslatable, NeighbourUnknown,
        NoLanRoute, NoPort, NoUplink, SourceRoute, TooBig, Truncated, TtlExceeded, Unsolicited,
    };
    let (tcp, udp, icmp) = (6, 17, 1);
    for version in [4, 6] {
        for protocol in [tcp, udp] {
            for kind in ["whole", "first", "later"] {
                let kind = (version, protocol, kind);
                assert!(seen.translated.contains(&kind), "nothing was translated of {kind:?}");
            }
        }
        for kind in ["whole", "error"] {
            let kind = (version, icmp, kind);
            assert!(seen.translated.contains(&kind), "nothing was translated of {kind:?}");
        }
    }
    let dropped: [&[DropReason]; 2] = [
        &[
            Filtered,
            Martian,
            NeighbourUnknown,
            NoLanRoute,
            FragmentOverlap,
            FlowTableFull,
            IcmpMismatch,
            Icmp,
            Nat64Untranslatable,
            SourceRoute,
            TtlExceeded,
        ],
        &[
            Truncated,
            ExtensionHeaders,
            FragmentTiny,
            Martian,
            ForeignSource,
            Icmp,
            IcmpMismatch,
            BadChecksum,
            FragmentWithoutFirst,
            FragmentOverlap,
            Unsolicited,
            NoUplink,
            Nat64Untranslatable,
            SourceRoute,
            TtlExceeded,
            FlowTableFull,
        ],
    ];
    let answered: [&[DropReason]; 2] = [
        &[TtlExceeded, TooBig, SourceRoute],
        &[
            TtlExceeded,
            TooBig,
            SourceRoute,
            Nat64Destination,
            NoUplink,
            NoPort,
            HostMappings,
            HostUnreplied,
            MappingTableFull,
        ],
    ];
    for (is_answer, all) in [(false, dropped), (true, answered)] {
        for (version, reasons) in [4, 6].into_iter().zip(all) {
            for reason in reasons {
                let is_there = seen.refused.contains(&(version, is_answer, *reason));
                assert!(is_there, "no {reason:?} of version {version}, answered {is_answer}");
            }
        }
    }
}
