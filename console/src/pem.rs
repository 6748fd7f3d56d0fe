//! PEM of certificates (RFC 7468), for files and TLS clients that want text.
//!
//! Refuses to look at what it wraps.

use base64ct::{Base64, Encoding as _};

/// Characters of a line of base64, RFC 7468 section 2.
const LINE_CHARS: usize = 64;

/// Wraps a DER certificate.
#[must_use]
pub fn certificate(der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
