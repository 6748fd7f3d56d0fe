//! Throw-away certificates: an origin with its own authority, and a corporate authority that inspects.
//!
//! The two authorities never sign for each other, so that a test sees at once which one it met. Validity is fixed
//! (2020 to 2049) and wide: a test about clocks brings its own certificates.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::LabError;

/// Everything as PEM text; write it where a process needs it. Its debug text shows no key.
pub struct Pki {
    /// Certificate of the origin's authority: what a device or a proxy is told to trust.
    pub origin_ca_pem: String,
    /// The origin's certificate.
    pub origin_pem: String,
    /// The origin's private key, PKCS#8.
    pub origin_key_pem: String,
    /// Certificate of the corporate authority: the device's extra CA file behind an inspecting proxy.
    pub corp_ca_pem: String,
    /// Private key of the corporate authority, PKCS#8: the inspecting proxy's.
    pub corp_key_pem: String,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pki").finish_non_exhaustive()
    }
}

impl Pki {
    /// Common name of the authority that signed the origin's certificate.
    pub const ORIGIN_AUTHORITY: &str = "Lab Origin Root";
    /// Common name of the authority with which an inspecting proxy signs what it presents.
    pub const CORP_AUTHORITY: &str = "Corp Inspection Root CA";

    /// Makes both authorities and one origin certificate for `names` (DNS names or IP addresses).
    ///
    /// # Errors
    /// [`LabError::Certificate`] when a name is not one.
    pub fn new(names: &[&str]) -> Result<Self, LabError> {
        let (origin_ca, origin_issuer) = authority(Self::ORIGIN_AUTHORITY)?;
        let (corp_ca, corp_issuer) = authority(Self::CORP_AUTHORITY)?;
        let key = KeyPair::generate()?;
        let leaf = leaf_of(names)?.signed_by(&key, &origin_issuer)?;
        Ok(Self {
            origin_ca_pem: origin_ca.pem(),
            origin_pem: leaf.pem(),
            origin_key_pem: key.serialize_pem(),
            corp_ca_pem: corp_ca.pem(),
            corp_key_pem: corp_issuer.key().serialize_pem(),
        })
    }

    /// As [`Pki::new`], with an origin certificate that signs itself: `origin_ca_pem` and `origin_pem` are the same.
    ///
    /// # Errors
    /// As [`Pki::new`].
    pub fn self_signed(names: &[&str]) -> Result<Self, LabError> {
        let key = KeyPair::generate()?;
        let leaf = leaf_of(names)?.self_signed(&key)?.pem();
        let corp = Self::new(names)?;
        Ok(Self {
            origin_ca_pem: leaf.clone(),
            origin_pem: leaf,
            origin_key_pem: key.serialize_pem(),
            ..corp
        })
    }

    /// Returns a TLS server configuration with the origin's certificate, offering HTTP/1.1.
    ///
    /// # Errors
    /// [`LabError::Tls`] or [`LabError::Pem`] when the certificate cannot be used.
    pub fn origin_server(&self) -> Result<rustls::ServerConfig, LabError> {
        let chain = certificates(&self.origin_pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.origin_key_pem.as_bytes())
            .map_err(|error| LabError::Pem(error.to_string()))?;
        let mut server = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(server)
    }

    /// Returns a TLS server configuration for `host` with a new certificate of the corporate authority, offering
    /// HTTP/1.1: what an inspecting proxy shows to its clients.
    ///
    /// # Errors
    /// [`LabError::Certificate`] when `host` is no name, [`LabError::Tls`] when the certificate cannot be used.
    pub fn inspecting_server(&self, host: &str) -> Result<rustls::ServerConfig, LabError> {
        let issuer = Issuer::new(
            authority_of(Self::CORP_AUTHORITY)?,
            KeyPair::from_pem(&self.corp_key_pem)?,
        );
        let key = KeyPair::generate()?;
        let leaf = leaf_of(&[host])?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())
            .map_err(|error| LabError::Pem(error.to_string()))?;
        let mut server = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(server)
    }

    /// Returns a TLS client configuration that trusts exactly `ca_pem`, offering HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`LabError::Tls`] or [`LabError::Pem`] when the text is no certificate.
    pub fn client_trusting(ca_pem: &str) -> Result<rustls::ClientConfig, LabError> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(ca_pem)? {
            roots.add(certificate)?;
        }
        let mut client = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(client)
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, LabError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| LabError::Pem(error.to_string()))
}

fn authority(name: &str) -> Result<(Certificate, Issuer<'static, KeyPair>), LabError> {
    let params = authority_of(name)?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate, Issuer::new(params, key)))
}

fn authority_of(name: &str) -> Result<CertificateParams, LabError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    set_validity(&mut params);
    Ok(params)
}

fn leaf_of(names: &[&str]) -> Result<CertificateParams, LabError> {
    let mut params = CertificateParams::new(
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Lab Origin");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
}
