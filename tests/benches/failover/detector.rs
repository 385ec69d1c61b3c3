//! What notices that an uplink is dead.

use std::time::Duration;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Detector {
    /// The loss of the carrier.
    Carrier,
    /// BFD, 10 ms three times.
    Bfd,
    /// The same in the data plane, while the daemon is stopped.
    Liveness,
    /// ICMP probes, 100 ms three times.
    Icmp,
}

impl Detector {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Bfd => "bfd",
            Self::Liveness => "liveness",
            Self::Icmp => "icmp",
        }
    }

    /// What is done to the uplink.
    pub(crate) fn cut(self) -> &'static str {
        if self == Self::Carrier { "carrier" } else { "blackhole" }
    }

    /// How the daemon is meanwhile.
    pub(crate) fn daemon(self) -> &'static str {
        if self == Self::Liveness { "stopped" } else { "running" }
    }

    /// What 99 of 100 outages must not exceed.
    pub(crate) fn bound(self) -> Duration {
        Duration::from_millis(match self {
            Self::Carrier => 10,
            Self::Bfd | Self::Liveness => 40,
            Self::Icmp => 450,
        })
    }

    /// For how long traffic goes on after a cut: twice what is allowed, and some.
    pub(crate) fn aftermath(self) -> Duration {
        2 * self.bound() + Duration::from_millis(100)
    }

    pub(crate) fn has_session(self) -> bool {
        matches!(self, Self::Bfd | Self::Liveness)
    }
}
