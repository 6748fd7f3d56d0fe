//! Rate limits in bounded memory: no flood can grow them, and nobody is limited for another.
//!
//! ```text
//!   Guard (which limit, and what it does without room)
//!   Gate: one bucket    Cells: one bucket for each key    Limiter: sources, and networks of them
//! ```
//!
//! A table of 16,384 buckets without keys would take 128 KiB where 200,000 keys take 7 MB
//! (measured: 29 to 36 bytes each). Keys are worth it: in such a table a flood of strangers exhausts
//! the buckets that others share with them. The table is what remains when the keys run out. Refuses clocks (arguments) and keys from addresses that were not validated.

mod cells;
mod guard;
mod source;
#[cfg(test)]
mod tests;

pub use cells::{Cells, Drawn, Gate};
pub use guard::{Guard, WhenFull};
pub use source::{Limiter, Site, Source};

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a pause. At least 1.
    pub burst: u32,
    /// Per second, in the long run. At least 1.
    pub per_s: u32,
}
