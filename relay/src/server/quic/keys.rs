//! The keys of the QUIC door that outlive a restart, all from one secret.
//!
//! ```text
//!   secret --HKDF--> token key (Retry) | reset key | connection id key | ticket key
//! ```
//!
//! A server that comes back with the same secret recognises the connections of its former life and
//! resets them, so that devices notice within one round trip of their next packet instead of after
//! their idle timeout. Whoever embeds the server keeps the secret in a file of mode 0600; nodes
//! behind one address share it. Refuses to read files, and to show the secret.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use rustls::server::ProducesTickets;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Seconds for which a client may use a ticket.
const TICKET_LIFE_S: u32 = 86_400;

/// The secret of a QUIC listener: 32 random bytes that its host keeps.
#[derive(Clone)]
pub struct ListenerSecret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for ListenerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListenerSecret(..)")
    }
}

/// A secret of another length than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listener secret has 32 bytes")]
pub struct BadSecret;

impl ListenerSecret {
    /// Reads what [`Self::as_bytes`] gave.
    /// # Errors: [`BadSecret`] for any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadSecret> {
        let secret = bytes.try_into().map_err(|_| BadSecret)?;
        Ok(Self(Zeroizing::new(secret)))
    }

    /// Makes a new one. # Errors: `overloaded` when the system gives no random bytes.
    pub fn fresh() -> Result<Self, postern_protocol::Reject> {
        Ok(Self(Zeroizing::new(crate::server::random::bytes()?)))
    }

    /// The bytes to keep, where nobody else can read them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    fn derived<const N: usize>(&self, label: &'static str) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"postern quic listener");
        let pseudo_random = salt.extract(&*self.0);
        let info = [label.as_bytes()];
        let filled = pseudo_random
            .expand(&info, Length(N))
            .and_then(|okm| okm.fill(&mut *out));
        match filled {
            Ok(()) => out,
            Err(_) => unreachable!("HKDF-SHA256 gives up to 8160 bytes"),
        }
    }

    pub(super) fn token_key(&self) -> Arc<hkdf::Prk> {
        let key = self.derived::<32>("token");
        Arc::new(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*key))
    }

    //= spec/postern.md#quic-binding
    //# A server SHOULD keep the keys of its stateless resets and connection ids over a restart.
    pub(super) fn reset_key(&self) -> Arc<hmac::Key> {
        let key = self.derived::<32>("reset");
        Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &*key))
    }

    pub(super) fn connection_id_key(&self) -> Zeroizing<[u8; 32]> {
        self.derived::<32>("connection id")
    }

    pub(super) fn tickets(&self) -> Option<Arc<dyn ProducesTickets>> {
        let key = self.derived::<32>("ticket");
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).ok()?;
        Some(Arc::new(Tickets(LessSafeKey::new(key))))
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// TLS tickets that another life of the server can open. QUIC has TLS 1.3 only, whose resumption
/// makes a fresh key agreement: the ticket key does not open what was sent.
#[derive(Debug)]
struct Tickets(LessSafeKey);

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFE_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = crate::server::random::bytes().ok()?;
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::empty(), &mut sealed)
            .ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = cipher.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .0
            .open_in_place(nonce, Aad::empty(), &mut opened)
            .ok()?;
        Some(plain.to_vec())
    }
}
