//! Random bytes from the operating system: keys, nonces, tokens, jitter.
//!
//! There is no other source and no seed. When the system cannot give random bytes the process
//! stops, because nothing that it would sign after that could be trusted.

use postern_protocol::context::Random;

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "no random bytes from the operating system");
            std::process::abort();
        }
    }
}
