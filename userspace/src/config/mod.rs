//! The configuration file: parse, validate, and give an immutable desired state.
//!
//! Every error names file, line, column, key and the fix, and all errors of a file are found in one
//! pass: a value that is wrong is reported and replaced by its default, so that the rest can be
//! read. Nobody sees such a value, for a report with an error in it gives no configuration.

mod address;
mod bfd;
mod desired;
mod diagnostic;
mod diff;
mod forward;
#[cfg(test)]
mod fuzz;
mod group;
mod health;
mod host;
mod interface;
mod ipv4;
mod ipv6;
mod nat;
mod nat64;
mod passive;
mod ports;
mod probe;
mod section;
mod settings;
mod sla;
mod stability;
mod state;
mod suggest;
mod table_sizes;
#[cfg(test)]
mod tests;
mod uplink;
mod value;
mod vlan;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use toml::de::DeTable;

pub use self::desired::{
    Api, Bfd, Config, Forward, Gateway, Gateway6, Group, Health, Host, Inbound, Ipv6, Ipv6Mode,
    Lan, LastResort, Nat, Offloads, PortProtocol, Routed, State, TableSizes, Timers, Uplink,
};
use self::diagnostic::Report;
pub use self::diagnostic::{ConfigError, Diagnostic, Severity};
pub use self::diff::{Difference, Effect, diff};
use self::interface::Interfaces;
use self::section::Section;
pub(crate) use self::suggest::{closest, quoted};

/// The largest file that is read, in bytes: far more than a configuration needs, and far less than
/// a device or a log that is named by mistake.
const FILE_SIZE: u64 = 1 << 18;

const KEYS: &[&str] = &[
    "lan", "uplink", "group", "nat", "nat64", "forward", "timers", "flows", "host", "state", "api",
];
const PLANNED: &[&str] = &["rule"];

/// Reads the configuration in the file at `path`, and what to warn of.
///
/// # Errors
///
/// [`ConfigError::Unreadable`] if there is no text to be had, [`ConfigError::Invalid`] if it is
/// wrong.
pub fn load(path: &Path) -> Result<(Config, Vec<Diagnostic>), ConfigError> {
    parse(&path.display().to_string(), &read_text(path)?)
}

/// Reads the text of the file at `path`.
///
/// # Errors
///
/// [`ConfigError::Unreadable`], also where it is larger than a configuration is.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason| ConfigError::Unreadable { path: path.to_owned(), reason };
    read_whole(path).map_err(unreadable)
}

fn read_whole(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_SIZE + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_SIZE {
        let message = format!("larger than {FILE_SIZE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// Reads the configuration that is `text`, and what to warn of. Messages call it `file_name`.
///
/// # Errors
///
/// [`ConfigError::Invalid`] with all that is wrong; with the first error only, if it is not TOML.
pub fn parse(file_name: &str, text: &str) -> Result<(Config, Vec<Diagnostic>), ConfigError> {
    let mut report = Report::new(file_name, text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let (message, fix) = (error.message(), syntax_fix(error.message()));
            report.error(&span, format!("not TOML: {message}; {fix}"));
            return Err(ConfigError::Invalid(report.into_diagnostics()));
        }
    };
    let config = read(&mut report, &Section::root(&document));
    Ok((config, report.finish()?))
}

fn syntax_fix(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "give each key once"
    } else {
        "text, addresses and durations stand in quotes, lists in [ ], tables in { }"
    }
}

fn read(report: &mut Report<'_>, root: &Section<'_>) -> Config {
    root.expect_keys(report, KEYS, PLANNED);
    let mut interfaces = Interfaces::default();
    let lan = settings::read_lan(report, root, &mut interfaces);
    let uplinks = uplink::read_all(report, root, &mut interfaces);
    let group = group::read(report, root, &uplinks);
    let forwards = forward::read_all(report, root, &uplinks);
    let nat_section = settings::optional_table(report, root, "nat");
    let nat = nat::read(report, nat_section.as_ref());
    let nat64 = nat64::read(report, root, &uplinks);
    let tables = table_sizes::read(report, root, nat_section.as_ref(), &nat, &uplinks);
    Config {
        lan,
        nat64,
        uplinks: uplinks.into_iter().map(|(uplink, _)| uplink).collect(),
        group,
        forwards,
        tables,
        nat,
        timers: settings::read_timers(report, root),
        host: host::read(report, root),
        state: state::read(report, root),
        api: settings::read_api(report, root),
    }
}
