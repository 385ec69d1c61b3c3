//! Interfaces that the program cannot be attached to.

use super::*;

/// A gateway whose cable has another program.
fn busy() -> Gateway {
    let busy = Fake { busy: [CABLE].into(), ..Fake::default() };
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, CABLE_CONFIG], busy);
    let errors = gateway.update(Update::Resync(host()));
    assert!(matches!(errors[..], [InstallError::Attach(_)]), "{errors:?}");
    gateway
}

#[test]
fn an_uplink_without_the_program_is_not_alive() {
    let mut gateway = busy();
    assert_eq!(gateway.dataplane.alive, 0b01);
    gateway.dataplane.busy.clear();
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
}

/// The data plane may have changed an interface before it could not attach to it.
#[test]
fn an_interface_is_let_go_of_also_where_the_program_never_was() {
    let mut gateway = busy();
    assert_eq!(gateway.install().len(), 1);
    gateway.log();
    gateway.reload(&[FIBER_CONFIG]);
    let let_go = format!("detach {CABLE}");
    assert_eq!(gateway.log().iter().filter(|done| **done == let_go).count(), 1);
    gateway.install();
    assert!(!gateway.log().contains(&let_go), "once is enough");
}

#[test]
fn an_interface_that_could_be_attached_to_later_is_let_go_of_once() {
    let mut gateway = busy();
    gateway.dataplane.busy.clear();
    assert!(gateway.install().is_empty());
    gateway.log();
    gateway.reload(&[FIBER_CONFIG]);
    let let_go = format!("detach {CABLE}");
    assert_eq!(gateway.log().iter().filter(|done| **done == let_go).count(), 1);
}

/// As where it has to be attached in another mode because of that other one.
#[test]
fn an_interface_that_loses_its_program_over_another_is_attached_again() {
    for comes_back in [true, false] {
        let loses = [(CABLE, FIBER)].into();
        let mut gateway = Gateway::bare(&[FIBER_CONFIG], Fake { loses, ..Fake::default() });
        assert!(gateway.update(Update::Resync(host())).is_empty());
        if !comes_back {
            gateway.dataplane.busy.insert(FIBER);
        }
        gateway.controller.configure(config(&[FIBER_CONFIG, CABLE_CONFIG]), gateway.now);
        assert_eq!(gateway.install().is_empty(), comes_back);
        gateway.dataplane.busy.clear();
        assert_eq!(gateway.dataplane.attached.contains_key(&FIBER), comes_back);
        assert_eq!(gateway.dataplane.alive, if comes_back { BOTH } else { 0b10 });
        assert!(gateway.install().is_empty());
        assert_eq!(gateway.dataplane.alive, BOTH);
    }
}
