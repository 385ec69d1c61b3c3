use std::io;
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
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
    let body = ask(socket, Method::GET, "/v1/status").await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::Garbled {
        path: socket.to_owned(),
        reason: error.to_string(),
    })
}

/// Has the daemon that listens on this socket end, and its data plane with it. It does so after it has answered.
///
/// # Errors
/// Where no daemon answers.
pub async fn stop(socket: &Path) -> Result<(), ClientError> {
    ask(socket, Method::POST, "/v1/down").await.map(drop)
}

async fn ask(socket: &Path, method: Method, path: &str) -> Result<Bytes, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Permission(socket.to_owned()),
        _ => ClientError::Unreachable { path: socket.to_owned(), source },
    })?;
    exchange(stream, method, path).await.map_err(|error| ClientError::Garbled {
        path: socket.to_owned(),
        reason: error.to_string(),
    })
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    path: &str,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::HOST, "localhost").body(Body::empty())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("HTTP status {status}").into());
        }
        Ok(Limited::new(response.into_body(), ANSWER).collect().await?.to_bytes())
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may be done before its last answer is taken.
        _ = connection => exchange.await,
    }
}
