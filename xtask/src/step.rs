//! One step of a verb: a child process, and how its progress is shown.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal as _, PipeReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a step that shows nothing says that it is alive, where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Prints one line about the progress of a verb.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("==> {}", line.as_ref());
}

/// The root of the workspace.
pub(crate) fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// A directory for build products that must not invalidate those of an ordinary build.
pub(crate) fn target_dir(name: &str) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), |dir| workspace_root().join(dir))
        .join(name)
}

/// A command that finds what `cargo install` installs, even where the shell does not.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", search_path())
        // Cargo would take this for its own path, also when it is of another toolchain.
        .env_remove("CARGO");
    command
}

/// `$PATH` with cargo's directory of binaries in front.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        // `home_dir` is right on every system that Pointsman runs on.
        env::home_dir().map(|home| home.join(".cargo"))
    });
    let Some(cargo_home) = cargo_home else {
        return path;
    };
    let dirs = [cargo_home.join("bin")].into_iter().chain(env::split_paths(&path));
    env::join_paths(dirs).unwrap_or(path)
}

/// What becomes of a child's output.
enum Output {
    /// All of it goes to standard error.
    Shown,
    /// Standard output stays standard output.
    Passed,
    /// Kept back, and shown if the child fails.
    Hidden,
}

/// A child process with a title.
pub(crate) struct Step {
    title: String,
    command: Command,
    output: Output,
}

impl Step {
    /// A step whose output is shown on standard error.
    pub(crate) fn new(title: impl Into<String>, command: Command) -> Self {
        Self { title: title.into(), command, output: Output::Shown }
    }

    /// Leaves the child's standard output where it is.
    pub(crate) fn pass_output(mut self) -> Self {
        self.output = Output::Passed;
        self
    }

    /// Shows the child's output only if it fails.
    pub(crate) fn hide_output(mut self) -> Self {
        self.output = Output::Hidden;
        self
    }

    /// Runs the step to its end, in the root of the workspace.
    ///
    /// # Errors
    ///
    /// When the child does not start, or does not end with exit code 0.
    pub(crate) fn run(self) -> Result<()> {
        let Self { title, mut command, output } = self;
        command.current_dir(workspace_root());
        let captured = match output {
            Output::Passed => None,
            Output::Shown => {
                command.stdout(io::stderr());
                None
            }
            Output::Hidden => Some(capture(&mut command)?),
        };
        let line = render(&command);
        let started = Instant::now();
        let (status, log) = show_progress(&title, captured.is_some(), || wait(command, captured))
            .with_context(|| format!("{title}: `{line}` does not start"))?;
        if !status.success() {
            eprint!("{}", String::from_utf8_lossy(&log));
            bail!("{title}: `{line}` failed ({status})");
        }
        eprintln!("    {title}: done in {:.1} s", started.elapsed().as_secs_f32());
        Ok(())
    }
}

/// Sends both outputs of `command` to one pipe, and no input to it.
fn capture(command: &mut Command) -> Result<PipeReader> {
    let (reader, writer) = io::pipe().context("no pipe for the output of a child process")?;
    let clone = writer.try_clone().context("no pipe for the errors of a child process")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(clone);
    Ok(reader)
}

/// Runs `command`, and returns how it ended and what was captured.
fn wait(mut command: Command, captured: Option<PipeReader>) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipe; while it lives, reading does not end.
    drop(command);
    let mut log = Vec::new();
    if let Some(mut reader) = captured {
        reader.read_to_end(&mut log)?;
    }
    Ok((child.wait()?, log))
}

/// Shows that `work` goes on: by a spinner if it is silent on a terminal, by a line now and then if
/// there is none.
fn show_progress<T>(title: &str, silent: bool, work: impl FnOnce() -> T) -> T {
    let terminal = io::stderr().is_terminal();
    if terminal && silent {
        let spinner = ProgressBar::new_spinner()
            .with_style(ProgressStyle::default_spinner())
            .with_message(title.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let result = work();
        spinner.finish_and_clear();
        return result;
    }
    say(title);
    if terminal {
        return work();
    }
    let (ended, end) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let started = Instant::now();
            while end.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("    {title}: {} s so far", started.elapsed().as_secs());
            }
        });
        let result = work();
        drop(ended);
        result
    })
}

/// `command` as one would type it.
pub(crate) fn render(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = command("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_step_succeeds_with_its_child() {
        assert!(Step::new("nothing", shell("exit 0")).run().is_ok());
        assert!(Step::new("nothing", shell("echo out; echo err >&2")).hide_output().run().is_ok());
    }

    #[test]
    fn a_failure_names_the_step_the_command_and_the_exit_code() {
        let error = Step::new("building", shell("exit 3")).run().map_err(|e| e.to_string());
        assert_eq!(error, Err("building: `sh -c exit 3` failed (exit status: 3)".to_owned()));
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let step = Step::new("looking", command("no-such-program"));
        let error = step.run().map_err(|e| e.to_string());
        assert_eq!(error, Err("looking: `no-such-program` does not start".to_owned()));
    }

    #[test]
    fn both_outputs_are_captured_to_their_end() -> Result<()> {
        // More than a pipe holds.
        let mut command = shell("head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2");
        let captured = capture(&mut command)?;
        let (status, log) = wait(command, Some(captured))?;
        assert!(status.success());
        assert_eq!(log.len(), 400_000);
        Ok(())
    }

    #[test]
    fn cargo_s_binaries_are_found_first() {
        let path = search_path();
        let first = env::split_paths(&path).next();
        assert!(first.is_some_and(|dir| dir.ends_with("bin")), "{path:?}");
    }
}
