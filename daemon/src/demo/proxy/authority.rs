//! The proxy's throw-away authority: whoever trusts it lets the proxy read TLS.
//!
//! Lives in memory only; the certificate is given to the demo's own devices and to nobody else.
//! Validity is fixed and wide (2020 to 2049), so that a wrong clock does not spoil a demo.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;

/// Name in the certificate; shows up in a device's logs as the issuer that it met.
const AUTHORITY_NAME: &str = "Postern demo inspection CA";

/// Signs a certificate for every host that a client asks to reach.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new key and its certificate.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub(super) fn new() -> Result<Self, io::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name(&mut params, AUTHORITY_NAME);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        Ok(Self { issuer })
    }

    /// Returns the certificate that devices are told to trust, PEM.
    pub(super) fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Makes a server for `host`, as if the proxy were that host. Offers HTTP/1.1 only.
    ///
    /// # Errors
    /// A host that cannot stand in a certificate.
    pub(super) fn impersonate(&self, host: &str) -> Result<Arc<rustls::ServerConfig>, io::Error> {
        let names = vec![host.to_owned()];
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        name(&mut params, host);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut server = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .map_err(io::Error::other)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }
}

fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
}

/// The one provider of cryptography for TLS in this program.
pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
