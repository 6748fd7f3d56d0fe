//! TLS certificates for the hop: a small CA and a server certificate, or a check of the operator's.
//!
//! TLS has no authority over messages; it keeps onlookers out. Refuses certificates whose key does
//! not belong to them. The CA's private key is thrown away: a new certificate means a new CA.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

/// A chain and its key, PEM; the key is never shown.
#[derive(Clone)]
pub struct Pem {
    /// The chain, leaf first.
    pub chain: String,
    /// The leaf's private key.
    pub key: Zeroizing<String>,
}

/// A new server certificate and its issuer, PEM.
pub struct Made {
    /// What the server shows.
    pub server: Pem,
    /// What devices trust.
    pub ca: String,
}

/// Makes a CA and a server certificate for these hosts (names or addresses); `whose` names them for people.
///
/// # Errors
/// What is wrong, for people.
pub fn make(whose: &str, hosts: &[String]) -> Result<Made, String> {
    let failed = |error: rcgen::Error| format!("the certificate cannot be made: {error}");
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut ca = params(Vec::new(), &format!("{whose} CA")).map_err(failed)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key).map_err(failed)?;
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().map_err(failed)?;
    let mut leaf = params(hosts.to_vec(), whose).map_err(failed)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &issuer).map_err(failed)?;
    let server = Pem {
        chain: leaf.pem(),
        key: key.serialize_pem().into(),
    };
    Ok(Made {
        server,
        ca: ca_certificate.pem(),
    })
}

/// Fixed dates: a device's clock may be wrong by years, and the CA lives as long as its folder.
fn params(hosts: Vec<String>, name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    Ok(params)
}

/// Checks that a chain is PEM and that the key belongs to its leaf.
///
/// # Errors
/// What is wrong, for people.
pub fn check(pem: &Pem) -> Result<(), String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate is no PEM ({error})"))?;
    if chain.is_empty() {
        return Err("the certificate file holds no certificate".into());
    }
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes())
        .map_err(|_| "the key file holds no private key".to_owned())?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(|_| ())
        .map_err(|error| format!("certificate and key do not fit ({error})"))
}
