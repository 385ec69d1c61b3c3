use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Which of an uplink's probes one is. Its `Display` says what is asked, for people; no two probes of
/// an uplink have the same, and a probe keeps its own when the file is read again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(Arc<str>);

impl ProbeId {
    /// Of the probe that is called this.
    pub fn new(label: impl Into<Arc<str>>) -> Self {
        Self(label.into())
    }

    /// Of an ICMP echo probe.
    pub fn icmp(target: impl Into<IpAddr>) -> Self {
        Self::new(format!("icmp {}", target.into()))
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
