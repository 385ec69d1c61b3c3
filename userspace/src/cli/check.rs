use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use ipnet::Ipv4Net;

use super::output::say;
use super::{CONFIGURATION, ConfigFile, HOST, diff, host};
use crate::config::{self, Config, TableSizes};
use crate::dataplane::tables;

/// What to check.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Also look at the interfaces of the configuration on this host: whether they exist, whether
    /// their drivers take XDP, and which of their settings break it. The exit code is 3 if there is
    /// a problem, which keeps the daemon from starting or loses packets; warnings and notes leave
    /// it 0.
    #[arg(long)]
    host: bool,
    /// Also say what is different from what the running daemon has read, and what becomes of flows
    /// if it reads this file. The exit code is 1 where no daemon answers, and 2 where it would
    /// refuse the file; differences leave it 0.
    #[arg(long)]
    diff: bool,
    /// The socket of that daemon, if it is not the one in the file.
    #[arg(long, value_name = "PATH", requires = "diff")]
    socket: Option<PathBuf>,
}

/// Says what there is to say about the file, how much memory it takes, and about the host.
pub(super) fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let file = &arguments.file.config;
    let text = config::read_text(file)?;
    let (config, warnings) = config::parse(&file.display().to_string(), &text)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    say(format_args!(
        "{}: ok: {}, {}",
        file.display(),
        counted(config.uplinks.len(), "uplink"),
        counted(config.lan.interfaces.len(), "LAN interface")
    ))?;
    for (prefix, uplinks) in routed(&config) {
        say(format_args!("{prefix}: routed by {}", uplinks.join(", ")))?;
    }
    if let Some(prefix) = config.nat64 {
        say(format_args!("{prefix}: stands for IPv4 (NAT64)"))?;
    }
    say(memory(&config.tables))?;
    let is_fit = !arguments.host || host::check(&config)?;
    let socket = arguments.socket.as_ref().unwrap_or(&config.api.socket);
    let is_taken = !arguments.diff || diff::diff(socket, text)?;
    Ok(match (is_fit, is_taken) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(CONFIGURATION),
        (false, _) => ExitCode::from(HOST),
    })
}

/// Every IPv4 prefix that is routed as it is, and by which uplinks.
fn routed(config: &Config) -> BTreeMap<Ipv4Net, Vec<&str>> {
    let mut routed: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for uplink in &config.uplinks {
        for prefix in uplink.routed.iter().flat_map(|it| &it.prefixes) {
            routed.entry(*prefix).or_default().push(uplink.name.as_str());
        }
    }
    routed
}

/// How many there are of something.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The kernel's memory that the tables take.
fn memory(sizes: &TableSizes) -> Table {
    let mut shown = Table::new();
    shown.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["table", "entries", "memory"]);
    let tables = tables(sizes);
    for table in &tables {
        shown.add_row([table.key.into(), table.entries.to_string(), mebibytes(table.memory())]);
    }
    let total = tables.iter().map(crate::dataplane::Table::memory).sum();
    shown.add_row(["total".into(), String::new(), mebibytes(total)]);
    for index in [1, 2] {
        if let Some(column) = shown.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    shown
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
