use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::Failure;

/// TLS with servers whose certificates authorities vouch for that are trusted.
#[derive(Debug)]
pub(super) struct Tls {
    /// The file that has the authorities; `None`: those of the system.
    authorities: Option<PathBuf>,
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

/// Why it is not known which authorities are trusted.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    #[error("cannot read the certificates in {}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("there is no certificate in {}; give a file in PEM with those of authorities", .0.display())]
    Empty(PathBuf),
    #[error("the system has no certificates of authorities{0}; install ca-certificates, or set ca")]
    NoneOfTheSystem(String),
    #[error("{0}")]
    Stopped(#[from] tokio::task::JoinError),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
}

impl Tls {
    pub(super) fn new(authorities: Option<PathBuf>) -> Self {
        Self { authorities, config: Arc::default() }
    }

    /// Goes over to TLS, with the server of this name or address. The authorities are read the first
    /// time, on a thread of their own: the system may have many.
    pub(super) async fn connect(
        &self,
        server: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let (cell, authorities) = (Arc::clone(&self.config), self.authorities.clone());
        // In a task of its own: the end of an exchange is not that of the reading.
        let read =
            tokio::spawn(async move { cell.get_or_try_init(|| read(authorities)).await.cloned() });
        let config = read.await.unwrap_or_else(|error| Err(error.into()));
        let config = config.map_err(|error| Failure::Unsent(error.to_string()))?;
        let connected = TlsConnector::from(config).connect(server, stream).await;
        connected.map_err(|error| Failure::Wrong(format!("no TLS: {error}")))
    }
}

async fn read(authorities: Option<PathBuf>) -> Result<Arc<ClientConfig>, TrustError> {
    let roots = spawn_blocking(move || match authorities {
        Some(path) => of_file(&path),
        None => of_system(),
    })
    .await??;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A session that is resumed shows no certificate.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let unreadable = |reason: String| TrustError::Unreadable { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::Empty(path.to_owned()));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some that no one should trust any more are of no known form.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TrustError::NoneOfTheSystem(why));
    }
    Ok(roots)
}

/// The name that a server's certificate has to have.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, Failure> {
    let named = ServerName::try_from(host.to_owned());
    named.map_err(|error| Failure::Unsent(io::Error::other(error).to_string()))
}
