//! The authentication schemes that a proxy's challenge can be answered with.
//!
//! Pure: bytes, time and randomness come in as arguments. Who may be told what, and how often, is
//! decided in [`proxy_auth`](crate::proxy_auth). Refuses NTLMv1, Digest without `qop=auth` and
//! Digest's session variants, which need what a proxy hop does not have.

pub mod digest;
pub mod ntlm;

/// An authentication scheme, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// RFC 4559: a Kerberos ticket in SPNEGO.
    Negotiate,
    /// MS-NTHT: NTLMv2 over three legs of one connection.
    Ntlm,
    /// RFC 7616: a hash of the password and a nonce.
    Digest,
    /// RFC 7617: the password itself.
    Basic,
}

impl Scheme {
    /// Reads a scheme's name, in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let is_it = |scheme: &Self| scheme.as_str().eq_ignore_ascii_case(word);
        Schemes::STRONGEST_FIRST.into_iter().find(is_it)
    }

    /// Returns the scheme's name as it stands in a challenge.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Ntlm => "NTLM",
            Self::Digest => "Digest",
            Self::Basic => "Basic",
        }
    }
}

/// The schemes that may be used with a proxy, in the order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemes {
    order: Vec<Scheme>,
    /// The operator's word, not the default.
    is_chosen: bool,
}

/// Why a list of schemes is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemesError {
    /// Nothing in it.
    #[error("names no scheme; remove the key to allow all of them")]
    Empty,
    /// Not a scheme.
    #[error(
        "must hold \"negotiate\", \"ntlm\", \"digest\" or \"basic\", not \"{word}\"{}",
        .meant.map_or_else(String::new, |scheme| format!("; did you mean \"{}\"?", scheme.as_str().to_ascii_lowercase()))
    )]
    Unknown {
        /// The word.
        word: crate::foreign::Foreign,
        /// What it was meant to be.
        meant: Option<Scheme>,
    },
    /// The same one again.
    #[error("names \"{}\" twice", .0.as_str().to_ascii_lowercase())]
    Twice(Scheme),
}

impl Default for Schemes {
    fn default() -> Self {
        Self {
            order: Self::STRONGEST_FIRST.to_vec(),
            is_chosen: false,
        }
    }
}

impl Schemes {
    const STRONGEST_FIRST: [Scheme; 4] = [
        Scheme::Negotiate,
        Scheme::Ntlm,
        Scheme::Digest,
        Scheme::Basic,
    ];

    /// Reads the operator's list, `proxy.schemes`; its order is that of preference.
    ///
    /// # Errors
    /// [`SchemesError`] completes a sentence that begins with the key.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, SchemesError> {
        let mut order = Vec::new();
        for word in words {
            let scheme = Scheme::parse(word).ok_or_else(|| SchemesError::Unknown {
                word: crate::foreign::Foreign::new(word.as_bytes()),
                meant: meant(word),
            })?;
            if order.contains(&scheme) {
                return Err(SchemesError::Twice(scheme));
            }
            order.push(scheme);
        }
        if order.is_empty() {
            return Err(SchemesError::Empty);
        }
        Ok(Self {
            order,
            is_chosen: true,
        })
    }

    /// Returns the list with which nobody is ever authenticated to: for proxies that the operator
    /// did not name.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            order: Vec::new(),
            is_chosen: true,
        }
    }

    /// Tells whether the operator chose the list.
    #[must_use]
    pub const fn is_chosen(&self) -> bool {
        self.is_chosen
    }

    /// Tells whether the scheme may be used.
    #[must_use]
    pub fn allow(&self, scheme: Scheme) -> bool {
        self.order.contains(&scheme)
    }

    /// Returns the schemes in the order of preference.
    pub fn iter(&self) -> impl Iterator<Item = Scheme> + '_ {
        self.order.iter().copied()
    }
}

impl std::fmt::Display for Schemes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.iter().map(Scheme::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

/// Guesses what an unknown word was meant to be.
fn meant(word: &str) -> Option<Scheme> {
    let word = word.to_ascii_lowercase();
    match word.trim() {
        "kerberos" | "krb5" | "spnego" | "gssapi" => return Some(Scheme::Negotiate),
        "ntlmv2" | "ntlmssp" => return Some(Scheme::Ntlm),
        _other => {}
    }
    let starts_alike = |scheme: &Scheme| {
        let name = scheme.as_str().to_ascii_lowercase();
        let both = name.chars().zip(word.trim().chars());
        both.take_while(|(a, b)| a == b).count() >= 3
    };
    Schemes::STRONGEST_FIRST.into_iter().find(starts_alike)
}

#[cfg(test)]
mod tests;
