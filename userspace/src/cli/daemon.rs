//! The running daemon, as commands ask it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::api::ClientError;

/// How long the daemon may take to answer: many times what it needs for what it does at once.
pub(super) const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Where the daemon answers.
#[derive(clap::Args)]
pub(super) struct Socket {
    /// The daemon's socket.
    #[arg(long, value_name = "PATH", default_value = "/run/pointsman/pointsman.sock")]
    socket: PathBuf,
}

impl Socket {
    /// The socket's path.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Waits for so long for an answer to a question to the daemon on this socket.
pub(super) fn ask<T>(
    socket: &Path,
    bound: Duration,
    question: impl Future<Output = Result<T, ClientError>>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let answer = runtime.block_on(async { timeout(bound, question).await }).with_context(|| {
        format!(
            "the daemon on {} has not answered for {} s; see its log, and start it again if it \
                 is stuck",
            socket.display(),
            bound.as_secs()
        )
    });
    Ok(answer??)
}
