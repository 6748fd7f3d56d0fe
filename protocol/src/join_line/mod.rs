//! The join line: all that an operator carries to a new device, as one line of text.
//!
//! It pins the trust domain and holds the invitation's secret, so it is shown by nothing here
//! but [`JoinLine::danger_text`]. Refuses unknown fields: a line is made for one version.

use crate::cbor::{KeyOrder, Reader, Writer, decode_all};
use crate::enrol::JoinSecret;
use crate::id::{DeviceName, Tenant, Thumbprint, TokenId};
use crate::limits::JOIN_LINE_CHARS_MAX;
use crate::reject::Reject;
use crate::trust::{expect_key, read_urls};
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use core::fmt;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// What every join line begins with.
pub const JOIN_LINE_PREFIX: &str = "postern1:";

/// What a device needs to enrol (spec: #join-line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinLine {
    /// URLs of mailboxes, 1..=8.
    pub urls: Vec<String>,
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// The tenant.
    pub tenant: Tenant,
    /// The device's name.
    pub device: DeviceName,
    /// The invitation.
    pub token: TokenId,
    /// The invitation's secret.
    pub secret: JoinSecret,
    /// A TLS anchor for the hop, DER; no authority over messages.
    pub tls_ca: Option<Vec<u8>>,
    /// A mailbox that the bundles must name.
    pub mailbox: Option<Thumbprint>,
}

/// Why a text is no join line; never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinLineError {
    /// It does not begin with [`JOIN_LINE_PREFIX`].
    Prefix,
    /// It is longer than any join line.
    Length,
    /// What follows the prefix is not base64url without padding.
    Base64,
    /// The content is damaged or of another version.
    Content(Reject),
}

impl fmt::Display for JoinLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => f.write_str("the join line does not begin with postern1:"),
            Self::Length => f.write_str("the join line is longer than 16384 characters"),
            Self::Base64 => f.write_str(
                "the join line holds a character that does not belong there, or is cut off",
            ),
            Self::Content(reject) => write!(
                f,
                "the content of the join line is damaged or of another version ({reject}: {})",
                reject.sentence()
            ),
        }
    }
}

impl core::error::Error for JoinLineError {}

impl JoinLine {
    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`JoinLineError`], one for each way in which lines break when people copy them.
    pub fn parse(text: &str) -> Result<Self, JoinLineError> {
        //= spec/lives.md#join-line
        //# A device MUST ignore white space before and after the line and refuse any inside it.
        let text = text.trim();
        //= spec/lives.md#join-line
        //# A device MUST refuse a join line of more than 16384 characters.
        if text.len() > JOIN_LINE_CHARS_MAX {
            return Err(JoinLineError::Length);
        }
        let encoded = text
            .strip_prefix(JOIN_LINE_PREFIX)
            .ok_or(JoinLineError::Prefix)?;
        let decoded = Base64UrlUnpadded::decode_vec(encoded).map_err(|_| JoinLineError::Base64)?;
        let content = Zeroizing::new(decoded);
        //= spec/lives.md#join-line
        //# A device MUST refuse a join line whose map has another key, a missing one, or a form
        //# outside the CBOR profile.
        decode_all(&content, read_join_line).map_err(JoinLineError::Content)
    }

    /// Writes the text form, which holds the secret.
    ///
    /// # Errors
    /// As [`Self::parse`], when the fields are such that no device would take the line.
    pub fn danger_text(&self) -> Result<Zeroizing<String>, JoinLineError> {
        let content = Zeroizing::new(self.encode());
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&content));
        let mut text = Zeroizing::new(String::with_capacity(
            JOIN_LINE_PREFIX.len() + encoded.len(),
        ));
        text.push_str(JOIN_LINE_PREFIX);
        text.push_str(&encoded);
        Self::parse(&text).map(|_| text)
    }

    fn encode(&self) -> Vec<u8> {
        let optional = usize::from(self.tls_ca.is_some()) + usize::from(self.mailbox.is_some());
        // Wide enough for every line that is allowed, so that no copy of the secret is left behind.
        let urls: usize = self.urls.iter().map(|url| url.len() + 3).sum();
        let ca = self.tls_ca.as_ref().map_or(0, Vec::len);
        let mut writer = Writer::with_capacity(512 + urls + ca);
        writer.map(7 + optional).uint(1).array(self.urls.len());
        self.urls.iter().for_each(|url| {
            writer.text(url);
        });
        writer.uint(2).bytes(self.root.as_bytes());
        writer.uint(3).bytes(self.recovery.as_bytes());
        writer.uint(4).text(self.tenant.as_str());
        writer.uint(5).text(self.device.as_str());
        writer.uint(6).bytes(self.token.as_bytes());
        writer.uint(7).bytes(self.secret.danger_bytes());
        if let Some(tls_ca) = &self.tls_ca {
            writer.uint(8).bytes(tls_ca);
        }
        if let Some(mailbox) = &self.mailbox {
            writer.uint(9).bytes(mailbox.as_bytes());
        }
        writer.into_bytes()
    }
}

fn read_join_line(reader: &mut Reader<'_>) -> Result<JoinLine, Reject> {
    let optional = reader.map()?.checked_sub(7).ok_or(Reject::Shape)?;
    let mut order = KeyOrder::new();
    expect_key(reader, &mut order, 1)?;
    let urls = read_urls(reader)?;
    expect_key(reader, &mut order, 2)?;
    let root = Thumbprint::from_bytes(reader.bytes_of()?);
    expect_key(reader, &mut order, 3)?;
    let recovery = Thumbprint::from_bytes(reader.bytes_of()?);
    expect_key(reader, &mut order, 4)?;
    let tenant = Tenant::parse(reader.text()?)?;
    expect_key(reader, &mut order, 5)?;
    let device = DeviceName::parse(reader.text()?)?;
    expect_key(reader, &mut order, 6)?;
    let token = TokenId::from_bytes(reader.bytes_of()?);
    expect_key(reader, &mut order, 7)?;
    let secret = JoinSecret::from_bytes(reader.bytes_of()?);
    let (mut tls_ca, mut mailbox) = (None, None);
    for _ in 0..optional {
        match reader.int_key(&mut order)? {
            8 => tls_ca = Some(reader.bytes()?.into()),
            9 => mailbox = Some(Thumbprint::from_bytes(reader.bytes_of()?)),
            _ => return Err(Reject::Shape),
        }
    }
    Ok(JoinLine {
        urls,
        root,
        recovery,
        tenant,
        device,
        token,
        secret,
        tls_ca,
        mailbox,
    })
}
