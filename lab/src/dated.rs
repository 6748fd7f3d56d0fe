//! An authority of the lab's that signs server certificates for chosen periods: for tests about clocks.
//!
//! The authority itself is valid from 2020 to 2049. It refuses to choose a period.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::LabError;

/// The first day of a month: year and month, 1 to 12.
pub type Month = (i32, u8);

/// The authority.
pub struct DatedPki {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for DatedPki {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DatedPki").finish_non_exhaustive()
    }
}

/// What a server shows, PEM.
pub struct Dated {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, PKCS#8.
    pub key_pem: String,
}

impl DatedPki {
    /// Makes the authority.
    ///
    /// # Errors
    /// [`LabError::Certificate`], which does not happen.
    pub fn new() -> Result<Self, LabError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Lab Dated Root");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate()?;
        let ca_pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { ca_pem, issuer })
    }

    /// Its own certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Signs a certificate for `host`, valid from one month to another.
    ///
    /// # Errors
    /// [`LabError::Certificate`] when the host is no name.
    pub fn server(&self, host: &str, from: Month, until: Month) -> Result<Dated, LabError> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(from.0, from.1, 1);
        params.not_after = date_time_ymd(until.0, until.1, 1);
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Dated {
            certificate_pem,
            key_pem: key.serialize_pem(),
        })
    }
}
