use std::io;
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

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
    /// The daemon does not take what was sent for what it should be.
    #[error("the running daemon does not take it:\n{0}")]
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
    ask(socket, Request::get("/v1/status").body(Body::empty())).await
}

/// Has the daemon that listens on this socket end, and its data plane with it. It does so after it has answered.
///
/// # Errors
/// Where no daemon answers.
pub async fn stop(socket: &Path) -> Result<(), ClientError> {
    ask(socket, Request::post("/v1/down").body(Body::empty())).await
}

/// Sends a request to the daemon that listens on this socket, and reads its answer in JSON.
pub(super) async fn ask<T: DeserializeOwned>(
    socket: &Path,
    request: Result<Request<Body>, axum::http::Error>,
) -> Result<T, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Permission(socket.to_owned()),
        _ => ClientError::Unreachable { path: socket.to_owned(), source },
    })?;
    let garbled = |reason: String| ClientError::Garbled { path: socket.to_owned(), reason };
    let answer = send(stream, request).await.map_err(|error| garbled(error.to_string()))?;
    let (status, body) = answer;
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        return Err(ClientError::Refused(String::from_utf8_lossy(&body).into_owned()));
    }
    if !status.is_success() {
        return Err(garbled(format!("HTTP status {status}")));
    }
    serde_json::from_slice(&body).map_err(|error| garbled(error.to_string()))
}

async fn send(
    stream: UnixStream,
    request: Result<Request<Body>, axum::http::Error>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = request?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), ANSWER).collect().await?.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may be done before its last answer is taken.
        _ = connection => exchange.await,
    }
}
