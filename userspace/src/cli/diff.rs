use std::path::Path;

use super::check::counted;
use super::daemon::{ANSWER_BOUND, ask};
use super::output::say;
use crate::api::fetch_diff;

/// Says what would change if the daemon on this socket read the configuration that is `text`, and whether it
/// would take it.
pub(super) fn diff(socket: &Path, text: String) -> anyhow::Result<bool> {
    let answer = ask(socket, ANSWER_BOUND, fetch_diff(socket, text))?;
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
