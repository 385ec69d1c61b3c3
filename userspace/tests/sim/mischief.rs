//! Bugs that are made on purpose, between the product and what it is tried on, so that the simulator is seen to
//! find such.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// All is as it is to be.
    None,
    /// Who dies leaves the switch only after all else is written.
    LowersLate,
    /// The masks of the group stay as they were first written.
    KeepsMasks,
    /// A side of an uplink keeps its generation whatever its address is.
    KeepsGeneration,
    /// An address that is gone stays among the gateway's own.
    KeepsAddresses,
    /// The controller is not told of what makes it wait until it believes that an uplink is well.
    BelievesAtOnce,
    /// The controller is not told that an interface is gone.
    KeepsInterfaces,
    /// What is configured to be watched by a session is not told that it is down.
    KeepsSessions,
    /// After a reload, the configuration before still holds for the group.
    KeepsTiers,
}

/// All that are bugs.
pub(crate) const ALL: [Mischief; 8] = [
    Mischief::LowersLate,
    Mischief::KeepsMasks,
    Mischief::KeepsGeneration,
    Mischief::KeepsAddresses,
    Mischief::BelievesAtOnce,
    Mischief::KeepsInterfaces,
    Mischief::KeepsSessions,
    Mischief::KeepsTiers,
];
