//! A certificate verifier that names what it refuses.
//!
//! The verifier underneath decides everything; this one says at which time, and rewrites a refusal so that
//! its error carries the issuer and the time for people to read, or is kept for a library that hands no
//! error through. Refuses to relax anything but the period.

use super::certificate::{LeafReport, ShownIssuer};
use super::fault::TlsFault;
use super::time::{TimeCheck, TimeKeeper, TimeReport};
use crate::foreign::Foreign;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct NamingVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    time: Arc<TimeKeeper>,
    check: TimeCheck,
    refusal: Option<Arc<Refusal>>,
}

/// Why a certificate was refused last, for QUIC, which does not hand it through.
#[derive(Debug, Default)]
pub(crate) struct Refusal(Mutex<Option<TlsFault>>);

impl Refusal {
    fn last(&self) -> MutexGuard<'_, Option<TlsFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was kept.
    pub(crate) fn take(&self) -> Option<TlsFault> {
        self.last().take()
    }
}

impl NamingVerifier {
    pub(super) const fn new(
        inner: Arc<dyn ServerCertVerifier>,
        time: Arc<TimeKeeper>,
        check: TimeCheck,
    ) -> Self {
        Self {
            inner,
            time,
            check,
            refusal: None,
        }
    }

    /// Keeps each refusal there too.
    pub(super) fn keeping(mut self, refusal: Arc<Refusal>) -> Self {
        self.refusal = Some(refusal);
        self
    }
}

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _machine: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        //= spec/freshness.md#signed-time
        //# A device MUST NOT relax anything but the period: an unknown issuer, another name, a broken
        //# signature and a period that ended before the floor are refused as ever.
        let at_s = self
            .time
            .moment(self.check, LeafReport::of(end_entity).period);
        let decision = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            UnixTime::since_unix_epoch(Duration::from_secs(at_s)),
        );
        decision.map_err(|error| {
            let time = TimeReport {
                checked_s: at_s,
                ..self.time.report()
            };
            let error = name_refusal(end_entity, intermediates, error, time);
            if let Some(refusal) = &self.refusal {
                let fault = TlsFault::from_io(&std::io::Error::other(error.clone()));
                *refusal.last() = Some(fault);
            }
            error
        })
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
fn name_refusal(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    error: Error,
    time: TimeReport,
) -> Error {
    let Error::InvalidCertificate(refusal) = error else {
        return error;
    };
    let shown = ShownIssuer::of(leaf, rest).map(Box::new);
    let leaf = LeafReport::of(leaf);
    let fault = match &refusal {
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer { leaf, shown },
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName { leaf }
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFault::Time { leaf, time },
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
