//! A certificate verifier that names what it refuses.
//!
//! Adds nothing to the decision and takes nothing from it: the verifier underneath decides. Only a
//! refusal is rewritten, so that its error carries the issuer for people to read.

use super::certificate::LeafReport;
use super::fault::TlsFault;
use crate::foreign::Foreign;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct NamingVerifier {
    inner: Arc<dyn ServerCertVerifier>,
}

impl NamingVerifier {
    pub(super) fn new(inner: Arc<dyn ServerCertVerifier>) -> Self {
        Self { inner }
    }
}

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let decision = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        decision.map_err(|error| name_refusal(end_entity, error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is the library's and not exhaustive"
)]
fn name_refusal(leaf: &CertificateDer<'_>, error: Error) -> Error {
    let Error::InvalidCertificate(refusal) = error else {
        return error;
    };
    let leaf = LeafReport::of(leaf);
    let fault = match &refusal {
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer { leaf },
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName { leaf }
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFault::Time { leaf },
        other => TlsFault::Certificate {
            leaf,
            reason: Foreign::new(other.to_string().as_bytes()),
        },
    };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
}

impl TlsFault {
    /// Reads what a failed handshake means.
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(named)))) => {
                let named = named.downcast_ref::<Self>().cloned();
                named.unwrap_or_else(|| Self::broken(error))
            }
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(_) | None => Self::broken(error),
        }
    }

    fn broken(error: &std::io::Error) -> Self {
        Self::Broken {
            reason: Foreign::new(error.to_string().as_bytes()),
        }
    }
}
