//! A session is what RFC 5880 says: the same happens to it and to a model of the prose.

mod draft;
mod lab;
mod wire;

use proptest::prelude::*;

use draft::{draft, fault};
use lab::{bytes, lab, steps};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever happens, in whatever order.
    #[test]
    fn a_session_is_what_the_rfc_says(mut lab in lab(), steps in steps(60)) {
        lab.ask()?;
        for (step, is_asked) in steps {
            lab.take(&step, is_asked)?;
        }
        lab.ask()?;
    }
}

proptest! {
    /// A fault of each kind is the only thing that is wrong with a packet, and yet nothing becomes of it.
    #[test]
    fn a_faulty_packet_changes_nothing(
        mut lab in lab(),
        steps in steps(20),
        right in draft(),
        faulty in draft(),
        faults in prop::collection::vec(fault(), 1..20),
    ) {
        for (step, is_asked) in steps {
            lab.take(&step, is_asked)?;
        }
        // A sequence number is known from now on.
        let last = right.datagram(&lab.model);
        prop_assert!(lab.session.receive(&last, lab.now).is_ok(), "{:?}", lab);
        prop_assert!(lab.model.receive(&last, lab.now).is_ok(), "{:?}", lab);
        let before = format!("{:?}", lab.session);
        for fault in faults {
            let Some(datagram) = faulty.with(&fault, &lab.model) else { continue };
            let found = lab.session.receive(&datagram, lab.now);
            prop_assert!(found.is_err(), "{fault:?}: {datagram:x?} {lab:?}");
            prop_assert_eq!(format!("{:?}", lab.session), &before[..], "{:?}", fault);
        }
        // Without one, it is believed.
        let datagram = faulty.datagram(&lab.model);
        prop_assert!(lab.session.receive(&datagram, lab.now).is_ok(), "{:?}", lab);
    }

    #[test]
    fn arbitrary_bytes_are_no_trouble(
        mut lab in lab(),
        steps in steps(10),
        datagrams in prop::collection::vec(bytes(), 1..20),
    ) {
        for (step, is_asked) in steps {
            lab.take(&step, is_asked)?;
        }
        for datagram in datagrams {
            lab.receive(&datagram)?;
        }
        lab.ask()?;
    }
}
