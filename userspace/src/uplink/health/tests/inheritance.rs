//! Uplinks that another daemon had.

use super::super::TRUST;
use super::*;
use crate::bfd::Diagnostic;

impl Lab {
    fn inherited(was_alive: bool, session: Bfd) -> Self {
        let mut lab = Self::new(&[TARGET]);
        lab.apply(Event::Bfd(session));
        lab.apply(Event::Interface(Interface::Running));
        lab.apply(Event::Address(true));
        lab.apply(Event::NextHop(NextHop::Resolving(GATEWAY)));
        lab.health.inherit(was_alive, lab.now);
        lab
    }

    /// Lets time pass until this long after the start.
    fn wait(&mut self, time: Duration) -> State {
        self.health.judge(self.now + time);
        self.state()
    }
}

#[test]
fn one_in_use_is_up_until_its_probes_say_otherwise() {
    let mut lab = Lab::inherited(true, Bfd::None);
    assert_eq!((lab.state(), lab.health.deadline()), (State::Up, None));
    assert_eq!(lab.health.verdict().reason, Reason::Inherited);
    assert_eq!(lab.probe(TARGET, false), State::Up);
    assert_eq!(lab.probe(TARGET, false), State::Up);
    assert_eq!(lab.probe(TARGET, false), State::Down);
    assert_eq!(lab.probe(TARGET, true), State::Down, "it must earn trust");
}

#[test]
fn answered_probes_become_the_reason() {
    let mut lab = Lab::inherited(true, Bfd::None);
    lab.apply(Event::NextHop(NextHop::Resolved(GATEWAY)));
    for _ in 0..THRESHOLDS.up_after {
        lab.probe(TARGET, true);
    }
    assert_eq!(lab.health.verdict().reason, Reason::ProbesAnswered);
}

#[test]
fn one_that_was_not_has_to_earn_trust() {
    let mut lab = Lab::inherited(false, Bfd::None);
    lab.apply(Event::NextHop(NextHop::Resolved(GATEWAY)));
    assert_eq!(lab.probe(TARGET, true), State::Down);
    assert_eq!(lab.probe(TARGET, true), State::Up);
}

#[test]
fn a_session_has_its_time_to_come_up_again_and_no_more() {
    let mut lab = Lab::inherited(true, Bfd::Waiting);
    assert_eq!(lab.health.deadline(), Some(lab.now + TRUST));
    assert_eq!(lab.wait(TRUST - Duration::from_millis(1)), State::Up);
    assert_eq!(lab.wait(TRUST), State::Down);
    assert_eq!(lab.health.deadline(), None);

    let mut lab = Lab::inherited(true, Bfd::Waiting);
    assert_eq!(lab.apply(Event::Bfd(Bfd::Up)), State::Up);
    assert_eq!(lab.apply(Event::Bfd(Bfd::Waiting)), State::Down, "its time is over");
    let mut lab = Lab::inherited(true, Bfd::Waiting);
    assert_eq!(lab.apply(Event::Bfd(Bfd::Down(Diagnostic::NEIGHBOR_SIGNALED_DOWN))), State::Down);
}

#[test]
fn nobody_is_believed_without_a_carrier() {
    let mut lab = Lab::ready(&[TARGET]);
    lab.apply(Event::Interface(Interface::NoCarrier));
    lab.health.inherit(true, lab.now);
    assert_eq!((lab.state(), lab.health.deadline()), (State::Down, None));
}
