//! Two lines of text between the operators of a controller and of a mailbox of its own.
//!
//! ```text
//!  controller --TrustLine--> mailbox: whom to believe
//!  mailbox --RelayLine--> controller: which key and URLs the next bundle shall name
//! ```
//!
//! Neither holds a secret. Refuses unknown fields: a line is made for one version. What a trust line
//! holds counts only after [`TrustLine::trust`] has verified it.

use crate::cbor::{KeyOrder, Reader, Writer, decode_all};
use crate::envelope::skip_envelope;
use crate::id::Thumbprint;
use crate::key::PublicKey;
use crate::limits::{CBOR_ITEM_BYTES_MAX, JOIN_LINE_CHARS_MAX, TRUST_LINE_CHARS_MAX};
use crate::reject::Reject;
use crate::trust::{Trust, expect_key, read_urls};
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use core::fmt;

#[cfg(test)]
mod tests;

/// What every trust line begins with.
pub const TRUST_LINE_PREFIX: &str = "postern-trust1:";

/// What every relay line begins with.
pub const RELAY_LINE_PREFIX: &str = "postern-relay1:";

/// Whom a mailbox believes (spec: #trust-line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustLine {
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// Bundle envelopes, from number 1 on, at least one. Not verified.
    pub bundles: Vec<Vec<u8>>,
}

/// A mailbox as it asks to be named in the next bundle (spec: #trust-line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLine {
    /// The mailbox's key.
    pub key: PublicKey,
    /// Its URLs, 1..=8.
    pub urls: Vec<String>,
    /// A TLS anchor for the hop, DER; no authority over messages.
    pub tls_ca: Option<Vec<u8>>,
}

/// Why a text is no such line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineError {
    /// It does not begin with this prefix.
    Prefix(&'static str),
    /// It is longer than any such line.
    Length(usize),
    /// What follows the prefix is not base64url without padding.
    Base64,
    /// The content is damaged or of another version.
    Content(Reject),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "the line does not begin with {prefix}"),
            Self::Length(chars) => write!(f, "the line is longer than {chars} characters"),
            Self::Base64 => {
                f.write_str("the line holds a character that does not belong there, or is cut off")
            }
            Self::Content(reject) => write!(
                f,
                "the content of the line is damaged or of another version ({reject}: {})",
                reject.sentence()
            ),
        }
    }
}

impl core::error::Error for LineError {}

/// Takes the content out of a line. # Errors: all but [`LineError::Content`].
fn unwrap_line(text: &str, prefix: &'static str, chars_max: usize) -> Result<Vec<u8>, LineError> {
    //= spec/relays.md#trust-line
    //# A reader MUST ignore white space before and after such a line and refuse any inside it.
    let text = text.trim();
    //= spec/relays.md#trust-line
    //# A reader MUST refuse a trust line of more than 87397 characters, and a relay line of more than
    //# 16384.
    if text.len() > chars_max {
        return Err(LineError::Length(chars_max));
    }
    let encoded = text.strip_prefix(prefix).ok_or(LineError::Prefix(prefix))?;
    Base64UrlUnpadded::decode_vec(encoded).map_err(|_| LineError::Base64)
}

fn wrap_line(prefix: &str, content: &[u8]) -> String {
    let mut text = String::from(prefix);
    text.push_str(&Base64UrlUnpadded::encode_string(content));
    text
}

impl TrustLine {
    /// Reads the text form; white space around it is ignored. Nothing in it is verified.
    ///
    /// # Errors
    /// [`LineError`], one for each way in which lines break when people copy them.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let content = unwrap_line(text, TRUST_LINE_PREFIX, TRUST_LINE_CHARS_MAX)?;
        //= spec/relays.md#trust-line
        //# A reader MUST refuse such a line whose map has another key, a missing one, or a form outside the
        //# CBOR profile.
        decode_all(&content, read_trust_line).map_err(LineError::Content)
    }

    /// Writes the text form. # Errors: `shape` without a bundle, `oversize` for bundles above 64 KiB in sum.
    pub fn text(&self) -> Result<String, Reject> {
        let mut writer = Writer::new();
        writer.map(3).uint(1).bytes(self.root.as_bytes());
        writer.uint(2).bytes(self.recovery.as_bytes());
        writer.uint(3).array(self.bundles.len());
        self.bundles.iter().for_each(|bundle| {
            writer.raw(bundle);
        });
        if self.bundles.is_empty() {
            return Err(Reject::Shape);
        }
        if writer.as_bytes().len() > CBOR_ITEM_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        Ok(wrap_line(TRUST_LINE_PREFIX, writer.as_bytes()))
    }

    //= spec/relays.md#trust-line
    //# A mailbox MUST accept the bundles of a trust line by #bundle, starting from the thumbprints of the
    //# same line, before it believes anything under them.
    /// Verifies the bundles from the thumbprints on. # Errors: those of [`Trust::offer`].
    pub fn trust(&self) -> Result<Trust, Reject> {
        let bundles = self.bundles.iter().map(Vec::as_slice);
        Trust::from_chain(self.root, self.recovery, bundles)
    }
}

impl RelayLine {
    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`LineError`], one for each way in which lines break when people copy them.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let content = unwrap_line(text, RELAY_LINE_PREFIX, JOIN_LINE_CHARS_MAX)?;
        decode_all(&content, read_relay_line).map_err(LineError::Content)
    }

    /// Writes the text form.
    ///
    /// # Errors
    /// As [`Self::parse`], when the fields are such that no controller would take the line.
    pub fn text(&self) -> Result<String, LineError> {
        let mut writer = Writer::new();
        writer.map(2 + usize::from(self.tls_ca.is_some())).uint(1);
        self.key.encode(&mut writer);
        writer.uint(2).array(self.urls.len());
        self.urls.iter().for_each(|url| {
            writer.text(url);
        });
        if let Some(tls_ca) = &self.tls_ca {
            writer.uint(3).bytes(tls_ca);
        }
        let text = wrap_line(RELAY_LINE_PREFIX, writer.as_bytes());
        Self::parse(&text).map(|_| text)
    }
}

fn read_trust_line(reader: &mut Reader<'_>) -> Result<TrustLine, Reject> {
    if reader.map()? != 3 {
        return Err(Reject::Shape);
    }
    let mut order = KeyOrder::new();
    expect_key(reader, &mut order, 1)?;
    let root = Thumbprint::from_bytes(reader.bytes_of()?);
    expect_key(reader, &mut order, 2)?;
    let recovery = Thumbprint::from_bytes(reader.bytes_of()?);
    expect_key(reader, &mut order, 3)?;
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let bundles = (0..count)
        .map(|_| skip_envelope(reader).map(Vec::from))
        .collect::<Result<_, _>>()?;
    Ok(TrustLine {
        root,
        recovery,
        bundles,
    })
}

fn read_relay_line(reader: &mut Reader<'_>) -> Result<RelayLine, Reject> {
    let has_ca = match reader.map()? {
        2 => false,
        3 => true,
        _ => return Err(Reject::Shape),
    };
    let mut order = KeyOrder::new();
    expect_key(reader, &mut order, 1)?;
    let key = PublicKey::decode(reader)?;
    expect_key(reader, &mut order, 2)?;
    let urls = read_urls(reader)?;
    let tls_ca = if has_ca {
        expect_key(reader, &mut order, 3)?;
        Some(reader.bytes()?.into())
    } else {
        None
    };
    Ok(RelayLine { key, urls, tls_ca })
}
