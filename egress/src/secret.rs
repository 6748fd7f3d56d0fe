//! A proxy's user name and password: held, fingerprinted, encoded for Basic, wiped on drop.
//!
//! Refuses what Basic (RFC 7617) cannot carry: a colon in the user name, control characters.
//! Never prints either half.

use crate::limits::SECRET_BYTES_MAX;
use crate::lockout::Fingerprint;
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// User name and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxySecret {
    /// `user:password`, which is unambiguous because a user name has no colon.
    joined: Zeroizing<String>,
}

/// Why a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No user name.
    #[error("the proxy user name is empty")]
    NoUser,
    /// A colon in the user name.
    #[error("the proxy user name has a colon, which Basic authentication cannot carry")]
    ColonInUser,
    /// A control character in either half.
    #[error("the proxy credentials have a control character in them")]
    Control,
    /// Longer than [`SECRET_BYTES_MAX`].
    #[error("the proxy credentials are longer than {SECRET_BYTES_MAX} bytes")]
    Long,
    /// No colon at all in a secret file.
    #[error("the secret file must hold one line, user:password")]
    Shape,
    /// The file cannot be read.
    #[error("the secret file cannot be read ({0})")]
    Unreadable(std::io::ErrorKind),
}

impl ProxySecret {
    /// Joins a user name and a password.
    ///
    /// # Errors
    /// [`SecretError`] when Basic could not carry them.
    pub fn new(user: &str, password: &str) -> Result<Self, SecretError> {
        if user.is_empty() {
            return Err(SecretError::NoUser);
        }
        if user.contains(':') {
            return Err(SecretError::ColonInUser);
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(SecretError::Control);
        }
        if user.len().saturating_add(password.len()) > SECRET_BYTES_MAX {
            return Err(SecretError::Long);
        }
        let mut joined = Zeroizing::new(String::with_capacity(user.len() + password.len() + 1));
        joined.push_str(user);
        joined.push(':');
        joined.push_str(password);
        Ok(Self { joined })
    }

    /// Reads `user:password` from the first and only line of a file.
    ///
    /// # Errors
    /// [`SecretError`] when the file cannot be read or holds anything else.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |error: std::io::Error| SecretError::Unreadable(error.kind());
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX + 1));
        let bound = u64::try_from(SECRET_BYTES_MAX + 1).unwrap_or(u64::MAX);
        file.take(bound)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.len() > SECRET_BYTES_MAX {
            return Err(SecretError::Long);
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (user, password) = line.split_once(':').ok_or(SecretError::Shape)?;
        Self::new(user, password)
    }

    /// Returns the user name, as it was written.
    pub(crate) fn user(&self) -> &str {
        self.joined.split_once(':').map_or("", |(user, _)| user)
    }

    /// Returns the password.
    pub(crate) fn password(&self) -> &str {
        let halves = self.joined.split_once(':');
        halves.map_or("", |(_, password)| password)
    }

    /// Returns what identifies this secret in the [`Lockout`](crate::lockout::Lockout).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(Sha256::digest(self.joined.as_bytes()).into())
    }

    /// Returns the value of `Proxy-Authorization` for Basic (RFC 7617, UTF-8).
    #[must_use]
    pub(crate) fn basic(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(Base64::encode_string(self.joined.as_bytes()));
        Zeroizing::new(format!("Basic {}", encoded.as_str()))
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxySecret(..)")
    }
}
