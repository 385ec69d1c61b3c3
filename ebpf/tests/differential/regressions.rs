//! Sequences that path and model have differed over, as small as they could be made.

use pointsman_ebpf::memory::sequence::{Body, Interface, Packet, Sequence, Setup, Step, bytes};

use Interface::{A, B};
use Step::{Reply, Send};

use super::fuzz::{check, plain_setup};

fn run(setup: Setup, steps: impl IntoIterator<Item = Step>) {
    check(&Sequence { setup, steps: steps.into_iter().collect() });
}

/// The sender was told of a packet that is too big, for an MTU of zero.
#[test]
fn a_hairpin_by_a_forward_whose_host_is_not_known() {
    let syn = Body::Tcp(18, 1, bytes(&[]));
    let packet = Packet { destination: ([198, 51, 100, 2], 8004), body: syn, ..Packet::default() };
    run(Setup { forwards: 4, ..plain_setup() }, [Send(packet)]);
}

/// A permission towards 0.0.0.0 has the key of the mapping itself: whoever sent from there was let
/// in where one must be asked first.
#[test]
fn an_address_of_nobody_is_not_permitted() {
    let source = ([0, 0, 0, 0], 80);
    let destination = ([203, 0, 113, 2], 4000);
    let stranger = Packet { interface: A, source, destination, ..Packet::default() };
    run(Setup { filtering: 1, ..plain_setup() }, [Send(Packet::default()), Send(stranger)]);
}

/// The answer to a host's second flow went to the MAC of its first: that of the mapping.
#[test]
fn a_host_has_another_mac_than_its_mapping() {
    let moved = Packet {
        destination: ([192, 0, 2, 54], 80),
        damage: [Some((11, 9)), None, None, None],
        ..Packet::default()
    };
    let answers = [Reply(0, Packet::default()), Reply(1, Packet::default())];
    let sent = [Send(Packet::default()), Send(moved)];
    run(plain_setup(), sent.into_iter().chain(answers));
}

/// What nobody has answered is refused by a reset, which is delivered and establishes nothing; by
/// the other uplink it is nobody's.
#[test]
fn a_reset_answers_by_the_uplink_that_was_asked() {
    let syn = Packet { body: Body::Tcp(2, 1, bytes(&[2, 4, 5, 180])), ..Packet::default() };
    let reset = Packet { body: Body::Tcp(20, 1, bytes(&[])), ..Packet::default() };
    let elsewhere = Packet {
        interface: B,
        source: syn.destination,
        destination: ([198, 51, 100, 2], 4000),
        ..reset.clone()
    };
    run(plain_setup(), [Send(syn.clone()), Send(elsewhere), Reply(0, reset), Send(syn)]);
}
