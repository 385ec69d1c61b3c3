//! `POST /v1/uplinks/{name}/drain` and `…/undrain`: what they take and answer.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use humantime::{format_duration, format_rfc3339_seconds};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::control::{Command, Commands, Controller, DrainAction, DrainError, DrainOrder};

/// The longest time, in seconds: ten years.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// How an uplink is to be drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainRequest {
    /// For how many seconds; without, until it is undrained.
    pub for_seconds: Option<u64>,
    /// Whether even if new flows of something have no way then.
    pub force: bool,
}

/// What holds now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainAnswer {
    /// The uplink's name.
    pub uplink: String,
    /// How it is drained, if it is.
    pub drained: Option<DrainStatus>,
    /// How many flows are on it, as of the latest sweep.
    pub flows: usize,
    /// How many sweeps there have been.
    pub passes: u64,
    /// Why that will not be so after a restart, if it will not.
    pub warning: Option<String>,
}

/// How an uplink is drained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Until when, by RFC 3339; without, until it is undrained.
    pub until: Option<String>,
    /// For how many seconds yet.
    pub left_s: Option<f64>,
    /// Whether it takes new flows all the same, because no other uplink is up.
    pub takes_new_flows: bool,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong, and what to do, in a sentence.
    pub error: String,
}

impl DrainStatus {
    /// Of the uplink with this name at `now`.
    pub(crate) fn of(controller: &Controller, name: &str, now: Instant) -> Option<Self> {
        let until = *controller.drains().get(name)?;
        let left = until.map(|until| until.saturating_duration_since(now));
        let at = left.and_then(|left| SystemTime::now().checked_add(left));
        Some(Self {
            until: at.map(|at| format_rfc3339_seconds(at).to_string()),
            left_s: left.map(|left| left.as_secs_f64()),
            takes_new_flows: controller.drained_in_use().any(|uplink| uplink.config().name == name),
        })
    }
}

impl fmt::Display for DrainStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("drained")?;
        if let (Some(until), Some(left)) = (&self.until, self.left_s) {
            let left = Duration::from_secs(left.clamp(0.0, 1e12).round() as u64);
            write!(f, " until {until} ({})", format_duration(left))?;
        }
        if self.takes_new_flows {
            f.write_str("; takes new flows all the same, for no other uplink is up")?;
        }
        Ok(())
    }
}

type Answered<T> = Result<Json<T>, (StatusCode, Json<Refusal>)>;

fn refuse<T>(status: StatusCode, error: impl ToString) -> Answered<T> {
    Err((status, Json(Refusal { error: error.to_string() })))
}

/// Takes new flows away from an uplink.
pub(super) async fn drain(
    State(commands): State<Commands>,
    Path(uplink): Path<String>,
    body: Bytes,
) -> Answered<DrainAnswer> {
    let request = match read(&body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    let time = request.for_seconds.map(Duration::from_secs);
    let action = DrainAction::Drain { time, is_forced: request.force };
    order(&commands, uplink, action).await
}

/// Gives them back.
pub(super) async fn undrain(
    State(commands): State<Commands>,
    Path(uplink): Path<String>,
) -> Answered<DrainAnswer> {
    order(&commands, uplink, DrainAction::Undrain).await
}

fn read(body: &[u8]) -> Result<DrainRequest, String> {
    if body.is_empty() {
        return Ok(DrainRequest::default());
    }
    let request: DrainRequest = serde_json::from_slice(body).map_err(|error| {
        format!("the body is no {{\"for_seconds\": 1800, \"force\": false}}: {error}")
    })?;
    match request.for_seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => {
            Err(format!("for_seconds is {seconds}; give 1 to {LONGEST}, or none"))
        }
        _ => Ok(request),
    }
}

async fn order(commands: &Commands, uplink: String, action: DrainAction) -> Answered<DrainAnswer> {
    let ending = || refuse(StatusCode::SERVICE_UNAVAILABLE, "the daemon is about to end");
    let (reply, answer) = oneshot::channel();
    if commands.send(Command::Drain(DrainOrder { uplink, action, reply })).await.is_err() {
        return ending();
    }
    match answer.await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(error @ DrainError::Unknown { .. })) => refuse(StatusCode::NOT_FOUND, error),
        Ok(Err(error @ DrainError::Needed { .. })) => refuse(StatusCode::CONFLICT, error),
        Err(_) => ending(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::api::{Server, post};

    #[test]
    fn a_request_is_read_or_said_to_be_wrong() {
        let request = |for_seconds, force| Ok(DrainRequest { for_seconds, force });
        assert_eq!(read(b""), request(None, false));
        assert_eq!(read(b"{}"), request(None, false));
        assert_eq!(read(b"{\"for_seconds\": 1800}"), request(Some(1800), false));
        assert_eq!(read(b"{\"for_seconds\": null, \"force\": true}"), request(None, true));
        for (body, found) in [
            ("{\"for_seconds\": 0}", "for_seconds is 0; give 1 to 315360000, or none"),
            ("{\"for_seconds\": 315360001}", "for_seconds is 315360001; give"),
            ("{\"for_seconds\": -1}", "invalid value"),
            ("{\"for_seconds\": \"30m\"}", "invalid type: string"),
            ("{\"for\": 1}", "unknown field `for`"),
            ("30m", "the body is no {\"for_seconds\": 1800, \"force\": false}: "),
            ("\0", "expected value"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(found), "{body}: {error}");
        }
    }

    /// What a daemon that drains "fiber" only answers.
    fn reply(order: DrainOrder) {
        let DrainOrder { uplink, action, reply } = order;
        let answer = if uplink == "fiber" {
            let takes_new_flows = action == DrainAction::Undrain;
            let drained = DrainStatus { until: None, left_s: None, takes_new_flows };
            Ok(DrainAnswer { uplink, drained: Some(drained), flows: 7, passes: 1, warning: None })
        } else {
            Err(DrainError::Unknown { name: uplink, meant: None })
        };
        drop(reply.send(answer));
    }

    #[tokio::test]
    async fn what_is_asked_reaches_the_daemon_and_what_it_says_who_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.sock");
        let (commands, mut receiver) = mpsc::channel(1);
        let served = Server::bind(&path).unwrap().serve(commands);
        let daemon = async {
            while let Some(Command::Drain(order)) = receiver.recv().await {
                reply(order);
            }
        };
        let asked = async {
            let ask = async |uplink: &str, action: &str, body: &str| {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                let answer = post::<DrainAnswer>(&path, uplink, action, &body).await;
                answer
                    .map(|answer| answer.drained.map(|it| it.takes_new_flows))
                    .map_err(|it| it.to_string())
            };
            assert_eq!(ask("fiber", "drain", "{}").await, Ok(Some(false)));
            assert_eq!(ask("fiber", "undrain", "null").await, Ok(Some(true)));
            for name in ["fi/ber", "%66iber", "..", "fiber?", "ü \n"] {
                let said = ask(name, "drain", "{}").await.unwrap_err();
                assert!(said.starts_with(&format!("no uplink is called {name:?}; ")), "{said}");
            }
            let said = ask("fiber", "drain", "{\"for_seconds\": \"30m\"}").await.unwrap_err();
            assert!(said.contains("invalid type: string"), "{said}");
            let said = ask("fiber", "repair", "{}").await.unwrap_err();
            assert!(said.ends_with("HTTP status 404 Not Found"), "{said}");
        };
        tokio::select! {
            () = asked => {}
            () = daemon => panic!("the daemon has ended"),
            ended = served => panic!("the API has ended: {ended:?}"),
        }
    }
}
