use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::Context as _;
use pointsman_ebpf::abi::Vlan;

use super::check::counted;
use super::output::say;
use crate::config::Config;
use crate::control::{Attachment, Controller, check_vlan, is_tagged};
use crate::host::{Finding, Presence, Severity, Survey, findings, survey};
use crate::netlink::{self, Snapshot, Update, Watcher};
use crate::probe::obstacle;

/// Says how the interfaces of the configuration are on this host, and whether there is no problem.
pub(super) fn check(config: &Config) -> anyhow::Result<bool> {
    let host = snapshot().context("cannot look at the host")?;
    let (mut problems, mut warnings) = (0, 0);
    for Used { interface, user, tags } in used(config, &host) {
        let survey = survey(&interface, &host);
        let findings = findings(&survey, tags);
        say(Shown { user: &user, survey: &survey, findings: &findings })?;
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        problems += count(Severity::Problem);
        warnings += count(Severity::Warning);
    }
    for finding in probes(config, &host)? {
        say(format_args!("{}: {}", finding.severity, finding.text))?;
        problems += 1;
    }
    let (found, warned) = (counted(problems, "problem"), counted(warnings, "warning"));
    say(format_args!("host: {found}, {warned}"))?;
    Ok(problems == 0)
}

/// The probes that could not be answered.
fn probes(config: &Config, host: &Snapshot) -> Result<Vec<Finding>, netlink::Error> {
    let now = Instant::now();
    let mut controller = Controller::new(config.clone(), [0; 2], 1, now);
    controller.update(Update::Resync(host.clone()), now);
    let mut findings = Vec::new();
    for uplink in controller.uplinks() {
        let link = uplink.ifindex().and_then(|index| Some((index, host.links.get(&index)?)));
        let Some((index, link)) = link else {
            // That the interface is missing has been said, but not that the kernel has none of a VLAN on it.
            let below = host.link_named(&uplink.config().interface);
            let unfit = below.and_then(|_| check_vlan(uplink.config(), host).err());
            findings.extend(
                unfit.map(|unfit| Finding { severity: Severity::Problem, text: unfit.to_string() }),
            );
            continue;
        };
        let Some(index) = NonZeroU32::new(index) else { continue };
        for probe in uplink.config().health.iter().flat_map(|health| &health.probes) {
            let found = obstacle((index, &link.name), &uplink.path(), &probe.kind)?;
            findings.extend(found.map(|text| Finding {
                severity: Severity::Problem,
                text: format!("uplink {:?}: {}: {text}", uplink.config().name, probe.id()),
            }));
        }
    }
    Ok(findings)
}

/// What the kernel knows of the interfaces.
fn snapshot() -> anyhow::Result<Snapshot> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut watcher = Watcher::new(BTreeSet::new())?;
        loop {
            if let Update::Resync(snapshot) = watcher.next().await? {
                return Ok(snapshot);
            }
        }
    })
}

/// An interface that the program is to be attached to.
struct Used {
    interface: String,
    /// Who is to use it, for people.
    user: String,
    /// Whether frames with VLAN tags come in there.
    tags: bool,
}

/// The interfaces that the configuration has the program attached to: of VLANs those that they are on.
fn used(config: &Config, host: &Snapshot) -> Vec<Used> {
    let lan = config.lan.interfaces.iter().map(|name| (name, Vlan::NONE, "LAN".to_owned()));
    let uplinks = config
        .uplinks
        .iter()
        .map(|uplink| (&uplink.interface, uplink.vlan, format!("uplink {:?}", uplink.name)));
    let mut used: Vec<Used> = Vec::new();
    for (name, vlan, user) in lan.chain(uplinks) {
        let attachment = Attachment::find(host, name, vlan);
        let (interface, tags) = match attachment {
            Some(Attachment { below: (index, link), vlan, .. }) => {
                (&link.name, vlan != Vlan::NONE || is_tagged(host, index))
            }
            None => (name, vlan != Vlan::NONE),
        };
        match used.iter_mut().find(|known| known.interface == *interface) {
            Some(known) => {
                known.user += &format!(", {user}");
                known.tags |= tags;
            }
            None => used.push(Used { interface: interface.clone(), user, tags }),
        }
    }
    used
}

/// An interface, a line for each thing that there is to say.
struct Shown<'s> {
    user: &'s str,
    survey: &'s Survey,
    findings: &'s [Finding],
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, survey, findings } = self;
        write!(f, "{} ({user})", survey.interface)?;
        if let Some(presence) = &survey.presence {
            let Presence { mtu, driver, xdp, features, .. } = presence;
            write!(f, "\n    driver      {}", or_unknown(driver))?;
            write!(f, "\n    MTU         {mtu}")?;
            write!(f, "\n    native XDP  {}", or_unknown(xdp))?;
            write!(f, "\n    offloads    {}", or_unknown(features))?;
        }
        for Finding { severity, text } in *findings {
            write!(f, "\n    {severity}: {text}")?;
        }
        Ok(())
    }
}

fn or_unknown<T: Display, E: Display>(value: &Result<T, E>) -> String {
    match value {
        Ok(value) => value.to_string(),
        Err(error) => format!("unknown: {error}"),
    }
}
