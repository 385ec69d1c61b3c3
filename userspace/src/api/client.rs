use std::io;
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::request::Builder;
use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::drain::Refusal;
use super::rebalance::{RebalanceRequest, RebalanceStatus};
use super::status::Status;

/// The longest answer that is read, in bytes.
const ANSWER: usize = 16 << 20;

/// Why there is no answer from a daemon.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon listens there.
    #[error(
        "no daemon answers on {} ({source}); start one with `pointsman run`, or give its socket \
         with --socket",
        path.display()
    )]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process may not use the socket.
    #[error("using {} is not permitted; run as root, or in the socket's group", .0.display())]
    Permission(PathBuf),
    /// The daemon does not do what it is asked.
    #[error("{0}")]
    Refused(String),
    /// The answer is none.
    #[error(
        "what listens on {} does not answer as a Pointsman daemon does: {reason}",
        path.display()
    )]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Asks the daemon that listens on this socket for its status. Runs in a Tokio runtime with I/O.
///
/// # Errors
/// Where no daemon answers.
pub async fn fetch_status(socket: &Path) -> Result<Status, ClientError> {
    ask(socket, Request::get("/v1/status"), Body::empty()).await
}

/// Has the daemon that listens on this socket end, and its data plane with it. It does so after it has answered.
///
/// # Errors
/// Where no daemon answers.
pub async fn stop(socket: &Path) -> Result<(), ClientError> {
    ask(socket, Request::post("/v1/down"), Body::empty()).await
}

/// Has the daemon that listens on this socket move flows. Returns how many there are. Runs in a Tokio runtime
/// with I/O.
///
/// # Errors
/// Where no daemon answers.
pub async fn request_rebalance(
    socket: &Path,
    request: RebalanceRequest,
) -> Result<RebalanceStatus, ClientError> {
    let body = serde_json::to_vec(&request).unwrap_or_default();
    ask(socket, Request::post("/v1/rebalance"), body.into()).await
}

/// Asks the daemon that listens on this socket to do something with an uplink: `drain` or `undrain`. Runs in
/// a Tokio runtime with I/O.
///
/// # Errors
/// Where no daemon answers, or it refuses.
pub async fn post<T: DeserializeOwned>(
    socket: &Path,
    uplink: &str,
    action: &str,
    request: &impl Serialize,
) -> Result<T, ClientError> {
    // Whatever somebody takes for a name.
    let uplink = utf8_percent_encode(uplink, NON_ALPHANUMERIC);
    let garbled = |reason: String| ClientError::Garbled { path: socket.to_owned(), reason };
    let body = serde_json::to_vec(request).map_err(|error| garbled(error.to_string()))?;
    ask(socket, Request::post(format!("/v1/uplinks/{uplink}/{action}")), body.into()).await
}

/// Sends a request, and reads the answer.
pub(super) async fn ask<T: DeserializeOwned>(
    socket: &Path,
    request: Builder,
    body: Body,
) -> Result<T, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Permission(socket.to_owned()),
        _ => ClientError::Unreachable { path: socket.to_owned(), source },
    })?;
    let garbled = |reason: String| ClientError::Garbled { path: socket.to_owned(), reason };
    let answer = exchange(stream, request, body).await;
    let (status, body) = answer.map_err(|error| garbled(error.to_string()))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| garbled(error.to_string()));
    }
    // What is no refusal of the daemon's comes from something else.
    Err(match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => ClientError::Refused(refusal.error),
        Err(_) => garbled(format!("HTTP status {status}")),
    })
}

async fn exchange(
    stream: UnixStream,
    request: Builder,
    body: Body,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = request.header(header::HOST, "localhost").body(body)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await?.to_bytes();
        Ok((status, body))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may be done before its last answer is taken.
        _ = connection => exchange.await,
    }
}
