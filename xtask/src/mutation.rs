//! `mutate`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::{command, say, target_dir, workspace_root};

/// The deliberate bugs, from the root of the workspace.
const LIST: &str = "ebpf/tests/mutations.txt";

/// What of the workspace is copied: all that cargo reads to build the packet path.
const COPIED: [&str; 8] = [
    ".cargo",
    "Cargo.lock",
    "Cargo.toml",
    "ebpf",
    "rust-toolchain.toml",
    "tests",
    "userspace",
    "xtask",
];

/// The suites that a bug is to be caught by, the quickest first.
const SUITES: [&str; 3] = ["table", "cases", "differential"];

/// How many sequences the second one runs.
const SEQUENCES: &str = "3000";

/// A bug of one line.
#[derive(Debug, PartialEq, Eq)]
struct Mutation {
    what: String,
    file: PathBuf,
    before: String,
    after: String,
}

/// What becomes of a bug.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    CaughtBy(&'static str),
    Survives,
}

/// Puts each bug of the list that is described with `filter` into a copy of the packet path, and fails if the
/// host's suites pass.
pub(crate) fn mutate(filter: &str) -> Result<()> {
    let list = workspace_root().join(LIST);
    let text = fs::read_to_string(&list).with_context(|| format!("{LIST} cannot be read"))?;
    let mut mutations = parse(&text)?;
    mutations.retain(|mutation| mutation.what.contains(filter));
    ensure!(!mutations.is_empty(), "{LIST} has no bug that is described with \"{filter}\"");
    let copy = Copy::make()?;
    say("the path as it is");
    if let Fate::CaughtBy(suite) = copy.test()? {
        bail!("the suite {suite} fails without any bug: mend that first");
    }
    let mut table = Vec::new();
    for mutation in &mutations {
        say(&mutation.what);
        let right = copy.apply(mutation)?;
        let fate = copy.test().with_context(|| format!("{}: {}", LIST, mutation.what));
        fs::write(copy.root.join(&mutation.file), right)?;
        table.push((mutation, fate?));
    }
    for (mutation, fate) in &table {
        let fate = match fate {
            Fate::CaughtBy(suite) => format!("caught by {suite}"),
            Fate::Survives => "SURVIVES".to_owned(),
        };
        println!("{fate:24} {}: {}", mutation.file.display(), mutation.what);
    }
    let survivors = table.iter().filter(|(_, fate)| *fate == Fate::Survives).count();
    ensure!(survivors == 0, "{survivors} of {} bugs are not caught", table.len());
    Ok(())
}

/// Reads the list: a comment that says what the bug is, the file, the line before, and after.
fn parse(text: &str) -> Result<Vec<Mutation>> {
    let blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let mutations = blocks.map(|block| {
        let lines: Vec<&str> = block.lines().collect();
        let [what, file, before, after] = lines[..] else {
            bail!("{LIST}: a bug is four lines, and not\n{block}");
        };
        match (what.strip_prefix("# "), before.strip_prefix("- "), after.strip_prefix("+ ")) {
            (Some(what), Some(before), Some(after)) => Ok(Mutation {
                what: what.to_owned(),
                file: file.into(),
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            _ => {
                bail!("{LIST}: the lines of a bug start with #, the file's name, - and +:\n{block}")
            }
        }
    });
    mutations.collect()
}

/// The text with the bug in it.
fn with_bug(text: &str, mutation: &Mutation) -> Result<String> {
    let is_it = |line: &&str| line.trim() == mutation.before;
    let count = text.lines().filter(is_it).count();
    let file = mutation.file.display();
    ensure!(count == 1, "{file} has {count} lines `{}`, and not one: {LIST}", mutation.before);
    let lines = text.lines().map(|line| if is_it(&line) { &mutation.after } else { line });
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
}

/// A copy of the workspace.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn make() -> Result<Self> {
        let root = target_dir("mutation").join("workspace");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(&root)?;
        for name in COPIED {
            copy(&workspace_root().join(name), &root.join(name))
                .with_context(|| format!("{name} cannot be copied"))?;
        }
        Ok(Self { root })
    }

    /// Puts a bug in, and gives back what the file was.
    fn apply(&self, mutation: &Mutation) -> Result<String> {
        let file = self.root.join(&mutation.file);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{}: {LIST}", mutation.file.display()))?;
        fs::write(&file, with_bug(&text, mutation)?)?;
        Ok(text)
    }

    fn test(&self) -> Result<Fate> {
        for suite in SUITES {
            let built = self.cargo(suite, &["--no-run"])?;
            ensure!(built, "the suite {suite} does not build with the bug");
            if !self.cargo(suite, &[])? {
                return Ok(Fate::CaughtBy(suite));
            }
        }
        Ok(Fate::Survives)
    }

    /// Whether cargo is content with a suite.
    fn cargo(&self, suite: &str, args: &[&str]) -> Result<bool> {
        let mut cargo: Command = command("cargo");
        cargo
            .args(["test", "--quiet", "--package", "pointsman-ebpf", "--test", suite])
            // It takes longer to build than to run.
            .args(["--config", "profile.dev.package.pointsman-ebpf.opt-level=1"])
            .args(["--config", "profile.dev.debug=false"])
            .args(args)
            .arg("--target-dir")
            .arg(target_dir("mutation").join("target"))
            .env("POINTSMAN_FUZZ_SEQUENCES", SEQUENCES)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(cargo.status().context("cargo does not start")?.success())
    }
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != "target" {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "# the wrong sum\nlib.rs\n- a + b\n+ a - b\n";

    #[test]
    fn a_bug_is_four_lines() -> Result<()> {
        let mutations = parse(&format!("{BLOCK}\n{BLOCK}"))?;
        let [first, second] = &mutations[..] else {
            bail!("{mutations:?}");
        };
        assert_eq!(first, second);
        assert_eq!((first.what.as_str(), first.after.as_str()), ("the wrong sum", "a - b"));
        assert!(parse("# no file\n- a\n+ b\n").is_err());
        assert!(parse("the wrong sum\nlib.rs\n- a\n+ b\n").is_err());
        Ok(())
    }

    #[test]
    fn a_line_is_replaced_where_there_is_one() -> Result<()> {
        let mutation = &parse(BLOCK)?[0];
        assert_eq!(with_bug("fn f() {\n    a + b\n}\n", mutation)?, "fn f() {\na - b\n}\n");
        assert!(with_bug("a - b\n", mutation).is_err());
        assert!(with_bug("a + b\n    a + b\n", mutation).is_err());
        Ok(())
    }

    #[test]
    fn every_bug_of_the_list_can_be_put_in() -> Result<()> {
        let mutations = parse(&fs::read_to_string(workspace_root().join(LIST))?)?;
        assert!(mutations.len() >= 10);
        for mutation in &mutations {
            with_bug(&fs::read_to_string(workspace_root().join(&mutation.file))?, mutation)?;
        }
        Ok(())
    }
}
