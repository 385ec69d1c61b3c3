//! Programs that run in a namespace.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Output, Stdio},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::{prctl, signal::Signal},
    unistd::{Pid, getppid},
};

use crate::{LabError, Namespace};

impl Namespace {
    /// A command whose process runs in the namespace. Start it as often as you like.
    ///
    /// The kernel kills the process when the thread that started it ends, so it cannot outlive the
    /// laboratory. Start it from a thread that lives long enough, not inside [`Namespace::run`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let namespace = self.clone();
        let parent = Pid::this();
        let enter = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before that request, which is then never fulfilled.
            if getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
        };
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs a program to its end and returns what it wrote to its standard output.
    ///
    /// # Errors
    ///
    /// Where the program is missing or fails. The error has what it wrote to its standard error.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String, LabError> {
        self.feed(program, arguments, "")
    }

    /// Like [`Namespace::output`], with `input` on the program's standard input.
    ///
    /// # Errors
    ///
    /// As [`Namespace::output`].
    pub fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, LabError> {
        let output = self.run_program(program, arguments, input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let command = [&[program], arguments].concat().join(" ");
        Err(self.failed(command, &output))
    }

    /// Runs commands of ip(8), one a line and without the word `ip`, in one process.
    ///
    /// # Errors
    ///
    /// Where `ip` is missing or one of the commands fails; later ones are then not run.
    pub fn ip(&self, batch: &str) -> Result<(), LabError> {
        self.run_batch(&["-batch", "-"], batch)
    }

    /// As [`Self::ip`], of IPv6 where the family is not told by an address.
    ///
    /// # Errors
    ///
    /// As [`Self::ip`].
    pub fn ip6(&self, batch: &str) -> Result<(), LabError> {
        self.run_batch(&["-6", "-batch", "-"], batch)
    }

    fn run_batch(&self, arguments: &[&str], batch: &str) -> Result<(), LabError> {
        let output = self.run_program("ip", arguments, batch)?;
        if output.status.success() {
            return Ok(());
        }
        let line = failed_line(&String::from_utf8_lossy(&output.stderr))
            .and_then(|line| batch.lines().nth(line - 1))
            .unwrap_or(batch);
        Err(self.failed(format!("ip {}", line.trim()), &output))
    }

    fn run_program(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, LabError> {
        let start = || {
            let mut child = self
                .command(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let mut stdin = child.stdin.take().expect("standard input is a pipe");
            match stdin.write_all(input.as_bytes()) {
                // It has ended early; its status and message say why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                result => result?,
            }
            drop(stdin);
            child.wait_with_output()
        };
        start().map_err(|source| LabError::Start {
            program: program.to_owned(),
            label: self.label().to_owned(),
            source,
        })
    }

    fn failed(&self, command: String, output: &Output) -> LabError {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stderr = stderr.trim();
        let message =
            if stderr.is_empty() { output.status.to_string() } else { stderr.replace('\n', "; ") };
        LabError::Failed { command, label: self.label().to_owned(), message }
    }
}

/// The line that `ip -batch` says it stopped at, counted from 1: "Command failed -:3".
fn failed_line(stderr: &str) -> Option<usize> {
    stderr
        .lines()
        .find_map(|line| line.strip_prefix("Command failed -:"))?
        .parse()
        .ok()
        .filter(|&line| line > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_that_ip_stopped_at() {
        let stderr = "Error: argument \"x\" is wrong: MTU\nCommand failed -:12\n";
        assert_eq!(failed_line(stderr), Some(12));
        assert_eq!(failed_line("Command failed -:0"), None);
        assert_eq!(failed_line("Cannot open network namespace"), None);
    }
}
