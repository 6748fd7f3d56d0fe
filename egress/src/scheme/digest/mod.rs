//! Digest (RFC 7616): a hash of user, password, nonce and counter in place of the password.
//!
//! Pure. Answers `qop=auth` with SHA-256 or MD5 and prefers the former. Refuses what it would have
//! to guess: challenges without `qop=auth`, the `-sess` variants, unknown algorithms, control
//! characters in what has to be sent back.

use crate::connect::Challenge;
use crate::scheme::Scheme;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// The hash of a challenge, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RFC 1321; what a challenge without an algorithm means.
    Md5,
    /// FIPS 180-4.
    Sha256,
}

impl Algorithm {
    fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None => Some(Self::Md5),
            Some(word) if word.eq_ignore_ascii_case("MD5") => Some(Self::Md5),
            Some(word) if word.eq_ignore_ascii_case("SHA-256") => Some(Self::Sha256),
            Some(_unknown) => None,
        }
    }

    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| {
            let mut text = String::new();
            for byte in bytes {
                let _infallible = write!(text, "{byte:02x}");
            }
            text
        };
        match self {
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The challenge names its algorithm, so the answer does.
    is_named: bool,
    is_stale: bool,
}

impl DigestChallenge {
    /// Picks the strongest challenge that can be answered, the first of equal ones.
    #[must_use]
    pub fn strongest(offered: &[Challenge]) -> Option<Self> {
        let digests = offered
            .iter()
            .filter(|challenge| challenge.scheme == Some(Scheme::Digest));
        let mut best: Option<Self> = None;
        for challenge in digests.filter_map(Self::read) {
            if best
                .as_ref()
                .is_none_or(|best| best.algorithm < challenge.algorithm)
            {
                best = Some(challenge);
            }
        }
        best
    }

    fn read(challenge: &Challenge) -> Option<Self> {
        let named = challenge.parameter("algorithm");
        let qop = challenge.parameter("qop")?;
        let is_auth = |word: &str| word.trim().eq_ignore_ascii_case("auth");
        let found = Self {
            realm: challenge.parameter("realm")?.to_owned(),
            nonce: challenge.parameter("nonce")?.to_owned(),
            opaque: challenge.parameter("opaque").map(str::to_owned),
            algorithm: Algorithm::parse(named)?,
            is_named: named.is_some(),
            is_stale: challenge
                .parameter("stale")
                .is_some_and(|word| word.eq_ignore_ascii_case("true")),
        };
        let sent = [&found.realm, &found.nonce].into_iter();
        let is_clean = |text: &String| !text.chars().any(char::is_control);
        let sent_is_clean = sent.chain(&found.opaque).all(is_clean);
        (qop.split(',').any(is_auth) && sent_is_clean).then_some(found)
    }

    /// Tells whether only the nonce was refused, not the password.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.is_stale
    }
}

/// A nonce in use: every answer counts.
#[derive(Clone, Debug)]
pub struct DigestSession {
    challenge: DigestChallenge,
    /// Answers made with this nonce.
    count: u32,
}

impl DigestSession {
    /// Starts with the nonce of a challenge.
    #[must_use]
    pub const fn new(challenge: DigestChallenge) -> Self {
        Self {
            challenge,
            count: 0,
        }
    }

    /// Tells whether the challenge's nonce is the one in use.
    #[must_use]
    pub fn is_of(&self, challenge: &DigestChallenge) -> bool {
        self.challenge.nonce == challenge.nonce
    }

    /// Makes the value of `Proxy-Authorization` for one CONNECT to `target`, `host:port`.
    /// `cnonce` is random and has no quotes. `None` when the nonce was used too often to count.
    pub fn answer(
        &mut self,
        user: &str,
        password: &str,
        target: &str,
        cnonce: &str,
    ) -> Option<Zeroizing<String>> {
        self.count = self.count.checked_add(1)?;
        Some(self.compose(user, password, ("CONNECT", target), cnonce))
    }

    fn compose(
        &self,
        user: &str,
        password: &str,
        (method, uri): (&str, &str),
        cnonce: &str,
    ) -> Zeroizing<String> {
        let DigestChallenge {
            realm,
            nonce,
            opaque,
            algorithm,
            is_named,
            is_stale: _,
        } = &self.challenge;
        let nc = format!("{:08x}", self.count);
        // Room for all of it, so that no reallocation leaves a copy of the password behind.
        let room = user.len() + realm.len() + password.len() + 2;
        let mut secret = Zeroizing::new(String::with_capacity(room));
        for part in [user, ":", realm, ":", password] {
            secret.push_str(part);
        }
        let secret = Zeroizing::new(algorithm.hash(&secret));
        let request = algorithm.hash(&format!("{method}:{uri}"));
        let joined = Zeroizing::new(format!(
            "{}:{nonce}:{nc}:{cnonce}:auth:{request}",
            secret.as_str()
        ));
        let response = algorithm.hash(&joined);
        let mut value = Zeroizing::new(format!(
            "Digest {}, realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", qop=auth, nc={nc}, cnonce=\"{cnonce}\", response=\"{response}\"",
            username(user),
            quote(realm),
            quote(nonce),
        ));
        if *is_named {
            value.push_str(match algorithm {
                Algorithm::Md5 => ", algorithm=MD5",
                Algorithm::Sha256 => ", algorithm=SHA-256",
            });
        }
        if let Some(opaque) = opaque {
            let _infallible = write!(value, ", opaque=\"{}\"", quote(opaque));
        }
        value
    }
}

/// Beyond ASCII only the extended notation of RFC 8187 is understood everywhere.
fn username(user: &str) -> String {
    if user.is_ascii() {
        return format!("username=\"{}\"", quote(user));
    }
    let mut value = "username*=UTF-8''".to_owned();
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() {
            value.push(char::from(byte));
        } else {
            let _infallible = write!(value, "%{byte:02X}");
        }
    }
    value
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
