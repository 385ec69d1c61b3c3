use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::diff;
use super::drain::{drain, undrain};
use super::status::Status;
use crate::control::{Command, Commands};

/// Why the daemon cannot listen on its socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon does.
    #[error(
        "another daemon answers on {}; stop it, or set [api] socket to another path",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something that is no socket is in the way.
    #[error(
        "{} is there and is no socket; remove it, or set [api] socket to another path",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error(
        "cannot listen on {}: {source}; set [api] socket to a path that the daemon may write",
        path.display()
    )]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A socket that is listened on. The file goes when this value does.
pub struct Server {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Server {
    /// Listens on a Unix socket at this path, which the owner and the group may use. The
    /// directory is made where there is none, and a socket that nobody listens on is replaced.
    ///
    /// # Errors
    /// Where another daemon listens, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Refused { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(refused)?;
        }
        make_way(path)?;
        let listener = UnixListener::bind(path).map_err(refused)?;
        let server = Self { listener: Some(listener), path: path.to_owned() };
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(refused)?;
        Ok(server)
    }

    /// Answers requests by sending commands, until the future is dropped.
    ///
    /// # Errors
    /// Where the socket is of no use any more.
    pub async fn serve(mut self, commands: Commands) -> io::Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        let router = Router::new()
            .route("/v1/status", get(status))
            .route("/v1/down", post(down))
            .route("/v1/diff", post(diff::answer))
            .route("/v1/uplinks/{name}/drain", post(drain))
            .route("/v1/uplinks/{name}/undrain", post(undrain))
            .route("/v1/rebalance", post(super::rebalance::start))
            .with_state(commands);
        axum::serve(listener, router).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // That it is gone already is as well.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what a daemon that is no more has left.
fn make_way(path: &Path) -> Result<(), ListenError> {
    let refused = |source| ListenError::Refused { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        Err(error) => Err(refused(error)),
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
    }
}

async fn status(State(commands): State<Commands>) -> Result<Json<Status>, StatusCode> {
    let (reply, answer) = oneshot::channel();
    // The daemon is about to end where it takes no commands.
    let ending = StatusCode::SERVICE_UNAVAILABLE;
    commands.send(Command::Status(reply)).await.map_err(|_| ending)?;
    answer.await.map(Json).map_err(|_| ending)
}

async fn down(State(commands): State<Commands>) -> Result<Json<()>, StatusCode> {
    // It is ending already where it takes no commands.
    let sent = commands.send(Command::Down).await;
    sent.map(Json).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/p.sock");
        let first = Server::bind(&path).unwrap();
        assert!(matches!(Server::bind(&path), Err(ListenError::InUse(_))));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(first);
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Server::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_way_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Server::bind(&path), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
