//! What becomes of a connection attempt: let in, asked for proof of its address, or refused.
//!
//! Without Retry each forged Initial pins 18 to 27 KiB for the time of a handshake; with it
//! nothing. So few attempts that proved nothing are let in directly, which spares honest clients a
//! round trip in quiet times, and never so many that they matter. Refuses to decide by source
//! before the address is proven: forgers would fill the books of others.

use crate::budget::{Pressure, Work};
use crate::limits::{QUIC_HALF_OPEN_MAX, QUIC_HALF_OPEN_RETRY};

/// What is known about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Its address was proven by the token of a Retry.
    pub(super) is_proven: bool,
    /// Handshakes under way.
    pub(super) half_open: usize,
    /// Attempts without proof come faster than their rate.
    pub(super) is_rush: bool,
    /// How full memory is.
    pub(super) pressure: Pressure,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Begin the handshake, now that the places of its source are asked.
    Count,
    /// Begin the handshake; the places are asked once it has proven the address.
    Try,
    /// Answer with Retry and keep nothing.
    Prove,
    /// Answer that there is no room.
    Refuse,
}

//= spec/postern.md#quic-binding
//# A server SHOULD answer an attempt from an address that is not proven with Retry while attempts or
//# handshakes under way are many.
/// Decides.
pub(super) fn judge(attempt: Attempt) -> Verdict {
    let is_many = attempt.half_open >= QUIC_HALF_OPEN_RETRY || attempt.is_rush;
    let is_pressed = attempt.pressure.refuses(Work::Bulk);
    if attempt.pressure.refuses(Work::Newcomer) {
        Verdict::Refuse
    } else if !attempt.is_proven {
        if is_many || is_pressed {
            Verdict::Prove
        } else {
            Verdict::Try
        }
    } else if attempt.half_open >= QUIC_HALF_OPEN_MAX {
        Verdict::Refuse
    } else {
        Verdict::Count
    }
}
