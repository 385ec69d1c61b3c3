//! The demonstration, as people start it. Nothing here depends on how fast the machine is.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pointsman_lab::wait_until;
use serde_json::Value;

/// How long the demonstration may take to end when it is told to: far more than it needs.
const END_BOUND: Duration = Duration::from_secs(20);

/// One demonstration at a time, so that they do not take the processor from each other.
static ALONE: Mutex<()> = Mutex::new(());

/// `pointsman demo --json`, with its temporary files below `directory`.
fn demo(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command
        .args(["demo", "--json"])
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads what the demonstration tells until a line has `words`.
fn read_until(stderr: &mut impl BufRead, words: &str) -> Result<()> {
    let mut told = String::new();
    while stderr.read_line(&mut told)? > 0 {
        if told.lines().last().is_some_and(|line| line.contains(words)) {
            return Ok(());
        }
    }
    bail!("it never told of `{words}`:\n{told}")
}

/// The processes that `parent` has started and that are still there.
fn children(parent: u32) -> Result<BTreeSet<u32>> {
    let mut children = BTreeSet::new();
    for thread in fs::read_dir(format!("/proc/{parent}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    ensure!(!children.is_empty(), "the daemon is no process of its own");
    Ok(children)
}

/// Whether a process has ended; nobody may have asked for its status yet.
fn has_ended(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name, which is in brackets (proc(5)).
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    wait_until("the demonstration ends", END_BOUND, || {
        // An error comes again below.
        Ok(!matches!(child.try_wait(), Ok(None)))
    })?;
    child.try_wait()?.context("it has ended and has a status")
}

fn is_empty(directory: &Path) -> Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

#[test]
fn flows_survive_both_cuts_and_come_back() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir()?;
    let output = demo(directory.path()).output()?;
    let stdout = String::from_utf8(output.stdout)?;
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{}\n{stdout}{stderr}", output.status);

    ensure!(stdout.lines().count() == 1, "more than the result:\n{stdout}");
    let result: Value = serde_json::from_str(&stdout)?;
    let number = |key: &str| result[key].as_f64().with_context(|| format!("{key} in {stdout}"));
    ensure!(number("carrier_outage_ms")? >= 0.0, "{stdout}");
    ensure!(number("blackhole_outage_ms")? > 0.0, "{stdout}");
    ensure!(number("packets_lost")? > 0.0, "{stdout}");
    ensure!(number("flows")? > 0.0, "{stdout}");
    ensure!(number("flows_moved_needlessly")? == 0.0, "{stdout}{stderr}");
    ensure!(result["restored"] == true, "{stdout}{stderr}");
    ensure!(!stderr.contains('\x1b'), "control characters where there is no terminal");
    ensure!(is_empty(directory.path())?, "files are left");
    Ok(())
}

#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let directory = tempfile::tempdir()?;
        let mut child = demo(directory.path()).spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        read_until(&mut stderr, "new flows")?;
        let started = children(child.id())?;

        kill(Pid::from_raw(child.id() as i32), signal)?;
        let status = wait(&mut child)?;
        let mut told = String::new();
        stderr.read_to_string(&mut told)?;
        ensure!(status.code() == Some(130), "{signal}: {status}\n{told}");
        ensure!(started.into_iter().all(has_ended), "{signal}: the daemon goes on");
        ensure!(is_empty(directory.path())?, "{signal}: files are left");
    }
    Ok(())
}

#[test]
fn a_daemon_that_dies_is_an_error() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir()?;
    let mut child = demo(directory.path()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("a pipe")?);
    read_until(&mut stderr, "new flows")?;
    for daemon in children(child.id())? {
        kill(Pid::from_raw(daemon as i32), Signal::SIGKILL)?;
    }
    let status = wait(&mut child)?;
    let mut told = String::new();
    stderr.read_to_string(&mut told)?;
    ensure!(status.code() == Some(1), "{status}\n{told}");
    ensure!(told.contains("the daemon has ended, signal: 9"), "{told}");
    ensure!(is_empty(directory.path())?, "files are left");
    Ok(())
}

/// The kernel ends the daemon where the demonstration cannot.
#[test]
fn a_killed_demonstration_takes_its_daemon_along() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir()?;
    let mut child = demo(directory.path()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("a pipe")?);
    read_until(&mut stderr, "new flows")?;
    let started = children(child.id())?;
    child.kill()?;
    child.wait()?;
    wait_until("the daemon ends too", END_BOUND, || Ok(started.iter().all(|&pid| has_ended(pid))))?;
    Ok(())
}
