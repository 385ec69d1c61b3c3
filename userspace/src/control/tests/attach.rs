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
