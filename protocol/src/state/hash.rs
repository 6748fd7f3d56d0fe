//! The one place in which state is hashed, so that tests can count how often.
//!
//! Refuses to know what is hashed.

use crate::encryption::Digester;
use crate::id::Digest;

/// Hashes a section body or a root.
pub(super) fn digest_of(digester: &Digester, bytes: &[u8]) -> Digest {
    #[cfg(test)]
    count::add(bytes.len());
    digester.digest(bytes)
}

#[cfg(test)]
pub(super) mod count {
    //! Counts calls per test thread.
    extern crate std;
    use core::cell::Cell;

    std::thread_local! {
        static CALLS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }

    pub(super) fn add(bytes: usize) {
        CALLS.with(|calls| {
            let (count, sum) = calls.get();
            calls.set((count + 1, sum + bytes));
        });
    }

    /// Runs `act` and returns its result, the calls it made and the bytes it hashed.
    pub(in crate::state) fn during<T>(act: impl FnOnce() -> T) -> (T, usize, usize) {
        CALLS.with(|calls| calls.set((0, 0)));
        let result = act();
        let (count, bytes) = CALLS.with(Cell::get);
        (result, count, bytes)
    }
}
