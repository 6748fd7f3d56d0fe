//! From when until when a certificate counts, read from its DER.
//!
//! ```text
//!  Certificate { TBSCertificate { [0] version?, serial, algorithm, issuer, Validity { from, until }, … } }
//! ```
//!
//! Only this path is walked; signatures and names are the business of rustls. Refuses other forms of time than
//! those of RFC 5280, and lengths beyond the certificate.

use crate::audit::unix_s;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate counts, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from_s: u64,
    /// Not after.
    pub until_s: u64,
}

/// Reads the validity of a certificate; `None` for what is none.
#[must_use]
pub fn of_certificate(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (from_s, rest) = time(validity)?;
    let (until_s, _) = time(rest)?;
    Some(Validity { from_s, until_s })
}

/// Takes one element with this tag: its content, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        // More than four bytes of length would be no certificate that anybody sends.
        let count = usize::from(first & 0x7f);
        let (bytes, rest) = rest.split_at_checked(count).filter(|_| count <= 4)?;
        let length = bytes
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        (length, rest)
    };
    rest.split_at_checked(length)
}

fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    if let Some((text, rest)) = element(der, UTC_TIME) {
        let (year, text) = digits(text, 2)?;
        // Two digits mean 1950 to 2049 (RFC 5280, 4.1.2.5.1).
        let century = if year < 50 { 2_000 } else { 1_900 };
        return Some((moment(century + year, text)?, rest));
    }
    let (text, rest) = element(der, GENERALIZED_TIME)?;
    let (year, text) = digits(text, 4)?;
    Some((moment(year, text)?, rest))
}

/// Reads `MMDDHHMMSSZ` behind a year; a date before 1970 counts as 1970.
fn moment(year: u64, text: &[u8]) -> Option<u64> {
    let (month, text) = digits(text, 2)?;
    let (day, text) = digits(text, 2)?;
    let (hour, text) = digits(text, 2)?;
    let (minute, text) = digits(text, 2)?;
    let (second, text) = digits(text, 2)?;
    if text != b"Z" || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    unix_s(year, month, day, hour * 3_600 + minute * 60 + second)
}

fn digits(text: &[u8], count: usize) -> Option<(u64, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let number = std::str::from_utf8(digits).ok()?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number.parse().ok()?, rest))
}
