//! What is different between two configurations, in the operator's own words, and what that does to
//! flows.
//!
//! Every struct of the configuration is taken apart without a rest, so that the compiler asks for
//! each new key.

mod health;
mod sections;
mod spelling;
#[cfg(test)]
mod tests;
mod uplink;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Config;

/// A key, or a whole table, that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What messages call it, such as `uplink "fiber": weight`.
    pub key: String,
    /// The value before, as the file would have it; `None`: there was none.
    pub old: Option<String>,
    /// The value now; `None`: there is none any more.
    pub new: Option<String>,
    /// What becomes of flows.
    pub effect: Effect,
}

/// What a difference does to flows that there are already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    FlowsStay,
    /// Nothing, but new flows may take other uplinks than they would have.
    NewFlowsShared,
    /// The uplink carries none any more.
    FlowsMove,
    /// What was translated to the uplink's addresses is no more.
    AddressesChange,
    /// The uplink is known anew, on another interface.
    InterfaceChanges,
    /// How the uplink carries IPv6 is another matter now.
    Ipv6Changes,
    /// What the uplink routes as it is finds its way anew, from the next packet on.
    RoutedAnew,
    /// What was sent to the old prefix of NAT64 reaches nobody.
    Nat64Ends,
    /// The gateway no longer serves the hosts behind an interface.
    HostsLeave,
    /// The uplink waits until its session is up.
    SessionAnew,
    /// Nothing, and neither does the difference hold, until the daemon is started again.
    Restart,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FlowsStay => "flows stay",
            Self::NewFlowsShared => "flows stay, new ones are shared out anew",
            Self::FlowsMove => "its flows move to the others",
            Self::AddressesChange => "its translated flows end: its addresses change",
            Self::InterfaceChanges => "its flows end: it is on another interface",
            Self::Ipv6Changes => "its IPv6 flows end: its way of carrying them changes",
            Self::RoutedAnew => "its routed flows find their way anew",
            Self::Nat64Ends => "flows by the old prefix end",
            Self::HostsLeave => "flows of the hosts behind what is gone end",
            Self::SessionAnew => "flows stay if the session is not needed; it starts anew",
            Self::Restart => "takes a restart",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new, effect } = self;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{key}: {old} -> {new}; {effect}"),
            (None, Some(new)) => write!(f, "{key}: added, {new}; {effect}"),
            (Some(old), None) => write!(f, "{key}: removed, was {old}; {effect}"),
            (None, None) => write!(f, "{key}: another one; {effect}"),
        }
    }
}

/// What is different between a configuration and the one that is to take its place, in the order of
/// the file. The order of uplinks in a tier means nothing, and is no difference.
pub fn diff(old: &Config, new: &Config) -> Vec<Difference> {
    let Config { lan, uplinks, group, nat, nat64, forwards, timers, tables, host, state, api } =
        old;
    let mut differ = Differ::default();
    sections::lan(&mut differ, (lan, &new.lan));
    uplink::uplinks(&mut differ, (uplinks, &new.uplinks));
    sections::group(&mut differ, (group, &new.group), (uplinks, &new.uplinks));
    sections::nat(&mut differ, (nat, &new.nat));
    differ.option("nat64.prefix", (nat64, &new.nat64), Effect::Nat64Ends, spelling::text);
    sections::forwards(&mut differ, (forwards, &new.forwards), (uplinks, &new.uplinks));
    sections::timers(&mut differ, (timers, &new.timers));
    sections::tables(&mut differ, (tables, &new.tables));
    sections::host(&mut differ, (*host, new.host));
    sections::state(&mut differ, (state, &new.state));
    sections::api(&mut differ, (api, &new.api));
    differ.found
}

/// An old value and a new one.
type Pair<'c, T> = (&'c T, &'c T);

/// What has been found so far, and what comes before the keys that are looked at.
#[derive(Default)]
struct Differ {
    prefix: String,
    found: Vec<Difference>,
}

impl Differ {
    /// Looks at keys that messages have `prefix` before.
    fn below(&mut self, prefix: &str, look: impl FnOnce(&mut Self)) {
        let length = self.prefix.len();
        self.prefix += prefix;
        look(self);
        self.prefix.truncate(length);
    }

    /// A value that both have.
    fn value<T: PartialEq + ?Sized>(
        &mut self,
        key: &str,
        (old, new): Pair<'_, T>,
        effect: Effect,
        spell: impl Fn(&T) -> String,
    ) {
        if old != new {
            self.push(key, Some(spell(old)), Some(spell(new)), effect);
        }
    }

    /// A value that either may lack; one that is added leaves flows alone.
    fn option<T: PartialEq>(
        &mut self,
        key: &str,
        (old, new): Pair<'_, Option<T>>,
        effect: Effect,
        spell: impl Fn(&T) -> String,
    ) {
        if old != new {
            let effect = if old.is_some() { effect } else { Effect::FlowsStay };
            self.push(key, old.as_ref().map(&spell), new.as_ref().map(&spell), effect);
        }
    }

    fn push(&mut self, key: &str, old: Option<String>, new: Option<String>, effect: Effect) {
        self.found.push(Difference { key: format!("{}{key}", self.prefix), old, new, effect });
    }
}
