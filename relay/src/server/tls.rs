//! TLS for the hop to this server: certificate and key from PEM, never client certificates.
//!
//! TLS is not part of message trust. Refuses keys that do not belong to the certificate.

use rustls::crypto::ring;
use rustls::server::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// What is wrong with certificate or key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate is no PEM, or holds no certificate.
    #[error("the TLS certificate file holds no PEM certificate")]
    Certificate(#[source] Option<rustls_pki_types::pem::Error>),
    /// The key is no PEM, or holds no private key.
    #[error("the TLS key file holds no PEM private key")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// Certificate and key do not go together, or TLS cannot use them.
    #[error("the TLS certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// Reads a certificate chain and its private key.
///
/// # Errors
/// [`TlsError`], naming which of the two is wrong.
pub(super) fn read(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate(Some(error)))?;
    if chain.is_empty() {
        return Err(TlsError::Certificate(None));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(TlsError::Key)?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets keep no state here and spare a returning device the certificate's bytes.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Unusable)?;
    Ok(Arc::new(config))
}
