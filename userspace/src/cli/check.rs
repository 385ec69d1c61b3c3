use std::path::Path;

use crate::config;

/// Says what there is to say about the file.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    let (config, warnings) = config::load(file)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    println!(
        "{}: ok: {}, {}",
        file.display(),
        counted(config.uplinks.len(), "uplink"),
        counted(config.lan.interfaces.len(), "LAN interface")
    );
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
