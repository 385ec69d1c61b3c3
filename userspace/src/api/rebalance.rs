//! What `POST /v1/rebalance` takes and answers.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::drain::Refusal;
use crate::control::{Command, Commands};
use crate::dataplane::{Progress, Terms};

/// Which flows are to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RebalanceRequest {
    /// Also those whose connection, or call, breaks by it.
    pub all: bool,
}

/// How far a rebalancing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalanceStatus {
    /// How many flows were moved.
    pub moved: usize,
    /// How many are to move yet, at a bounded rate.
    pub to_move: usize,
    /// How many move when they, and what belongs to them, are silent.
    pub waiting: usize,
    /// How many stay until they end, because a move would break them.
    pub staying: usize,
}

impl From<Progress> for RebalanceStatus {
    fn from(progress: Progress) -> Self {
        let Progress { moved, to_move, waiting, staying } = progress;
        Self { moved, to_move, waiting, staying }
    }
}

/// Starts one. No body is the default request.
pub(super) async fn start(
    State(commands): State<Commands>,
    body: Bytes,
) -> Result<Json<RebalanceStatus>, (StatusCode, Json<Refusal>)> {
    let refusal = |status, error: String| (status, Json(Refusal { error }));
    let request: RebalanceRequest = if body.is_empty() {
        RebalanceRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            let told = format!("the body is no request: {error}; send {{\"all\": true}}, or none");
            refusal(StatusCode::BAD_REQUEST, told)
        })?
    };
    let terms = if request.all { Terms::ALL } else { Terms::GENTLE };
    let (reply, answer) = oneshot::channel();
    // The daemon is about to end where it takes no commands.
    let ending =
        || refusal(StatusCode::SERVICE_UNAVAILABLE, "the daemon is about to end".to_owned());
    commands.send(Command::Rebalance(terms, reply)).await.map_err(|_| ending())?;
    let progress = answer.await.map_err(|_| {
        let told = "the flows could not be read; see the daemon's log".to_owned();
        refusal(StatusCode::INTERNAL_SERVER_ERROR, told)
    })?;
    Ok(Json(progress.into()))
}
