use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use humantime::format_duration;

use super::{Breach, Silent};
use crate::bfd::Diagnostic;
use crate::probe::ProbeId;

/// Why an uplink is in the state that it is in. Its `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no interface of this name.
    InterfaceMissing {
        /// The name.
        interface: String,
    },
    /// The administrator has set the interface down.
    InterfaceDown {
        /// Its name.
        interface: String,
    },
    /// The interface has no carrier.
    CarrierLost {
        /// Its name.
        interface: String,
    },
    /// The interface has no address to send from.
    NoAddress {
        /// Its name.
        interface: String,
    },
    /// It is not known where to send packets to.
    NoNextHop {
        /// The name of the interface.
        interface: String,
    },
    /// The next hop does not answer ARP.
    NextHopSilent(Ipv4Addr),
    /// The next hop has been asked for its MAC.
    Resolving(Ipv4Addr),
    /// The BFD session has not come up yet.
    BfdWaiting,
    /// The BFD session has gone down.
    BfdDown(Diagnostic),
    /// The BFD session cannot be.
    BfdFailed(String),
    /// Some probes must be answered first.
    AwaitingProbes {
        /// How often one was answered, one time after the other.
        answered: u32,
        /// How many have to be.
        needed: u32,
    },
    /// Probes have not been answered for too long.
    ProbesUnanswered {
        /// How often each was lost, at least, one time after the other.
        lost: u32,
        /// Which ones.
        probes: Vec<ProbeId>,
    },
    /// It has sent for a while, and nothing has come back.
    NothingReceived(Silent),
    /// Probes have been answered.
    ProbesAnswered,
    /// All is there that can be seen without probes.
    Ready,
    /// It was in use when another daemon had it, and nothing speaks against it.
    Inherited,
    /// It works, and these limits of its service level are broken.
    ServiceLevel(Vec<Breach>),
    /// All is well, but not for long enough.
    HeldDown {
        /// How long it has to be.
        hold_down: Duration,
    },
    /// All is well, but it was not too often.
    Dampened {
        /// How often.
        flaps: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceMissing { interface } => write!(f, "there is no interface {interface}"),
            Self::InterfaceDown { interface } => write!(f, "{interface} is set down"),
            Self::CarrierLost { interface } => write!(f, "no carrier on {interface}"),
            Self::NoAddress { interface } => write!(f, "no address on {interface}"),
            Self::NoNextHop { interface } => write!(f, "no next hop is known on {interface}"),
            Self::NextHopSilent(address) => write!(f, "next hop {address} does not answer ARP"),
            Self::Resolving(address) => write!(f, "asking next hop {address} for its MAC"),
            Self::BfdWaiting => f.write_str("waiting for the BFD session to come up"),
            Self::BfdDown(diagnostic) => write!(f, "the BFD session is down: {diagnostic}"),
            Self::BfdFailed(error) => write!(f, "there is no BFD session: {error}"),
            Self::AwaitingProbes { answered, needed } => {
                write!(f, "{answered} of {needed} probes answered so far")
            }
            Self::ProbesUnanswered { lost, probes } => {
                let (noun, each) = (plural(*lost), if probes.len() > 1 { "each of " } else { "" });
                write!(f, "{lost} {noun} of {each}")?;
                for (position, probe) in probes.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{probe}")?;
                }
                f.write_str(" failed")
            }
            Self::NothingReceived(silent) => write!(f, "{silent}"),
            Self::ProbesAnswered => f.write_str("probes answered"),
            Self::Ready => f.write_str("carrier, address and next hop are there"),
            Self::Inherited => f.write_str(
                "it was in use before the daemon started, and nothing speaks against it",
            ),
            Self::ServiceLevel(breaches) => {
                f.write_str("service level: ")?;
                for (position, breach) in breaches.iter().enumerate() {
                    let separator = if position == 0 { "" } else { "; " };
                    write!(f, "{separator}{breach}")?;
                }
                Ok(())
            }
            Self::HeldDown { hold_down } => {
                write!(f, "held down until it has been well for {}", format_duration(*hold_down))
            }
            Self::Dampened { flaps } => write!(f, "dampened: flapped {flaps} times"),
        }
    }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "probe" } else { "probes" }
}

#[cfg(test)]
mod tests {
    use super::super::{Limit, Metric};
    use super::*;

    #[test]
    fn reasons_read_as_sentences_do() {
        let limit = Limit { metric: Metric::Loss, enter: 200_000, leave: 50_000 };
        let breach = Breach { limit, value: Some(400_000) };
        let probes = [[192, 0, 2, 53], [192, 0, 2, 54]].map(ProbeId::icmp).to_vec();
        for (reason, words) in [
            (Reason::NoAddress { interface: "wan0".into() }, "no address on wan0"),
            (
                Reason::NextHopSilent(Ipv4Addr::new(203, 0, 113, 1)),
                "next hop 203.0.113.1 does not answer ARP",
            ),
            (
                Reason::ProbesUnanswered { lost: 3, probes: probes[..1].into() },
                "3 probes of icmp 192.0.2.53 failed",
            ),
            (
                Reason::ProbesUnanswered { lost: 1, probes },
                "1 probe of each of icmp 192.0.2.53, icmp 192.0.2.54 failed",
            ),
            (Reason::AwaitingProbes { answered: 2, needed: 5 }, "2 of 5 probes answered so far"),
            (
                Reason::ServiceLevel(vec![breach, breach]),
                "service level: loss 40 %, good from 5 % down; loss 40 %, good from 5 % down",
            ),
            (
                Reason::HeldDown { hold_down: Duration::from_millis(1500) },
                "held down until it has been well for 1s 500ms",
            ),
            (Reason::Dampened { flaps: 4 }, "dampened: flapped 4 times"),
        ] {
            assert_eq!(reason.to_string(), words);
        }
    }
}
