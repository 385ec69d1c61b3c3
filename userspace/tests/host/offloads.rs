//! Features of real interfaces, read and written, and what the daemon does about them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman::config::Offloads;
use pointsman::nic::{
    Error, Ethtool, Feature, FeatureControl as _, Features, Keeper, Remark, State,
};
use pointsman_lab::{Cable, CableOptions, Namespace, Nic, Site};

use super::support::Gateway;

const TAGS: [Feature; 2] = [Feature::VlanStripping, Feature::ServiceTagStripping];

/// A cable between two hosts.
fn cable() -> Cable {
    let (near, far) = (Namespace::new("near").unwrap(), Namespace::new("far").unwrap());
    Cable::new(&near, "near0", &far, "far0", CableOptions::default()).unwrap()
}

fn features(nic: &Nic) -> Features {
    nic.namespace().run(|| Ethtool.read(nic.index())).unwrap()
}

/// Whether the stripping of VLAN tags is on, of each kind.
fn tags(nic: &Nic) -> [bool; 2] {
    let features = features(nic);
    TAGS.map(|feature| features.state(feature).on)
}

#[test]
fn a_feature_is_switched_off_and_on_and_a_fixed_one_is_not() {
    let cable = cable();
    let nic = cable.near();
    let write = |feature, on| nic.namespace().run(|| Ethtool.write(nic.index(), feature, on));
    for feature in TAGS {
        assert_eq!(features(nic).state(feature), State { on: true, fixed: false });
        write(feature, false).unwrap();
        assert_eq!(features(nic).state(feature), State { on: false, fixed: false });
        write(feature, false).unwrap();
        assert_eq!(features(cable.far()).state(feature), State { on: true, fixed: false });
        write(feature, true).unwrap();
        assert_eq!(features(nic).state(feature), State { on: true, fixed: false });
    }
    for feature in [Feature::LargeReceiveOffload, Feature::HardwareGro] {
        assert_eq!(features(nic).state(feature), State { on: false, fixed: true });
        let error = write(feature, true).unwrap_err();
        assert!(matches!(error, Error::Kept), "{error}");
    }
}

#[test]
fn an_interface_that_does_not_exist_is_an_error() {
    let host = Namespace::new("host").unwrap();
    let error = host.run(|| Ethtool.read(77)).unwrap_err();
    assert_eq!(error.to_string(), "the kernel refused: No such device (os error 19)");
}

/// Has the keeper take the interface, where frames with tags come in.
fn take(keeper: &mut Keeper<Ethtool>, nic: &Nic) -> Vec<Remark> {
    let mut remarks = keeper.take(nic.name(), nic.index());
    remarks.extend(keeper.expect_tags(nic.index()));
    remarks
}

#[test]
fn what_a_keeper_has_switched_off_is_on_again_when_it_lets_go() {
    let cable = cable();
    let nic = cable.near();
    nic.namespace().run(|| {
        Ethtool.write(nic.index(), Feature::ServiceTagStripping, false).unwrap();
        let mut keeper = Keeper::new(Ethtool);
        keeper.set_policy(Offloads::Set);
        assert_eq!(take(&mut keeper, nic).len(), 1);
        assert_eq!(tags(nic), [false, false]);
        keeper.release(nic.index());
        assert_eq!(tags(nic), [true, false], "it was off before");

        take(&mut keeper, nic);
        assert_eq!(tags(nic), [false, false]);
        drop(keeper);
        assert_eq!(tags(nic), [true, false]);
    });
}

#[test]
fn a_keeper_that_only_warns_changes_nothing() {
    let cable = cable();
    let nic = cable.near();
    nic.namespace().run(|| {
        let mut keeper = Keeper::new(Ethtool);
        let remarks = take(&mut keeper, nic);
        let told: Vec<_> = remarks.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("near0: rxvlan is on: "), "{told:?}");
        assert!(told[1].starts_with("near0: rx-vlan-stag-hw-parse is on: "), "{told:?}");
        assert_eq!(tags(nic), [true, true]);
    });
}

#[test]
fn an_interface_that_went_away_is_let_go_of_without_a_word() {
    let cable = cable();
    let nic = cable.near();
    nic.namespace().run(|| {
        let mut keeper = Keeper::new(Ethtool);
        keeper.set_policy(Offloads::Set);
        assert_eq!(take(&mut keeper, nic).len(), 2);
        nic.namespace().ip("link del near0").unwrap();
        assert!(keeper.release(nic.index()).is_empty());
    });
}

#[test]
fn the_daemon_leaves_alone_what_does_no_harm() {
    let mut gateway = Gateway::of(Site::builder().build().unwrap(), "[host]\noffloads = \"set\"\n");
    let nics: Vec<Nic> = [&gateway.site.lan]
        .into_iter()
        .chain(gateway.site.uplinks.iter().map(|uplink| &uplink.access))
        .map(|cable| cable.near().clone())
        .collect();
    for nic in &nics {
        assert_eq!(tags(nic), [true, true], "{}", nic.name());
    }
    kill(Pid::from_raw(gateway.daemon.process.id() as i32), Signal::SIGTERM).unwrap();
    assert!(gateway.daemon.process.wait().unwrap().success());
    for nic in &nics {
        assert_eq!(tags(nic), [true, true], "{}", nic.name());
    }
    let log = gateway.daemon.log();
    assert!(!log.contains("offload") && !log.contains("switched"), "{log}");
}
