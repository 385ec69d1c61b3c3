use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use crate::config::{self, TableSizes};
use crate::dataplane::tables;

/// Says what there is to say about the file, and how much memory it takes.
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
    println!("{}", memory(&config.tables));
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
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
