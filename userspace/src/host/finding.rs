use std::fmt;

use super::{Presence, Survey};
use crate::dataplane::{NATIVE_MTU, Occupant};
use crate::nic::Feature;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may be as it should.
    Note,
    /// The gateway works, but not as well as it could.
    Warning,
    /// The gateway does not start, or loses packets.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// Something about an interface that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, and what to do about it.
    pub text: String,
}

/// What there is to say of an interface. With `tags`, frames with VLAN tags are to come in there.
pub fn findings(survey: &Survey, tags: bool) -> Vec<Finding> {
    let name = &survey.interface;
    let Some(presence) = &survey.presence else {
        return vec![finding(Severity::Problem, "does not exist; see `ip link`")];
    };
    let ethernet = (!presence.ethernet)
        .then(|| finding(Severity::Problem, "it has no MAC; give an Ethernet interface"));
    let mut findings: Vec<_> = ethernet.into_iter().collect();
    findings.extend(presence.occupant.as_ref().map(|occupant| of_occupant(name, occupant)));
    findings.extend(of_driver(presence));
    findings.extend(of_mtu(name, presence));
    findings.extend(of_offloads(name, presence, tags));
    findings
}

fn finding(severity: Severity, text: impl Into<String>) -> Finding {
    Finding { severity, text: text.into() }
}

fn of_occupant(name: &str, occupant: &Occupant) -> Finding {
    if occupant.is_ours() {
        return finding(Severity::Note, format!("a running Pointsman has it ({occupant})"));
    }
    if occupant.name.is_empty() {
        let text = format!(
            "it has an XDP program whose name is not to be had ({occupant}); as root, this command \
             may tell it. If it is not Pointsman's, `run` refuses the interface"
        );
        return finding(Severity::Warning, text);
    }
    let text = format!(
        "it has another XDP program ({occupant}), so that `run` refuses it; stop the daemon that \
         has attached it, or detach it with `ip link set dev {name} xdp off`"
    );
    finding(Severity::Problem, text)
}

/// What follows where a driver does not take the program.
const GENERIC: &str = "so that generic XDP is used on all interfaces, which takes several times the \
                       CPU time for each packet";

fn of_driver(presence: &Presence) -> Option<Finding> {
    match &presence.xdp {
        Err(error) => {
            let text = format!("cannot find out what its driver does for XDP: {error}");
            Some(finding(Severity::Note, text))
        }
        Ok(xdp) if !xdp.native || !xdp.redirect => {
            let text = format!("its driver has no native XDP with redirects, {GENERIC}");
            Some(finding(Severity::Warning, text))
        }
        Ok(_) => None,
    }
}

/// Nothing where the program is not attached natively anyhow: the kernel then takes all frames.
fn of_mtu(name: &str, presence: &Presence) -> Option<Finding> {
    let mtu = presence.mtu;
    let (problem, severity) = match &presence.xdp {
        _ if mtu <= NATIVE_MTU => return None,
        Ok(xdp) if !xdp.native || !xdp.redirect => return None,
        Ok(xdp) if !xdp.receive_fragments => (
            format!("which its driver does not hand over, and does not attach natively, {GENERIC}"),
            Severity::Warning,
        ),
        // Some drivers say what they send only while they have a program.
        Ok(xdp) if xdp.transmit && !xdp.transmit_fragments => (
            "and its driver drops what other interfaces have for it of that size".into(),
            Severity::Problem,
        ),
        Ok(_) => return None,
        Err(_) => (
            format!("which some drivers do not hand over, and do not attach natively, {GENERIC}"),
            Severity::Note,
        ),
    };
    let text = format!(
        "its MTU is {mtu}; above about {NATIVE_MTU}, a frame takes more than a page, {problem}; lower \
         it with `ip link set dev {name} mtu {NATIVE_MTU}`"
    );
    Some(finding(severity, text))
}

fn of_offloads(name: &str, presence: &Presence, tags: bool) -> Vec<Finding> {
    let features = match &presence.features {
        Ok(features) => features,
        Err(error) => {
            let text = format!("cannot find out which offloads are on: {error}");
            return vec![finding(Severity::Note, text)];
        }
    };
    let mut findings = Vec::new();
    for (about_tags, fixed) in [(false, false), (false, true), (true, false), (true, true)] {
        let alike: Vec<Feature> = features
            .harmful(true)
            .filter(|(feature, is_fixed)| {
                (feature.is_about_tags(), *is_fixed) == (about_tags, fixed)
            })
            .map(|(feature, _)| feature)
            .collect();
        let Some(harm) = alike.first().map(|feature| feature.harm()) else { continue };
        let severity = match about_tags {
            false => Severity::Problem,
            true if tags => Severity::Warning,
            true => Severity::Note,
        };
        let command = Feature::remedy(&alike, name);
        let remedy = match (fixed, severity) {
            (true, _) => "its driver does not let that be switched off".to_owned(),
            (false, Severity::Note) => format!("if such frames come in, `{command}`"),
            (false, _) => format!("switch it off with `{command}`"),
        };
        let names: Vec<_> = alike.iter().map(ToString::to_string).collect();
        let is = if alike.len() == 1 { "is" } else { "are" };
        let text = format!("{} {is} on: {harm}; {remedy}", names.join(" and "));
        findings.push(finding(severity, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;
    use crate::nic::{Error, Features, State, XdpSupport};

    const ALL: u64 = 0b111_1111;
    const ON: State = State { on: true, fixed: false };

    fn nic(change: impl FnOnce(&mut Presence)) -> Survey {
        let mut presence = Presence {
            ethernet: true,
            mtu: 1500,
            driver: Ok("ixgbe".into()),
            xdp: Ok(XdpSupport::from(ALL)),
            features: Ok(Features::default()),
            occupant: None,
        };
        change(&mut presence);
        Survey { interface: "wan0".into(), presence: Some(presence) }
    }

    fn told(survey: &Survey, tags: bool) -> Vec<String> {
        let line = |finding: Finding| format!("{}: {}", finding.severity, finding.text);
        findings(survey, tags).into_iter().map(line).collect()
    }

    fn only(survey: &Survey) -> String {
        let [told] = &told(survey, false)[..] else { panic!("{:?}", told(survey, false)) };
        told.clone()
    }

    fn features(features: &[(Feature, State)]) -> Result<Features, Error> {
        Ok(Features(features.iter().copied().collect::<BTreeMap<_, _>>()))
    }

    #[test]
    fn a_nic_as_it_should_be_is_not_worth_a_word() {
        assert_eq!(told(&nic(|_| ()), true), [""; 0]);
        assert_eq!(told(&nic(|nic| nic.mtu = NATIVE_MTU), true), [""; 0]);
    }

    #[test]
    fn what_keeps_the_daemon_from_starting_is_a_problem() {
        let missing = Survey { interface: "wan0".into(), presence: None };
        assert_eq!(only(&missing), "problem: does not exist; see `ip link`");
        let no_mac = nic(|nic| nic.ethernet = false);
        assert_eq!(only(&no_mac), "problem: it has no MAC; give an Ethernet interface");
        let other = Occupant { id: 7, name: "filter".into() };
        assert_eq!(
            only(&nic(|nic| nic.occupant = Some(other))),
            "problem: it has another XDP program (filter, id 7), so that `run` refuses it; stop \
             the daemon that has attached it, or detach it with `ip link set dev wan0 xdp off`"
        );
    }

    #[test]
    fn a_program_of_ones_own_is_none_of_another() {
        for name in ["pointsman", "pointsman_tagge"] {
            let own = Occupant { id: 7, name: name.into() };
            assert_eq!(
                only(&nic(|nic| nic.occupant = Some(own))),
                format!("note: a running Pointsman has it ({name}, id 7)")
            );
        }
        let unknown = Occupant { id: 7, name: String::new() };
        assert!(only(&nic(|nic| nic.occupant = Some(unknown))).starts_with("warning: "));
    }

    #[test]
    fn what_makes_xdp_slow_is_warned_of() {
        for xdp in [0, 0b1] {
            let slow = nic(|nic| nic.xdp = Ok(XdpSupport::from(xdp)));
            assert!(only(&slow).starts_with("warning: its driver has no native XDP"), "{xdp}");
        }
    }

    #[test]
    fn a_large_mtu_matters_where_the_driver_cannot_do_with_it() {
        let of = |xdp: u64| {
            told(
                &nic(|nic| {
                    nic.mtu = 9000;
                    nic.xdp = Ok(XdpSupport::from(xdp));
                }),
                false,
            )
        };
        assert_eq!(of(ALL), [""; 0]);
        assert_eq!(
            of(0b000_0111),
            [
                "warning: its MTU is 9000; above about 3502, a frame takes more than a page, which its \
              driver does not hand over, and does not attach natively, so that generic XDP is used \
              on all interfaces, which takes several times the CPU time for each packet; lower it \
              with `ip link set dev wan0 mtu 3502`"
            ]
        );
        assert_eq!(
            of(0b010_0111),
            [
                "problem: its MTU is 9000; above about 3502, a frame takes more than a page, and its \
              driver drops what other interfaces have for it of that size; lower it with `ip link \
              set dev wan0 mtu 3502`"
            ]
        );
        // It may say so later.
        assert_eq!(of(0b010_0011), [""; 0]);
        // Of generic XDP, only that it is used is worth a word.
        assert!(matches!(&of(0)[..], [driver] if driver.contains("no native XDP")));
        let unknown = nic(|nic| {
            nic.mtu = 9000;
            nic.xdp = Err(Error::NoFamily { family: "netdev", needs: "Linux 6.3" });
        });
        assert!(told(&unknown, false)[1].starts_with("note: its MTU is 9000;"));
    }

    #[test]
    fn merging_is_a_problem_with_its_remedy() {
        let merging = nic(|nic| nic.features = features(&[(Feature::LargeReceiveOffload, ON)]));
        let text = only(&merging);
        assert!(text.starts_with("problem: lro is on: the NIC merges packets"), "{text}");
        assert!(text.ends_with("; switch it off with `ethtool -K wan0 lro off`"), "{text}");
        let fixed = State { fixed: true, ..ON };
        let fixed = nic(|nic| nic.features = features(&[(Feature::HardwareGro, fixed)]));
        let text = only(&fixed);
        assert!(text.starts_with("problem: rx-gro-hw is on"), "{text}");
        assert!(text.ends_with("; its driver does not let that be switched off"), "{text}");
    }

    #[test]
    fn tags_that_are_taken_off_matter_where_some_come_in() {
        let stripping = nic(|nic| nic.features = features(&[(Feature::VlanStripping, ON)]));
        let note = only(&stripping);
        assert!(note.starts_with("note: rxvlan is on: "), "{note}");
        assert!(note.ends_with("; if such frames come in, `ethtool -K wan0 rxvlan off`"), "{note}");
        let warning = &told(&stripping, true)[0];
        assert!(warning.starts_with("warning: rxvlan is on: "), "{warning}");
        assert!(
            warning.ends_with("; switch it off with `ethtool -K wan0 rxvlan off`"),
            "{warning}"
        );
        let both = [(Feature::VlanStripping, ON), (Feature::ServiceTagStripping, ON)];
        let both = only(&nic(|nic| nic.features = features(&both)));
        assert!(both.starts_with("note: rxvlan and rx-vlan-stag-hw-parse are on: "), "{both}");
        assert!(both.ends_with("wan0 rxvlan off rx-vlan-stag-hw-parse off`"), "{both}");
    }

    #[test]
    fn what_is_not_to_be_found_out_is_said_and_no_more() {
        let silent = nic(|nic| {
            nic.xdp = Err(Error::NoFamily { family: "netdev", needs: "Linux 6.3" });
            nic.features = Err(Error::Refused(io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
        });
        assert_eq!(
            told(&silent, true),
            [
                "note: cannot find out what its driver does for XDP: the kernel has no generic \
                 netlink family \"netdev\", which comes with Linux 6.3",
                "note: cannot find out which offloads are on: the kernel refused: Operation not \
                 supported (os error 95)",
            ]
        );
    }
}
