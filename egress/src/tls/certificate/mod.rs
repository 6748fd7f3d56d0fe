//! Reads the facts of a certificate that people compare: its issuer's name, its key, and when it is valid.
//!
//! A strict walk over DER (X.690) that reads lengths and skips everything else. Decides nothing:
//! trust is the verifier's business. A certificate that cannot be walked yields empty texts.

mod shown;

pub use shown::ShownIssuer;

use super::period::{Period, read_time};
use crate::foreign::Foreign;
use crate::limits::DER_DEPTH_MAX;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
/// OIDs under 2.5.4 (X.520) that are shown, with their short names.
const SHOWN: [(&[u8], &str); 3] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 10], "O"),
];

/// What the other side's certificate says about itself; unverified text, escaped.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LeafReport {
    /// The issuer, as `CN=.., O=..`.
    pub issuer: Foreign,
    /// SHA-256 over the SubjectPublicKeyInfo, in hexadecimal.
    pub spki_sha256: String,
    /// When the certificate is valid, where it can be read.
    pub period: Option<Period>,
}

impl LeafReport {
    /// Reads a certificate; what cannot be read stays empty.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        walk(certificate).unwrap_or_default()
    }
}

fn walk(der: &[u8]) -> Option<LeafReport> {
    let fields = fields(der)?;
    let from = read(fields.validity)?;
    let until = read(from.rest)?;
    let from = read_time(from.tag, from.content);
    let until = read_time(until.tag, until.content);
    Some(LeafReport {
        issuer: Foreign::new(name(fields.issuer).as_bytes()),
        period: from.zip(until).map(|(not_before_s, not_after_s)| Period {
            not_before_s,
            not_after_s,
        }),
        spki_sha256: hexadecimal(&Sha256::digest(fields.key)),
    })
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parts of a certificate that are looked at: the contents of names and validity, the whole key.
struct Fields<'d> {
    issuer: &'d [u8],
    validity: &'d [u8],
    subject: &'d [u8],
    key: &'d [u8],
}

/// Certificate ::= SEQUENCE { tbs SEQUENCE { [0]?, serial, algorithm, issuer, validity, subject,
/// key, .. }, .. } (RFC 5280, 4.1)
fn fields(der: &[u8]) -> Option<Fields<'_>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = read(rest)?.rest;
    }
    for _serial_and_algorithm in 0..2 {
        rest = read(rest)?.rest;
    }
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let validity = read(rest)?;
    let subject = read(validity.rest)?;
    let key = read(subject.rest)?;
    Some(Fields {
        issuer,
        validity: validity.content,
        subject: subject.content,
        key: key.whole,
    })
}

/// Name ::= SEQUENCE OF SET OF SEQUENCE { type OID, value string }
fn name(mut issuer: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some(set) = read(issuer) {
        issuer = set.rest;
        if parts.len() == DER_DEPTH_MAX {
            break;
        }
        let attribute = expect(set.content, SEQUENCE).and_then(|(pair, _)| {
            let kind = read(pair)?;
            let value = read(kind.rest)?;
            let (_, short) = SHOWN.iter().find(|(oid, _)| *oid == kind.content)?;
            Some(format!(
                "{short}={}",
                String::from_utf8_lossy(value.content)
            ))
        });
        parts.extend(attribute);
    }
    parts.join(", ")
}

struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    /// Tag, length and content.
    whole: &'d [u8],
    rest: &'d [u8],
}

fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let element = read(der)?;
    (element.tag == tag).then_some((element.content, element.rest))
}

fn read(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, after_tag) = der.split_first()?;
    let (&first, after_first) = after_tag.split_first()?;
    let (length, header) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let digits = after_first.get(..count)?;
        let length = digits
            .iter()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        (length, 2 + count)
    };
    let end = header.checked_add(length)?;
    Some(Element {
        tag,
        content: der.get(header..end)?,
        whole: der.get(..end)?,
        rest: der.get(end..)?,
    })
}

#[cfg(test)]
mod tests;
