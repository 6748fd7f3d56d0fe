//! How TLS fails, with the certificate's issuer where it matters.
//!
//! Two failures that an operator would treat differently are two variants. Names from certificates
//! are unverified text: escaped and cut.

use super::certificate::{LeafReport, ShownIssuer};
use super::time::TimeReport;
use crate::codes;
use crate::foreign::Foreign;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Why the trust anchors cannot be used. Code `PST-C02`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The inline PEM is unusable.
    #[error("the CA certificate given inline (join line) is no PEM certificate")]
    Inline,
    /// A CA file holds no certificate, or a damaged one.
    #[error("{} holds no usable PEM certificate", .file.display())]
    File {
        /// The file.
        file: PathBuf,
    },
    /// A CA file cannot be read.
    #[error("{} cannot be read ({kind})", .file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        kind: ErrorKind,
    },
    /// Nothing to trust.
    #[error("there is not one CA certificate: neither from the system nor configured")]
    NoRoots,
    /// The process is stopping.
    #[error("loading was interrupted by the end of the process")]
    Stopped,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Nobody trusted signed the certificate.
    #[error("the certificate is issued by \"{}\", which is not trusted{}", .leaf.issuer, key_of(.shown.as_deref()))]
    UnknownIssuer {
        /// What the certificate says.
        leaf: LeafReport,
        /// The certificate nearest to that issuer, where it can be read.
        shown: Option<Box<ShownIssuer>>,
    },
    /// The certificate is for another name.
    #[error("the certificate (issued by \"{}\") is not for this host", .leaf.issuer)]
    WrongName {
        /// What the certificate says.
        leaf: LeafReport,
    },
    /// Expired, or not valid yet.
    #[error("the certificate (issued by \"{}\", valid {}) is not valid now: {time}", .leaf.issuer, period_of(.leaf))]
    Time {
        /// What the certificate says.
        leaf: LeafReport,
        /// The time at which it was checked, and where that comes from.
        time: TimeReport,
    },
    /// Refused for another reason.
    #[error("the certificate (issued by \"{}\") is refused: {reason}", .leaf.issuer)]
    Certificate {
        /// What the certificate says.
        leaf: LeafReport,
        /// The verifier's words.
        reason: Foreign,
    },
    /// The connection ended or an alert came.
    #[error("the TLS handshake was broken off: {reason}")]
    Broken {
        /// The library's words.
        reason: Foreign,
    },
    /// Not TLS.
    #[error("what answers does not speak TLS")]
    NotTls,
    /// Not finished in time.
    #[error("the TLS handshake did not end in time")]
    Slow,
}

impl TlsFault {
    /// Returns the stable code, `PST-S01` and on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => codes::UNKNOWN_ISSUER,
            Self::WrongName { .. } => "PST-S02",
            Self::Time { .. } => "PST-S03",
            Self::Broken { .. } => "PST-S04",
            Self::Certificate { .. } => "PST-S05",
            Self::NotTls => "PST-S06",
            Self::Slow => "PST-S07",
        }
    }

    /// Returns what an operator does next.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => {
                "if this issuer is your site's inspection CA, as its owner confirms, add its PEM to the CA file; no restart is needed"
            }
            Self::WrongName { .. } => "check the URL, or ask for a certificate with this name",
            Self::Time { .. } => {
                "if the checked time is right, renew the certificate; else set this machine's clock: a device asks its mailbox for the time by itself"
            }
            Self::Certificate { .. } => "replace the certificate",
            Self::Broken { .. } => "a middlebox may refuse this target; ask its owner",
            Self::NotTls => "check the port; a captive portal or a plain HTTP server answers there",
            Self::Slow => "check the path; a middlebox may hold the handshake",
        }
    }
}

fn key_of(shown: Option<&ShownIssuer>) -> String {
    let issuer = shown.filter(|shown| shown.is_issuer);
    issuer.map_or_else(String::new, |issuer| {
        format!(" (key sha256 {})", issuer.spki_sha256)
    })
}

fn period_of(leaf: &LeafReport) -> String {
    leaf.period.map_or_else(
        || "at an unknown time".to_owned(),
        |period| period.to_string(),
    )
}
