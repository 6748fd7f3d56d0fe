//! NTLMv2 (MS-NLMP) over HTTP: three messages on one connection.
//!
//! ```text
//!   NEGOTIATE (type 1) -> CHALLENGE (type 2, the proxy's) -> AUTHENTICATE (type 3)
//! ```
//!
//! Pure: time and randomness come in as arguments. Proves with a MIC that nobody changed the first
//! two messages when the challenge carries a timestamp. Refuses NTLMv1 and LM, challenges without
//! Unicode, and offsets that point outside the message. Does no channel binding: a proxy that
//! insists on it (Extended Protection, over TLS only) will reject.

mod challenge;
mod keys;

pub use challenge::{ChallengeMessage, NtlmFault};

use crate::limits::NTLM_TIME_OFFSET_S;
use hmac::{Hmac, KeyInit as _, Mac as _};
use keys::SessionKeys;
use md5::Md5;
use std::time::Duration;
use zeroize::Zeroizing;

pub(crate) const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

const UNICODE: u32 = 1;
const REQUEST_TARGET: u32 = 1 << 2;
const NTLM: u32 = 1 << 9;
const ALWAYS_SIGN: u32 = 1 << 15;
const EXTENDED_SESSION_SECURITY: u32 = 1 << 19;
const TARGET_INFO: u32 = 1 << 23;

/// What this side asks for; also what it confirms, as far as the proxy has it.
const WANTED: u32 =
    UNICODE | REQUEST_TARGET | NTLM | ALWAYS_SIGN | EXTENDED_SESSION_SECURITY | TARGET_INFO;

/// Names of the attributes of a target (MS-NLMP, 2.2.2.1).
pub(crate) const AV_END: u16 = 0;
pub(crate) const AV_DOMAIN: u16 = 2;
const AV_FLAGS: u16 = 6;
pub(crate) const AV_TIMESTAMP: u16 = 7;
/// In [`AV_FLAGS`]: the message carries a MIC.
const HAS_MIC: u32 = 2;

/// Where the strings of an AUTHENTICATE message begin: behind version and MIC.
const PAYLOAD: usize = 88;
const MIC: std::ops::Range<usize> = 72..88;

/// Returns the first message. It holds nothing of the user.
#[must_use]
pub fn negotiate_message() -> Vec<u8> {
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&1_u32.to_le_bytes());
    message.extend_from_slice(&WANTED.to_le_bytes());
    // Neither domain nor workstation: two empty strings.
    message.extend_from_slice(&[0; 16]);
    message
}

/// A user, as NTLM names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The domain; `None` when the user did not say, empty for `user@domain`.
    pub domain: Option<&'a str>,
    /// The name, with its `@domain` where it was written so.
    pub user: &'a str,
}

impl<'a> Account<'a> {
    /// Reads `DOMAIN\user`, `user@domain` or `user`.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match text.split_once('\\') {
            Some((domain, user)) => Self {
                domain: Some(domain),
                user,
            },
            None => Self {
                domain: text.contains('@').then_some(""),
                user: text,
            },
        }
    }
}

/// What an answer needs besides the messages.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// Who logs on.
    pub account: Account<'a>,
    /// The password.
    pub password: &'a str,
    /// Eight random bytes.
    pub nonce: [u8; 8],
    /// The time since 1970; the challenge's own time is preferred.
    pub unix_time: Duration,
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(..)")
    }
}

/// Makes the third message. `negotiate` is the first message, as it was sent.
#[must_use]
pub fn authenticate_message(
    negotiate: &[u8],
    challenge: &ChallengeMessage,
    proof: &Proof<'_>,
) -> Zeroizing<Vec<u8>> {
    let domain = match proof.account.domain {
        Some(domain) => domain.to_owned(),
        // A user without a domain is taken for one of the proxy's own.
        None => challenge.domain(),
    };
    let has_mic = challenge.timestamp().is_some();
    let blob = blob(challenge, proof, has_mic);
    let keys = SessionKeys::new(
        proof.account.user,
        &domain,
        proof.password,
        challenge.nonce,
        &blob,
    );
    let lm = match challenge.timestamp() {
        // MS-NLMP, 3.1.5.1.2: not sent where there is a timestamp.
        Some(_) => [0; 24],
        None => keys.lm_response(challenge.nonce, proof.nonce),
    };
    let nt = [&keys.proof[..], &blob[..]].concat();
    let flags = WANTED & challenge.flags | UNICODE | NTLM;
    let mut message = compose(
        &[
            &lm,
            &nt,
            &utf16(&domain),
            &utf16(proof.account.user),
            &[],
            &[],
        ],
        flags,
    );
    if has_mic {
        let mic = hmac_md5(&*keys.session, &[negotiate, &challenge.bytes, &message]);
        if let Some(place) = message.get_mut(MIC) {
            place.copy_from_slice(&mic);
        }
    }
    message
}

/// `NTLMv2_CLIENT_CHALLENGE` (MS-NLMP, 2.2.2.7).
fn blob(challenge: &ChallengeMessage, proof: &Proof<'_>, has_mic: bool) -> Vec<u8> {
    let time = challenge
        .timestamp()
        .unwrap_or_else(|| file_time(proof.unix_time).to_le_bytes());
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend_from_slice(&time);
    blob.extend_from_slice(&proof.nonce);
    blob.extend_from_slice(&[0; 4]);
    for (name, value) in &challenge.target {
        if *name != AV_FLAGS {
            attribute(&mut blob, *name, value);
        }
    }
    let flags = challenge
        .attribute(AV_FLAGS)
        .and_then(|value| value.try_into().ok());
    let flags = flags.map_or(0, u32::from_le_bytes) | if has_mic { HAS_MIC } else { 0 };
    if flags != 0 {
        attribute(&mut blob, AV_FLAGS, &flags.to_le_bytes());
    }
    attribute(&mut blob, AV_END, &[]);
    blob.extend_from_slice(&[0; 4]);
    blob
}

fn attribute(blob: &mut Vec<u8>, name: u16, value: &[u8]) {
    blob.extend_from_slice(&name.to_le_bytes());
    // Every value was read with a length of two bytes, or is made here.
    blob.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    blob.extend_from_slice(value);
}

/// Hundreds of nanoseconds since 1601.
fn file_time(unix_time: Duration) -> u64 {
    let since = unix_time.saturating_add(Duration::from_secs(NTLM_TIME_OFFSET_S));
    u64::try_from(since.as_nanos() / 100).unwrap_or(u64::MAX)
}

/// Lays out the six strings of an AUTHENTICATE message (MS-NLMP, 2.2.1.3), MIC still zero.
fn compose(strings: &[&[u8]; 6], flags: u32) -> Zeroizing<Vec<u8>> {
    let size = strings.iter().map(|string| string.len()).sum::<usize>();
    let mut message = Zeroizing::new(Vec::with_capacity(PAYLOAD.saturating_add(size)));
    message.extend_from_slice(SIGNATURE);
    message.extend_from_slice(&3_u32.to_le_bytes());
    let mut at = PAYLOAD;
    for string in strings {
        // User names are bounded by the secret, attributes by the challenge: far below 64 KiB.
        let length = u16::try_from(string.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes();
        message.extend_from_slice(&length);
        message.extend_from_slice(&length);
        message.extend_from_slice(&u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes());
        at = at.saturating_add(string.len());
    }
    message.extend_from_slice(&flags.to_le_bytes());
    message.resize(PAYLOAD, 0);
    for string in strings {
        message.extend_from_slice(string);
    }
    message
}

pub(crate) fn utf16(text: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().saturating_mul(2)));
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    bytes
}

pub(crate) fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
