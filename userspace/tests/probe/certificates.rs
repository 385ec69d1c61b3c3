//! Certificates, and servers that show them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use pointsman_lab::Namespace;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::serve;
use crate::server::Server;

/// An authority, and the file with its certificate.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

impl Authority {
    /// A new one, its file of this name in a directory.
    pub(crate) fn new(directory: &Path, name: &str) -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        let file = directory.join(name);
        std::fs::write(&file, issuer.pem())?;
        Ok(Self { issuer, file })
    }

    /// Serves documents by HTTPS, as the server of this name or address.
    pub(crate) fn serve(
        &self,
        host: &Namespace,
        address: SocketAddr,
        name: &str,
    ) -> Result<Server> {
        let key = KeyPair::generate()?;
        let parameters = CertificateParams::new([name.to_owned()])?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
        let config = Arc::new(config);
        Ok(Server::tcp(host, address, move |stream, _| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("it is right");
            // Whoever asks ends the connection once it knows enough.
            drop(serve(&mut StreamOwned::new(connection, stream)));
        })?)
    }
}
