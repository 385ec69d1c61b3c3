use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature of a NIC, or of its driver, that changes what XDP gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Feature {
    /// Received packets of a TCP connection are merged.
    LargeReceiveOffload,
    /// The same, so that it can be undone.
    HardwareGro,
    /// The VLAN tag of a received frame is taken off (IEEE 802.1Q).
    VlanStripping,
    /// The outer tag of two is (IEEE 802.1ad).
    ServiceTagStripping,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::LargeReceiveOffload,
        Self::HardwareGro,
        Self::VlanStripping,
        Self::ServiceTagStripping,
    ];

    /// The kernel's name (`netdev_features_strings` in net/ethtool/common.c).
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::LargeReceiveOffload => "rx-lro",
            Self::HardwareGro => "rx-gro-hw",
            Self::VlanStripping => "rx-vlan-hw-parse",
            Self::ServiceTagStripping => "rx-vlan-stag-hw-parse",
        }
    }

    /// Whether it takes tags off. Where no tags come in, it does no harm.
    pub fn is_about_tags(self) -> bool {
        matches!(self, Self::VlanStripping | Self::ServiceTagStripping)
    }

    /// What is wrong where it is on, as a sentence goes on.
    pub fn harm(self) -> &'static str {
        match self {
            Self::LargeReceiveOffload | Self::HardwareGro => {
                "the NIC merges packets into longer ones than an uplink takes, and drivers refuse \
                 XDP with it or drop these"
            }
            Self::VlanStripping | Self::ServiceTagStripping => {
                "the NIC takes VLAN tags off, so that tagged frames look to XDP as if they had none"
            }
        }
    }

    /// The command that switches these off.
    pub fn remedy(features: &[Self], interface: &str) -> String {
        let off = features.iter().map(|feature| format!(" {feature} off"));
        format!("ethtool -K {interface}{}", off.collect::<String>())
    }
}

impl fmt::Display for Feature {
    /// As `ethtool -K` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LargeReceiveOffload => "lro",
            Self::VlanStripping => "rxvlan",
            Self::HardwareGro | Self::ServiceTagStripping => self.kernel_name(),
        })
    }
}

/// How a feature of an interface is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether it is on.
    pub on: bool,
    /// Whether it stays so, whatever is asked for.
    pub fixed: bool,
}

/// How the features of an interface are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(pub BTreeMap<Feature, State>);

impl Features {
    /// How this one is. One that the kernel does not know is off.
    pub fn state(&self, feature: Feature) -> State {
        self.0.get(&feature).copied().unwrap_or(State { on: false, fixed: true })
    }

    /// Those that are on and do harm, each with whether it is fixed. With `tags`, frames with VLAN
    /// tags come in.
    pub fn harmful(&self, tags: bool) -> impl Iterator<Item = (Feature, bool)> {
        Feature::ALL.into_iter().filter_map(move |feature| {
            let State { on, fixed } = self.state(feature);
            (on && (tags || !feature.is_about_tags())).then_some((feature, fixed))
        })
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, feature) in Feature::ALL.into_iter().enumerate() {
            let State { on, fixed } = self.state(feature);
            let separator = if index > 0 { ", " } else { "" };
            let on = if on { "on" } else { "off" };
            let fixed = if fixed { " (fixed)" } else { "" };
            write!(f, "{separator}{feature} {on}{fixed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_harmed_where_there_are_some() {
        let on = State { on: true, fixed: false };
        let features = Features(BTreeMap::from([
            (Feature::VlanStripping, on),
            (Feature::HardwareGro, State { on: true, fixed: true }),
            (Feature::LargeReceiveOffload, State::default()),
        ]));
        let harmful = |tags| features.harmful(tags).collect::<Vec<_>>();
        assert_eq!(harmful(false), [(Feature::HardwareGro, true)]);
        assert_eq!(harmful(true), [(Feature::HardwareGro, true), (Feature::VlanStripping, false)]);
        assert_eq!(
            features.to_string(),
            "lro off, rx-gro-hw on (fixed), rxvlan on, rx-vlan-stag-hw-parse off (fixed)"
        );
    }

    #[test]
    fn the_remedy_has_the_name_that_ethtool_knows() {
        let remedy = |features: &[Feature]| Feature::remedy(features, "wan0");
        assert_eq!(remedy(&[Feature::HardwareGro]), "ethtool -K wan0 rx-gro-hw off");
        assert_eq!(
            remedy(&[Feature::VlanStripping, Feature::ServiceTagStripping]),
            "ethtool -K wan0 rxvlan off rx-vlan-stag-hw-parse off"
        );
    }
}
