use super::genetlink::{self, Family, attribute, nested};
use super::{Error, Feature, Features, State};

/// Requests of the family (linux/ethtool_netlink.h).
const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;

/// Attributes of both (`ETHTOOL_A_FEATURES_`).
const HEADER: u16 = 1;
const CHANGEABLE: u16 = 2;
const WANTED: u16 = 3;
const ACTIVE: u16 = 4;
const NO_CHANGE: u16 = 5;

/// Attributes of the header (`ETHTOOL_A_HEADER_`), and the flag that there is to be no answer but
/// the acknowledgement.
const DEVICE_INDEX: u16 = 1;
const FLAGS: u16 = 3;
const OMIT_REPLY: u32 = 1 << 1;

/// Attributes of a set of bits (`ETHTOOL_A_BITSET_`), of its list, and of a bit in there.
const NO_MASK: u16 = 1;
const BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;

/// Where features of interfaces are read and written.
pub trait FeatureControl {
    /// How the features of the interface with this index are.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    fn read(&self, ifindex: u32) -> Result<Features, Error>;

    /// Switches a feature on or off.
    ///
    /// # Errors
    /// Where the kernel refuses, or the driver does not do it.
    fn write(&self, ifindex: u32, feature: Feature, on: bool) -> Result<(), Error>;
}

/// The kernel's ethtool, in the calling thread's network namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ethtool;

impl FeatureControl for Ethtool {
    fn read(&self, ifindex: u32) -> Result<Features, Error> {
        let answer = family()?.get(FEATURES_GET, header(ifindex, 0))?;
        features(&answer).ok_or(Error::Answer("features"))
    }

    fn write(&self, ifindex: u32, feature: Feature, on: bool) -> Result<(), Error> {
        let request = [header(ifindex, OMIT_REPLY), wanted(feature, on)].concat();
        family()?.set(FEATURES_SET, request)?;
        // What a driver does not let be changed, the kernel accepts and leaves as it is.
        if self.read(ifindex)?.state(feature).on == on { Ok(()) } else { Err(Error::Kept) }
    }
}

fn family() -> Result<Family, Error> {
    Family::open("ethtool", "CONFIG_ETHTOOL_NETLINK")
}

fn header(ifindex: u32, flags: u32) -> Vec<u8> {
    let index = attribute(DEVICE_INDEX, ifindex.to_ne_bytes().into());
    let flags = attribute(FLAGS, flags.to_ne_bytes().into());
    nested(HEADER, [index, flags].concat())
}

/// The set with this one bit: what it does not name stays as it is.
fn wanted(feature: Feature, on: bool) -> Vec<u8> {
    let name = [feature.kernel_name().as_bytes(), &[0]].concat();
    let mut bit = attribute(BIT_NAME, name);
    if on {
        bit.extend(attribute(BIT_VALUE, Vec::new()));
    }
    nested(WANTED, nested(BITS, nested(BIT, bit)))
}

/// The features in an answer, or none if it is not whole.
fn features(answer: &[u8]) -> Option<Features> {
    let changeable = names(genetlink::find(answer, CHANGEABLE)?);
    let active = names(genetlink::find(answer, ACTIVE)?);
    let no_change = names(genetlink::find(answer, NO_CHANGE)?);
    let state = |feature: Feature| {
        let name = feature.kernel_name().as_bytes();
        let fixed = !changeable.contains(&name) || no_change.contains(&name);
        State { on: active.contains(&name), fixed }
    };
    Some(Features(Feature::ALL.into_iter().map(|feature| (feature, state(feature))).collect()))
}

/// The names of the bits that are set. A set with a mask lists those too that are not.
fn names(set: &[u8]) -> Vec<&[u8]> {
    let only_set = genetlink::find(set, NO_MASK).is_some();
    let bits = genetlink::find(set, BITS).unwrap_or_default();
    genetlink::attributes(bits)
        .filter(|(kind, bit)| {
            *kind == BIT && (only_set || genetlink::find(bit, BIT_VALUE).is_some())
        })
        .filter_map(|(_, bit)| genetlink::find(bit, BIT_NAME))
        .map(|name| name.strip_suffix(&[0]).unwrap_or(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(name: &str, value: bool) -> Vec<u8> {
        let mut bit = attribute(BIT_NAME, [name.as_bytes(), &[0]].concat());
        if value {
            bit.extend(attribute(BIT_VALUE, Vec::new()));
        }
        nested(BIT, bit)
    }

    /// A set without a mask.
    fn set(kind: u16, names: &[&str]) -> Vec<u8> {
        let bits = names.iter().flat_map(|name| bit(name, false)).collect();
        nested(kind, [attribute(NO_MASK, Vec::new()), nested(BITS, bits)].concat())
    }

    #[test]
    fn what_is_on_and_what_is_fixed() {
        let changeable = [
            bit("rx-lro", true),
            bit("rx-gro-hw", false),
            bit("rx-vlan-hw-parse", true),
            bit("rx-vlan-stag-hw-parse", true),
        ];
        let answer = [
            header(3, 0),
            nested(CHANGEABLE, nested(BITS, changeable.concat())),
            set(WANTED, &["rx-lro"]),
            set(ACTIVE, &["rx-gro", "rx-lro", "rx-gro-hw"]),
            set(NO_CHANGE, &["rx-vlan-stag-hw-parse"]),
        ]
        .concat();
        assert_eq!(
            features(&answer).unwrap().to_string(),
            "lro on, rx-gro-hw on (fixed), rxvlan off, rx-vlan-stag-hw-parse off (fixed)"
        );
    }

    #[test]
    fn an_answer_that_lacks_a_set_is_none() {
        assert_eq!(features(&set(ACTIVE, &["rx-lro"])), None);
    }
}
