//! The time that a signed answer states: what a device without a clock checks certificates with.
//!
//! It counts only beside a fresh question of the reader, which the answer's digest binds. Refuses to be
//! used for order or freshness: those never look at a wall clock.

use crate::cbor::{Reader, Writer};
use crate::limits::UNIX_S_MAX;
use crate::reject::Reject;

/// Seconds since 1970 as a signer believes them, 1..=[`UNIX_S_MAX`] (spec: #signed-time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedTime(u64);

impl SignedTime {
    /// Takes seconds since 1970; `None` outside the range.
    #[must_use]
    pub const fn new(unix_s: u64) -> Option<Self> {
        if unix_s == 0 || unix_s > UNIX_S_MAX {
            return None;
        }
        Some(Self(unix_s))
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn unix_s(self) -> u64 {
        self.0
    }

    /// Reads the array of a payload that ends with an optional time: `required` members without it.
    /// The caller reads those next, then [`Self::read_last`].
    pub(crate) fn read_array(reader: &mut Reader<'_>, required: usize) -> Result<bool, Reject> {
        let members = reader.array()?;
        match members.checked_sub(required) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) | None => Err(Reject::Shape),
        }
    }

    //= spec/freshness.md#signed-time
    //# A stated time MUST be 1 to 253402300799 seconds since 1970, else `shape`.
    /// Reads the time where [`Self::read_array`] said that it is there.
    pub(crate) fn read_last(
        reader: &mut Reader<'_>,
        is_there: bool,
    ) -> Result<Option<Self>, Reject> {
        if !is_there {
            return Ok(None);
        }
        Self::new(reader.uint()?).map(Some).ok_or(Reject::Shape)
    }

    /// Writes the time as the last member, where there is one.
    pub(crate) fn write_last(writer: &mut Writer, time: Option<Self>) {
        if let Some(time) = time {
            writer.uint(time.0);
        }
    }
}
