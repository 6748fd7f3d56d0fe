//! What an engine is given with every input: time, random bytes, keys. It owns none of them.
//!
//! Refuses to have a default for any of them: each driver decides, and tests decide differently.

use crate::id::Tenant;
use crate::key::Signer;

/// The moment of an input, as the driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back; its origin means nothing.
    pub mono_ms: u64,
    //= spec/freshness.md#signed-time
    //# A device MUST NOT use a time, or its own wall clock, for order or freshness.
    /// Seconds since 1970, where the machine believes to know them. Never used for order.
    pub unix_s: Option<u64>,
}

/// Random bytes fit for keys and nonces.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Draws an array of random bytes.
pub fn draw<const N: usize>(random: &mut dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// The writer keys of a controller, one for each tenant.
pub trait Keyring {
    /// Returns the writer key of a tenant, if this controller holds it.
    fn writer(&self, tenant: &Tenant) -> Option<&dyn Signer>;
}
