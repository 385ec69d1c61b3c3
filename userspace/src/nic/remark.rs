use std::fmt;

use log::Level;

use super::{Error, Feature};

/// Something that a [`Keeper`](super::Keeper) has to say of an interface.
#[derive(Debug)]
pub struct Remark {
    /// The interface.
    pub interface: String,
    /// What there is to say.
    pub kind: RemarkKind,
}

/// What a [`Remark`] says.
#[derive(Debug)]
pub enum RemarkKind {
    /// Nobody knows how the features are.
    Unknown(Error),
    /// One does harm, and is left as it is.
    Harmful(Feature),
    /// One does harm, and nothing can be done about it.
    Fixed(Feature),
    /// One has been switched off.
    SwitchedOff(Feature),
    /// One could not be.
    NotSwitchedOff(Feature, Error),
    /// One is on again, as it was.
    PutBack(Feature),
    /// One could not be switched on again.
    NotPutBack(Feature, Error),
}

impl Remark {
    /// Writes it to the log.
    pub fn log(&self) {
        log::log!(self.level(), "{self}");
    }

    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self.kind {
            RemarkKind::SwitchedOff(_) | RemarkKind::PutBack(_) => Level::Info,
            RemarkKind::Unknown(_) | RemarkKind::Harmful(_) | RemarkKind::Fixed(_) => Level::Warn,
            RemarkKind::NotSwitchedOff(..) | RemarkKind::NotPutBack(..) => Level::Error,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, kind } = self;
        write!(f, "{interface}: ")?;
        match kind {
            RemarkKind::Unknown(error) => {
                write!(
                    f,
                    "cannot find out which offloads are on: {error}; see `ethtool -k {interface}`"
                )
            }
            RemarkKind::Harmful(feature) => write!(
                f,
                "{feature} is on: {}; switch it off with `{}`, or let the daemon do it with \
                 offloads = \"set\" below [host]",
                feature.harm(),
                Feature::remedy(&[*feature], interface)
            ),
            RemarkKind::Fixed(feature) => write!(
                f,
                "{feature} is on, and its driver does not let it be switched off: {}; use another \
                 NIC",
                feature.harm()
            ),
            RemarkKind::SwitchedOff(feature) => {
                write!(f, "{feature} is switched off as long as the gateway has the interface")
            }
            RemarkKind::NotSwitchedOff(feature, error) => write!(
                f,
                "{feature} cannot be switched off: {error}; {}; try `{}`",
                feature.harm(),
                Feature::remedy(&[*feature], interface)
            ),
            RemarkKind::PutBack(feature) => write!(f, "{feature} is switched on again"),
            RemarkKind::NotPutBack(feature, error) => write!(
                f,
                "{feature} cannot be switched on again: {error}; try `ethtool -K {interface} \
                 {feature} on`"
            ),
        }
    }
}
