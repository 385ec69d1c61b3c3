use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use super::check::counted;
use super::output::say;
use crate::api::fetch_diff;

/// How long the daemon may take to answer: many times what it needs.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Says what would change if the daemon on this socket read the configuration that is `text`, and whether it
/// would take it.
pub(super) fn diff(socket: &Path, text: String) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let answer = runtime.block_on(async { timeout(ANSWER_BOUND, fetch_diff(socket, text)).await });
    let answer = answer.with_context(|| {
        format!(
            "the daemon on {} has not answered for {} s; see its log, and start it again if it is \
             stuck",
            socket.display(),
            ANSWER_BOUND.as_secs()
        )
    })??;
    for difference in &answer.differences {
        say(difference)?;
    }
    let held = answer.file.display();
    match answer.differences.len() {
        0 => say(format_args!("no difference to what the daemon has read from {held}"))?,
        count => {
            let count = counted(count, "difference");
            say(format_args!("{count} to what the daemon has read from {held}"))?;
        }
    }
    if let Some(refusal) = &answer.refusal {
        say(format_args!("a reload would be refused: {refusal}"))?;
    }
    Ok(answer.refusal.is_none())
}
