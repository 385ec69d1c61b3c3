//! Uplinks that are drained: no new flows, and those that they have go on until they end.
//!
//! Invariant: as long as an uplink of the group is up, new flows have a way. Where all that are up are drained,
//! these take them, before anything that is down does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::uplink::ControlledUplink;
use super::{Change, Controller};
use crate::config::{Ipv6Mode, closest, quoted};

/// Which uplinks are drained, by name, and until when: without a time, until they are undrained.
pub type Drains = BTreeMap<String, Option<Instant>>;

/// Why an uplink is not drained, or not undrained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// No uplink has this name.
    #[error("no uplink is called {}; {}", quoted(.name), hint(.meant.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// New flows would be left without a way.
    #[error(
        "no other uplink that is up and not drained carries {}; undrain or repair one first, or drain {} all \
         the same with --force (\"force\": true)",
        .what.join(", "), quoted(.name)
    )]
    Needed {
        /// The uplink's name.
        name: String,
        /// Of what.
        what: Vec<String>,
    },
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(
        || "`pointsman status` names them".to_owned(),
        |meant| format!("did you mean {}?", quoted(meant)),
    )
}

impl Controller {
    /// Takes new flows away from the uplink with this name, for a time or until it is undrained. One that is
    /// drained already is, from now on, for this time.
    ///
    /// # Errors
    /// Where there is no such uplink; and, unless that is wanted, where something would have no way then.
    pub fn drain(
        &mut self,
        name: &str,
        time: Option<Duration>,
        is_forced: bool,
        now: Instant,
    ) -> Result<Vec<Change>, DrainError> {
        let uplink = self.uplink_named(name)?;
        let what = self.needed_for(uplink);
        if !is_forced && !what.is_empty() {
            return Err(DrainError::Needed { name: name.to_owned(), what });
        }
        // What is beyond the clock's end is for ever.
        self.drains.insert(name.to_owned(), time.and_then(|time| now.checked_add(time)));
        Ok(self.observe(now, |_| ()))
    }

    /// Gives new flows to the uplink with this name again, if it was drained.
    ///
    /// # Errors
    /// Where there is no such uplink.
    pub fn undrain(&mut self, name: &str, now: Instant) -> Result<Vec<Change>, DrainError> {
        self.uplink_named(name)?;
        self.drains.remove(name);
        Ok(self.observe(now, |_| ()))
    }

    /// Takes up what was so before a restart. Uplinks that are no more, and times that are over, are left out.
    pub fn restore_drains(&mut self, drains: Drains, now: Instant) -> Vec<Change> {
        self.drains.extend(drains);
        self.forget_drains();
        self.observe(now, |_| ())
    }

    /// The uplinks that are drained, and until when.
    pub fn drains(&self) -> &Drains {
        &self.drains
    }

    /// The drained uplinks that take new flows all the same, for no other uplink of the group is up.
    pub fn drained_in_use(&self) -> impl Iterator<Item = &ControlledUplink> {
        let is_needed = self.needs_drained();
        self.members().filter(move |uplink| is_needed && uplink.is_drained && uplink.may_send())
    }

    /// The uplinks that are to take no new flows, a bit each by identifier.
    pub(super) fn closed(&self) -> u64 {
        if self.needs_drained() {
            return 0;
        }
        self.those(|uplink| uplink.is_drained)
    }

    /// Ends the drains of uplinks that are not configured any more.
    pub(super) fn forget_drains(&mut self) {
        let uplinks = &self.config.uplinks;
        self.drains.retain(|name, _| uplinks.iter().any(|uplink| uplink.name == *name));
    }

    /// Ends the drains whose time is over, and has the uplinks know which others hold.
    pub(super) fn settle_drains(&mut self, now: Instant) {
        self.drains.retain(|_, until| until.is_none_or(|until| now < until));
        for uplink in &mut self.uplinks {
            uplink.is_drained = self.drains.contains_key(&uplink.config.name);
            uplink.settle_session(now);
        }
    }

    /// When the next drain is over, or a session that was held for one has had its time.
    pub(super) fn drain_deadline(&self) -> Option<Instant> {
        let drains = self.drains.values().copied().flatten();
        drains.chain(self.uplinks.iter().filter_map(|uplink| uplink.session.deadline())).min()
    }

    fn uplink_named(&self, name: &str) -> Result<&ControlledUplink, DrainError> {
        self.uplinks().iter().find(|uplink| uplink.config.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.uplinks().iter().map(|it| &*it.config.name).collect();
            let meant = closest(name, &known).map(str::to_owned);
            DrainError::Unknown { name: name.to_owned(), meant }
        })
    }

    /// The uplinks of the group.
    fn members(&self) -> impl Iterator<Item = &ControlledUplink> {
        let members = self.config().group.tiers.iter().flatten();
        members.filter_map(|index| self.uplinks().get(*index))
    }

    /// Whether nothing but drained uplinks can take new flows.
    fn needs_drained(&self) -> bool {
        !self.members().any(|uplink| !uplink.is_drained && uplink.may_send())
    }

    /// What new flows could no longer be of if this uplink were drained.
    fn needed_for(&self, uplink: &ControlledUplink) -> Vec<String> {
        let is_member = self.members().any(|member| member.id == uplink.id);
        if uplink.is_drained || !is_member || !uplink.may_send() {
            return Vec::new();
        }
        let others = self
            .members()
            .filter(|other| other.id != uplink.id && !other.is_drained && other.may_send());
        let carried: BTreeSet<String> = others.flat_map(carries).collect();
        carries(uplink).into_iter().filter(|what| !carried.contains(what)).collect()
    }
}

impl ControlledUplink {
    fn may_send(&self) -> bool {
        self.is_up() || self.is_last_resort
    }
}

/// What an uplink carries that another one may not.
fn carries(uplink: &ControlledUplink) -> Vec<String> {
    let mut carried = Vec::new();
    if uplink.translates() {
        carried.push("IPv4".to_owned());
    }
    if let Some(routed) = &uplink.config.routed {
        carried.extend(routed.prefixes.iter().map(|prefix| format!("{prefix} as it is")));
    }
    if let Some(ipv6) = uplink.config.ipv6.as_ref().filter(|_| uplink.carries_ipv6()) {
        match ipv6.mode {
            Ipv6Mode::Routed => {
                carried.extend(ipv6.prefixes.iter().map(|prefix| format!("{prefix} as it is")));
            }
            Ipv6Mode::Nptv6 | Ipv6Mode::Source | Ipv6Mode::Nat66 => carried.push("IPv6".to_owned()),
        }
    }
    carried
}
