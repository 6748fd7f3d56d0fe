//! Random bytes of the operating system. Refuses to go on without them.
//!
//! Session ids, challenges and spread come from here and from nowhere else.

use postern_protocol::Reject;

/// Returns fresh random bytes. # Errors: `overloaded` when the system gives none.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Reject> {
    let mut out = [0; N];
    match getrandom::fill(&mut out) {
        Ok(()) => Ok(out),
        Err(error) => {
            tracing::error!(%error, "the system gives no random bytes");
            Err(Reject::Overloaded)
        }
    }
}

/// Returns `base` times 1 to 3, so that clients without jitter of their own spread out too.
pub(super) fn retry_ms(base: u64) -> u64 {
    let random = bytes::<8>().map_or(0, u64::from_be_bytes);
    let span = base.saturating_mul(2).max(1);
    base.saturating_add(random.checked_rem(span).unwrap_or_default())
}
