//! `POST /v1/diff`: what would be different if the daemon read the configuration that is the body, as it
//! would be said at a reload.
//!
//! The daemon compares, and does not give out what it holds: there may be secrets in it that whoever may use
//! the socket may not read in the file.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::client::{self, ClientError};
use super::drain::Refusal;
use crate::config::{self, Difference};
use crate::control::{Command, Commands, Comparison};

/// What messages call a configuration that comes without a file.
const NAMELESS: &str = "configuration";

/// What a reload would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStatus {
    /// The file that the daemon reads.
    pub file: PathBuf,
    /// What is different, in the order of the file.
    pub differences: Vec<Difference>,
    /// Why the configuration would be refused, so that nothing would change, if it would.
    pub refusal: Option<String>,
}

/// Answers with what is different, or, where the text is no configuration for this daemon, with why not.
pub(super) async fn answer(
    State(commands): State<Commands>,
    text: String,
) -> Result<Json<DiffStatus>, (StatusCode, Json<Refusal>)> {
    let refusal = |status, error: String| (status, Json(Refusal { error }));
    let (config, _) = config::parse(NAMELESS, &text).map_err(|error| {
        let sentence = format!("the running daemon does not take it:\n{error}");
        refusal(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    })?;
    let (reply, answer) = oneshot::channel();
    // The daemon is about to end where it takes no commands.
    let ending =
        || refusal(StatusCode::SERVICE_UNAVAILABLE, "the daemon is about to end".to_owned());
    let command = Command::Compare(Box::new(config), reply);
    commands.send(command).await.map_err(|_| ending())?;
    let (file, comparison) = answer.await.map_err(|_| ending())?;
    let Comparison { differences, refusal } = comparison;
    let refusal = refusal.map(|unfit| unfit.to_string());
    Ok(Json(DiffStatus { file, differences, refusal }))
}

/// Asks the daemon that listens on this socket what is different in the configuration that is `text`. Runs in
/// a Tokio runtime with I/O.
///
/// # Errors
/// Where no daemon answers, or it does not take the text for a configuration.
pub async fn fetch_diff(socket: &Path, text: String) -> Result<DiffStatus, ClientError> {
    let request =
        Request::post("/v1/diff").header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    client::ask(socket, request, Body::from(text)).await
}
