//! The certificate of the hop: does its key fit, for which names, until when, who may read it.
//!
//! TLS has no authority over messages; without it no device gets in. Refuses to guess names: those of
//! `urls` are tried one by one.

use super::{Finding, Weight};
use crate::config::{Limit, RelayConfig};
use postern_console::certificate::{self, Pem};
use postern_console::exit::CommandError;
use postern_egress::{Date, LeafReport, MailboxUrl, Period};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const DAY_S: u64 = 86_400;
/// Days before the end at which `check` and the alerts begin to warn.
const WARN_DAYS: u64 = 30;

/// What the server shows, whole.
pub struct Certificate {
    /// Chain and key.
    pub pem: Pem,
    /// The leaf, DER.
    leaf: CertificateDer<'static>,
    /// When the leaf counts.
    pub validity: Period,
}

/// Reads chain and key of a configuration, and checks that they go together.
///
/// # Errors
/// What is wrong, with file and remedy.
pub fn read(config: &RelayConfig) -> Result<Certificate, CommandError> {
    let (cert, key) = (&config.tls.cert, &config.tls.key);
    let pem = Pem {
        chain: read_text(cert, "tls.cert_file")?,
        key: read_text(key, "tls.key_file")?.into(),
    };
    let refused = |reason: String| {
        CommandError::configuration(
            "certificate-refused",
            format!("{} and {}: {reason}", cert.display(), key.display()),
            "put a PEM chain (leaf first) and its private key there, both before the next reload",
        )
    };
    certificate::check(&pem).map_err(refused)?;
    let leaf = CertificateDer::from_pem_slice(pem.chain.as_bytes())
        .map_err(|error| refused(format!("the certificate is no PEM ({error})")))?;
    let validity = LeafReport::of(&leaf).period.ok_or_else(|| {
        refused("the certificate says in no known form until when it counts".into())
    })?;
    Ok(Certificate {
        pem,
        leaf,
        validity,
    })
}

fn read_text(path: &Path, key: &str) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| {
        CommandError::configuration(
            "tls-file-unreadable",
            format!("{}: {error}", path.display()),
            format!(
                "correct {key} in relay.toml, or make the file readable for the relay's user only"
            ),
        )
    })
}

/// Looks at the certificate of a configuration.
pub(super) fn findings(config: &RelayConfig, unix_s: Option<u64>) -> Vec<Finding> {
    const ABOUT: &str = "certificate";
    let certificate = match read(config) {
        Ok(certificate) => certificate,
        Err(error) => return vec![Finding::error(ABOUT, error)],
    };
    let mut findings = vec![mode(&config.tls.key)];
    findings.push(dates(config, certificate.validity, unix_s));
    findings.push(names(config, &certificate.leaf));
    findings
}

fn mode(key: &Path) -> Finding {
    const ABOUT: &str = "tls-key";
    let mode = std::fs::metadata(key).map_or(0, |found| found.mode() & 0o7777);
    if mode & 0o007 == 0 {
        return Finding::fine(ABOUT, format!("{}: mode {mode:04o}", key.display()));
    }
    Finding::new(
        ABOUT,
        Weight::Error,
        format!(
            "{}: everybody may read this private key (mode {mode:04o})",
            key.display()
        ),
        format!(
            "run `chmod 600 {}` and get a new certificate",
            key.display()
        ),
    )
}

fn dates(config: &RelayConfig, validity: Period, unix_s: Option<u64>) -> Finding {
    const ABOUT: &str = "certificate-dates";
    let until = Date(validity.not_after_s).to_string();
    let Some(now) = unix_s else {
        return Finding::new(
            ABOUT,
            Weight::Warning,
            format!("counts until {until}, but the machine's clock is not set"),
            "start a time service",
        );
    };
    let renew = "renew it: put the new files in place, they are taken within a minute";
    let days = validity.not_after_s.saturating_sub(now) / DAY_S;
    if now < validity.not_before_s {
        let found = format!("counts only from {}", Date(validity.not_before_s));
        return Finding::new(
            ABOUT,
            Weight::Error,
            found,
            "check the machine's clock, or wait",
        );
    }
    if now > validity.not_after_s {
        return Finding::new(ABOUT, Weight::Error, format!("ended at {until}"), renew);
    }
    if days <= config.limits.of(Limit::CertificateDays).max(WARN_DAYS) {
        let found = format!("ends in {days} days, at {until}");
        return Finding::new(ABOUT, Weight::Warning, found, renew);
    }
    Finding::fine(ABOUT, format!("counts until {until}, {days} days"))
}

fn names(config: &RelayConfig, leaf: &CertificateDer<'_>) -> Finding {
    const ABOUT: &str = "certificate-names";
    let Ok(parsed) = ParsedCertificate::try_from(leaf) else {
        return Finding::new(
            ABOUT,
            Weight::Error,
            "the certificate cannot be read",
            "get a certificate of X.509 version 3",
        );
    };
    let hosts = config
        .urls
        .iter()
        .filter_map(|url| MailboxUrl::parse(url).ok());
    let hosts = hosts.map(|url| url.authority().host.bare());
    let is_missing = |host: &String| {
        let name = ServerName::try_from(host.as_str());
        name.map_or(true, |name| verify_server_name(&parsed, &name).is_err())
    };
    let missing: Vec<String> = hosts.filter(is_missing).collect();
    if missing.is_empty() {
        return Finding::fine(
            ABOUT,
            format!("names the hosts of all {} URLs", config.urls.len()),
        );
    }
    Finding::new(
        ABOUT,
        Weight::Error,
        format!("the certificate does not name {}", missing.join(", ")),
        "get one with these names, or correct urls in relay.toml",
    )
}
