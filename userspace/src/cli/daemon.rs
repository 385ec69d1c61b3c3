//! The running daemon, as commands ask it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::api::ClientError;

/// How long the daemon may take to answer: many times what it needs.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

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

/// Waits for the daemon's answer to a question.
pub(super) fn ask<T>(
    daemon: &Socket,
    question: impl Future<Output = Result<T, ClientError>>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let answer =
        runtime.block_on(async { timeout(ANSWER_BOUND, question).await }).with_context(|| {
            format!(
                "the daemon on {} has not answered for {} s; see its log, and start it again if it \
                 is stuck",
                daemon.socket.display(),
                ANSWER_BOUND.as_secs()
            )
        });
    Ok(answer??)
}
