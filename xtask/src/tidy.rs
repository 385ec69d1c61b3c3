//! Rules of style that neither rustfmt nor clippy knows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::step::{say, workspace_root};

/// A file longer than this is about more than one thing.
const MAX_LINES: usize = 500;
/// Marks of unfinished work. Written in halves, for this file is checked too.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("dbg", "!"),
];

/// Checks every Rust file of the workspace.
///
/// # Errors
///
/// When a file breaks a rule; each breach is printed.
pub(crate) fn tidy() -> Result<()> {
    say("style");
    let mut breaches = Vec::new();
    for package in ["ebpf", "tests", "userspace", "xtask"] {
        for path in rust_files(&workspace_root().join(package))? {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let name = path.strip_prefix(workspace_root()).unwrap_or(&path);
            breaches.extend(check(&text).map(|breach| format!("{}:{breach}", name.display())));
        }
    }
    if !breaches.is_empty() {
        bail!("style:\n{}", breaches.join("\n"));
    }
    Ok(())
}

/// All Rust files below `dir`, in the order of their names.
fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("{} cannot be listed", dir.display());
    let mut entries =
        fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(context)?;
    entries.sort_by_key(fs::DirEntry::path);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_type().with_context(context)?.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Each breach of a rule in `text`, as `line: what`.
fn check(text: &str) -> impl Iterator<Item = String> {
    let length = text.lines().count();
    let too_long = (length > MAX_LINES)
        .then(|| format!("{length}: more than {MAX_LINES} lines; split the file by subject"));
    let in_lines = text.lines().zip(1..).flat_map(|(line, number)| {
        let unfinished = UNFINISHED
            .into_iter()
            .filter(|mark| line.contains(mark))
            .map(move |mark| format!("{number}: `{mark}`: finish the work, or take it out"));
        let trailing = (line.trim_end() != line).then(|| format!("{number}: trailing white space"));
        let tab = line.contains('\t').then(|| format!("{number}: a tab; indent by spaces"));
        unfinished.chain(trailing).chain(tab)
    });
    too_long.into_iter().chain(in_lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str) -> Vec<String> {
        check(text).collect()
    }

    #[test]
    fn tidy_text_passes() {
        assert!(breaches("fn main() {\n    // Fine.\n}\n").is_empty());
        assert!(breaches(&"\n".repeat(MAX_LINES)).is_empty());
    }

    #[test]
    fn every_rule_is_enforced_and_names_the_line() {
        for mark in UNFINISHED {
            let found = breaches(&format!("fine\n// {mark}\n"));
            assert_eq!(found, [format!("2: `{mark}`: finish the work, or take it out")]);
        }
        assert_eq!(breaches("a \n"), ["1: trailing white space"]);
        assert_eq!(breaches("\n\ta\n"), ["2: a tab; indent by spaces"]);
        assert!(breaches(&"\n".repeat(MAX_LINES + 1))[0].starts_with("501: more than 500 lines"));
    }
}
