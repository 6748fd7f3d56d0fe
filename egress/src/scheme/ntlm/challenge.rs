//! Reads the proxy's CHALLENGE message (type 2; MS-NLMP, 2.2.1.2), of which nothing is trusted.
//!
//! Pure. Refuses offsets and lengths that leave the message, target attributes without an end or
//! in excess, and a challenge that cannot be answered in Unicode.

use super::{AV_DOMAIN, AV_END, AV_TIMESTAMP, SIGNATURE, TARGET_INFO, UNICODE};
use crate::limits::{NTLM_ATTRIBUTES_MAX, NTLM_CHALLENGE_BYTES_MAX};

/// Why a challenge is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NtlmFault {
    /// Not NTLMSSP, or not a message of type 2.
    #[error("the NTLM message is no challenge")]
    NoChallenge,
    /// More than [`NTLM_CHALLENGE_BYTES_MAX`].
    #[error("the NTLM challenge is larger than {NTLM_CHALLENGE_BYTES_MAX} bytes")]
    Large,
    /// It ends too early, or points outside itself.
    #[error("the NTLM challenge is cut short or points outside itself")]
    Bounds,
    /// The attributes of the target have no end, or too many entries.
    #[error("the target of the NTLM challenge has no end")]
    Target,
    /// The proxy wants an 8-bit character set.
    #[error("the NTLM challenge does not allow Unicode, which NTLMv2 needs")]
    NoUnicode,
}

/// A challenge, read and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeMessage {
    pub(super) flags: u32,
    pub(super) nonce: [u8; 8],
    /// The target's attributes in order, without the end.
    pub(super) target: Vec<(u16, Vec<u8>)>,
    /// The message as it came: the MIC covers it.
    pub(super) bytes: Vec<u8>,
}

impl ChallengeMessage {
    /// Reads a decoded message.
    ///
    /// # Errors
    /// [`NtlmFault`] for anything that is not exactly a challenge for NTLMv2.
    pub fn parse(bytes: &[u8]) -> Result<Self, NtlmFault> {
        if bytes.len() > NTLM_CHALLENGE_BYTES_MAX {
            return Err(NtlmFault::Large);
        }
        if bytes.get(..8) != Some(&SIGNATURE[..]) || word(bytes, 8)? != 2 {
            return Err(NtlmFault::NoChallenge);
        }
        let flags = word(bytes, 20)?;
        if flags & UNICODE == 0 {
            return Err(NtlmFault::NoUnicode);
        }
        let target = if flags & TARGET_INFO == 0 {
            Vec::new()
        } else {
            let length = usize::from(half(bytes, 40)?);
            let start = usize::try_from(word(bytes, 44)?).map_err(|_wide| NtlmFault::Bounds)?;
            let end = start.checked_add(length).ok_or(NtlmFault::Bounds)?;
            attributes(bytes.get(start..end).ok_or(NtlmFault::Bounds)?)?
        };
        Ok(Self {
            flags,
            nonce: array(bytes, 24)?,
            target,
            bytes: bytes.to_vec(),
        })
    }

    pub(super) fn attribute(&self, name: u16) -> Option<&[u8]> {
        let found = self.target.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The proxy's time; with it comes the duty to send a MIC.
    pub(super) fn timestamp(&self) -> Option<[u8; 8]> {
        self.attribute(AV_TIMESTAMP)
            .and_then(|value| value.try_into().ok())
    }

    /// The short name of the proxy's domain.
    pub(super) fn domain(&self) -> String {
        let bytes = self.attribute(AV_DOMAIN).unwrap_or_default();
        let units = bytes
            .chunks_exact(2)
            .filter_map(|pair| pair.try_into().ok());
        let units: Vec<u16> = units.map(u16::from_le_bytes).collect();
        String::from_utf16_lossy(&units)
    }
}

fn attributes(mut bytes: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, NtlmFault> {
    let mut found = Vec::new();
    loop {
        let name = half(bytes, 0).map_err(|_end| NtlmFault::Target)?;
        if name == AV_END {
            return Ok(found);
        }
        let length = usize::from(half(bytes, 2).map_err(|_end| NtlmFault::Target)?);
        let value = bytes.get(4..).and_then(|rest| rest.get(..length));
        let value = value.ok_or(NtlmFault::Target)?;
        if found.len() >= NTLM_ATTRIBUTES_MAX {
            return Err(NtlmFault::Target);
        }
        found.push((name, value.to_vec()));
        bytes = bytes
            .get(4_usize.saturating_add(length)..)
            .unwrap_or_default();
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], NtlmFault> {
    let part = bytes.get(at..).and_then(|rest| rest.get(..N));
    let part = part.and_then(|part| part.try_into().ok());
    part.ok_or(NtlmFault::Bounds)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, NtlmFault> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> Result<u32, NtlmFault> {
    array(bytes, at).map(u32::from_le_bytes)
}
