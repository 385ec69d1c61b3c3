use std::fmt::{self, Display};

use anyhow::Context as _;

use super::check::counted;
use crate::config::Config;
use crate::host::{Finding, Presence, Severity, Survey, findings, survey};
use crate::netlink::{Snapshot, Update, Watcher};

/// Says how the interfaces of the configuration are on this host, and whether there is no problem.
pub(super) fn check(config: &Config) -> anyhow::Result<bool> {
    let host = snapshot().context("cannot look at the host")?;
    let (mut problems, mut warnings) = (0, 0);
    for (interface, user) in users(config) {
        let survey = survey(&interface, &host);
        // The data plane serves no frames with tags.
        let findings = findings(&survey, false);
        println!("{}", Shown { user: &user, survey: &survey, findings: &findings });
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        problems += count(Severity::Problem);
        warnings += count(Severity::Warning);
    }
    println!("host: {}, {}", counted(problems, "problem"), counted(warnings, "warning"));
    Ok(problems == 0)
}

/// What the kernel knows of the interfaces.
fn snapshot() -> anyhow::Result<Snapshot> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut watcher = Watcher::new()?;
        loop {
            if let Update::Resync(snapshot) = watcher.next().await? {
                return Ok(snapshot);
            }
        }
    })
}

/// The interfaces of the configuration, each with who is to use it.
fn users(config: &Config) -> Vec<(String, String)> {
    let lan = config.lan.interfaces.iter().map(|interface| (interface.clone(), "LAN".to_owned()));
    let uplinks = config
        .uplinks
        .iter()
        .map(|uplink| (uplink.interface.clone(), format!("uplink {:?}", uplink.name)));
    let mut users: Vec<(String, String)> = Vec::new();
    for (interface, user) in lan.chain(uplinks) {
        match users.iter_mut().find(|(known, _)| *known == interface) {
            Some((_, users)) => *users += &format!(", {user}"),
            None => users.push((interface, user)),
        }
    }
    users
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
