use std::collections::BTreeMap;

use super::remark::RemarkKind;
use super::{Feature, FeatureControl, Remark};
use crate::config::Offloads;

/// Looks after the offloads of the interfaces that the gateway has: warns of those that do harm, or
/// switches them off. What it has switched off it switches on again when it lets go of the
/// interface, and when it is dropped.
///
/// It says nothing by itself: what there is to say it returns.
#[derive(Debug)]
pub struct Keeper<C: FeatureControl> {
    control: C,
    policy: Offloads,
    held: BTreeMap<u32, Held>,
}

/// An interface that the gateway has or is about to have.
#[derive(Debug)]
struct Held {
    name: String,
    tags: bool,
    /// What was switched off.
    changed: Vec<Feature>,
}

impl Held {
    fn remark(&self, kind: RemarkKind) -> Remark {
        Remark { interface: self.name.clone(), kind }
    }

    /// Warns of what does harm, or switches it off.
    fn look_after(
        &mut self,
        control: &impl FeatureControl,
        policy: Offloads,
        ifindex: u32,
        concerns: impl Fn(Feature) -> bool,
    ) -> Vec<Remark> {
        let features = match control.read(ifindex) {
            Ok(features) => features,
            Err(error) if error.is_gone() => return Vec::new(),
            Err(error) => return vec![self.remark(RemarkKind::Unknown(error))],
        };
        let mut remarks = Vec::new();
        for (feature, fixed) in features.harmful(self.tags) {
            if !concerns(feature) {
                continue;
            }
            let kind = match policy {
                _ if fixed => RemarkKind::Fixed(feature),
                Offloads::Warn => RemarkKind::Harmful(feature),
                Offloads::Set => match control.write(ifindex, feature, false) {
                    Ok(()) => {
                        self.changed.push(feature);
                        RemarkKind::SwitchedOff(feature)
                    }
                    Err(error) => RemarkKind::NotSwitchedOff(feature, error),
                },
            };
            remarks.push(self.remark(kind));
        }
        remarks
    }

    /// Switches on again what was switched off, the last first, for one may need another.
    fn put_back(&mut self, control: &impl FeatureControl, ifindex: u32) -> Vec<Remark> {
        let mut remarks = Vec::new();
        while let Some(feature) = self.changed.pop() {
            match control.write(ifindex, feature, true) {
                Ok(()) => remarks.push(self.remark(RemarkKind::PutBack(feature))),
                // With the interface, its features have gone.
                Err(error) if error.is_gone() => {}
                Err(error) => remarks.push(self.remark(RemarkKind::NotPutBack(feature, error))),
            }
        }
        remarks
    }
}

impl<C: FeatureControl> Keeper<C> {
    /// A keeper without interfaces, that warns.
    pub fn new(control: C) -> Self {
        Self { control, policy: Offloads::Warn, held: BTreeMap::new() }
    }

    /// Changes what is done about offloads that do harm. What the gateway may switch off now, it does
    /// at once. What it has switched off stays so until it lets go of the interface, for switched on
    /// it would do harm.
    pub fn set_policy(&mut self, policy: Offloads) -> Vec<Remark> {
        let is_new = policy != self.policy;
        self.policy = policy;
        if !is_new || policy == Offloads::Warn {
            return Vec::new();
        }
        let control = &self.control;
        let held = self.held.iter_mut();
        held.flat_map(|(ifindex, held)| held.look_after(control, policy, *ifindex, |_| true))
            .collect()
    }

    /// Looks at an interface before a program is attached to it. An interface that it has already it
    /// does not look at again, so that an attachment that fails can be tried every second.
    pub fn take(&mut self, interface: &str, ifindex: u32) -> Vec<Remark> {
        if self.held.contains_key(&ifindex) {
            return Vec::new();
        }
        let mut held = Held { name: interface.to_owned(), tags: false, changed: Vec::new() };
        let remarks = held.look_after(&self.control, self.policy, ifindex, |_| true);
        self.held.insert(ifindex, held);
        remarks
    }

    /// What is switched off, by interface, with its name.
    pub fn switched_off(&self) -> BTreeMap<u32, (String, Vec<Feature>)> {
        let changed = self.held.iter().filter(|(_, held)| !held.changed.is_empty());
        changed
            .map(|(ifindex, held)| (*ifindex, (held.name.clone(), held.changed.clone())))
            .collect()
    }

    /// Takes over what another has switched off, to switch it on again.
    pub fn inherit(&mut self, switched_off: BTreeMap<u32, (String, Vec<Feature>)>) {
        let held = switched_off.into_iter();
        self.held.extend(
            held.map(|(ifindex, (name, changed))| (ifindex, Held { name, tags: false, changed })),
        );
    }

    /// Lets go of all interfaces.
    pub fn release_all(&mut self) -> Vec<Remark> {
        let held = std::mem::take(&mut self.held);
        let put_back = |(ifindex, mut held): (u32, Held)| held.put_back(&self.control, ifindex);
        held.into_iter().flat_map(put_back).collect()
    }

    /// Leaves everything as it is, for another to take over.
    pub fn abandon(&mut self) {
        self.held.clear();
    }

    /// Looks after the offloads that take tags off, of an interface that it has: frames with VLAN tags
    /// come in there.
    pub fn expect_tags(&mut self, ifindex: u32) -> Vec<Remark> {
        let Some(held) = self.held.get_mut(&ifindex).filter(|held| !held.tags) else {
            return Vec::new();
        };
        held.tags = true;
        held.look_after(&self.control, self.policy, ifindex, Feature::is_about_tags)
    }

    /// Lets go of an interface. Nothing happens where it is not held.
    pub fn release(&mut self, ifindex: u32) -> Vec<Remark> {
        let held = self.held.remove(&ifindex);
        held.map(|mut held| held.put_back(&self.control, ifindex)).unwrap_or_default()
    }
}

impl<C: FeatureControl> Drop for Keeper<C> {
    fn drop(&mut self) {
        self.release_all().iter().for_each(Remark::log);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io;

    use super::super::{Error, Features, State};
    use super::*;

    const WAN: u32 = 3;

    /// Features of one interface, shared with the keeper.
    #[derive(Debug)]
    struct Nic {
        features: RefCell<Features>,
        /// Whether writes fail.
        refuses: Cell<bool>,
        /// What reads and writes fail with.
        gone: Cell<bool>,
        writes: RefCell<Vec<String>>,
    }

    impl Nic {
        fn new(on: &[Feature], fixed: &[Feature]) -> Self {
            let state = |feature| State { on: true, fixed: fixed.contains(&feature) };
            let features = on.iter().map(|feature| (*feature, state(*feature))).collect();
            Self {
                features: RefCell::new(Features(features)),
                refuses: Cell::new(false),
                gone: Cell::new(false),
                writes: RefCell::default(),
            }
        }

        fn is_there(&self) -> Result<(), Error> {
            let gone = || Error::Refused(io::Error::from_raw_os_error(libc::ENODEV));
            if self.gone.get() { Err(gone()) } else { Ok(()) }
        }

        fn written(&self) -> Vec<String> {
            self.writes.take()
        }
    }

    impl FeatureControl for &Nic {
        fn read(&self, _: u32) -> Result<Features, Error> {
            self.is_there()?;
            Ok(self.features.borrow().clone())
        }

        fn write(&self, ifindex: u32, feature: Feature, on: bool) -> Result<(), Error> {
            self.is_there()?;
            if self.refuses.get() {
                return Err(Error::Kept);
            }
            self.features.borrow_mut().0.entry(feature).or_default().on = on;
            self.writes.borrow_mut().push(format!("{ifindex} {feature} {on}"));
            Ok(())
        }
    }

    fn keeper(nic: &Nic, policy: Offloads) -> Keeper<&Nic> {
        let mut keeper = Keeper::new(nic);
        assert!(keeper.set_policy(policy).is_empty());
        keeper
    }

    fn told(remarks: &[Remark]) -> Vec<String> {
        remarks.iter().map(|remark| format!("{} {remark}", remark.level())).collect()
    }

    #[test]
    fn a_warning_names_interface_offload_harm_and_command_and_changes_nothing() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload, Feature::VlanStripping], &[]);
        let mut keeper = keeper(&nic, Offloads::Warn);
        assert_eq!(
            told(&keeper.take("wan0", WAN)),
            [
                "WARN wan0: lro is on: the NIC merges packets into longer ones than an uplink takes, \
              and drivers refuse XDP with it or drop these; switch it off with `ethtool -K wan0 lro \
              off`, or let the daemon do it with offloads = \"set\" below [host]"
            ]
        );
        assert!(keeper.take("wan0", WAN).is_empty(), "it is said once");
        assert!(keeper.expect_tags(WAN)[0].to_string().starts_with("wan0: rxvlan is on"));
        assert!(keeper.expect_tags(WAN).is_empty(), "that too");
        assert!(keeper.release(WAN).is_empty());
        assert!(keeper.expect_tags(WAN).is_empty(), "the interface is not held");
        drop(keeper);
        assert_eq!(nic.written(), [""; 0]);
    }

    #[test]
    fn what_is_switched_off_is_put_back_in_the_other_order() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload, Feature::VlanStripping], &[]);
        let mut keeper = keeper(&nic, Offloads::Set);
        assert_eq!(
            told(&keeper.take("wan0", WAN)),
            ["INFO wan0: lro is switched off as long as the gateway has the interface"]
        );
        assert_eq!(
            told(&keeper.expect_tags(WAN)),
            ["INFO wan0: rxvlan is switched off as long as the gateway has the interface"]
        );
        assert_eq!(nic.written(), ["3 lro false", "3 rxvlan false"]);
        assert_eq!(
            told(&keeper.release(WAN)),
            ["INFO wan0: rxvlan is switched on again", "INFO wan0: lro is switched on again"]
        );
        assert_eq!(nic.written(), ["3 rxvlan true", "3 lro true"]);
        assert!(keeper.release(WAN).is_empty());
    }

    #[test]
    fn only_what_was_on_is_put_back_when_the_daemon_ends() {
        let nic = Nic::new(&[Feature::HardwareGro], &[]);
        let mut keeper = keeper(&nic, Offloads::Set);
        keeper.take("wan0", WAN);
        nic.written();
        drop(keeper);
        assert_eq!(nic.written(), ["3 rx-gro-hw true"]);
    }

    #[test]
    fn what_cannot_be_switched_off_is_an_error_and_not_put_back() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload], &[]);
        let mut keeper = keeper(&nic, Offloads::Set);
        nic.refuses.set(true);
        let told = told(&keeper.take("wan0", WAN));
        assert!(
            told[0].starts_with("ERROR wan0: lro cannot be switched off: its driver"),
            "{told:?}"
        );
        assert!(told[0].ends_with("; try `ethtool -K wan0 lro off`"), "{told:?}");
        assert!(keeper.release(WAN).is_empty());
    }

    #[test]
    fn what_is_fixed_is_not_tried() {
        let nic = Nic::new(&[Feature::HardwareGro], &[Feature::HardwareGro]);
        for policy in [Offloads::Warn, Offloads::Set] {
            let told = told(&keeper(&nic, policy).take("wan0", WAN));
            assert!(told[0].starts_with("WARN wan0: rx-gro-hw is on, and its driver"), "{told:?}");
        }
        assert_eq!(nic.written(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_put_back_is_an_error() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload], &[]);
        let mut keeper = keeper(&nic, Offloads::Set);
        keeper.take("wan0", WAN);
        nic.refuses.set(true);
        assert_eq!(
            told(&keeper.release(WAN)),
            ["ERROR wan0: lro cannot be switched on again: its driver keeps it as it was; try \
              `ethtool -K wan0 lro on`"]
        );
    }

    #[test]
    fn an_interface_that_is_gone_is_not_worth_a_word() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload], &[]);
        let mut keeper = keeper(&nic, Offloads::Set);
        keeper.take("wan0", WAN);
        nic.gone.set(true);
        assert!(keeper.release(WAN).is_empty());
        assert!(keeper.take("wan0", WAN).is_empty());
    }

    #[test]
    fn leave_to_switch_off_is_used_at_once_and_what_is_off_stays_so_without_it() {
        let nic = Nic::new(&[Feature::LargeReceiveOffload], &[]);
        let mut keeper = keeper(&nic, Offloads::Warn);
        keeper.take("wan0", WAN);
        assert_eq!(keeper.set_policy(Offloads::Set).len(), 1);
        assert_eq!(nic.written(), ["3 lro false"]);
        assert!(keeper.set_policy(Offloads::Set).is_empty());
        assert!(keeper.set_policy(Offloads::Warn).is_empty());
        assert_eq!(nic.written(), [""; 0]);
        assert_eq!(keeper.release(WAN).len(), 1);
        assert_eq!(nic.written(), ["3 lro true"]);
    }
}
