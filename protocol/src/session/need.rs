//! How often one session may ask for a snapshot.
//!
//! A need costs its sender ten bytes and the mailbox a snapshot: one in 5 s for each plane, and
//! one that was refused does not move the window.

use crate::id::Plane;
use crate::limits::NEED_INTERVAL_MS;
use crate::reject::Reject;

/// When a need was last served, for each plane (spec: #need).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeedLimiter {
    desired_ms: Option<u64>,
    actual_ms: Option<u64>,
}

impl NeedLimiter {
    /// Takes a need at a time of the caller's monotonic clock. # Errors: `need-limited`.
    pub fn take(&mut self, plane: Plane, now_ms: u64) -> Result<(), Reject> {
        let last_ms = match plane {
            Plane::Desired => &mut self.desired_ms,
            Plane::Actual => &mut self.actual_ms,
        };
        let is_early = last_ms.is_some_and(|last| now_ms.saturating_sub(last) < NEED_INTERVAL_MS);
        //= spec/postern.md#need
        //# A mailbox MUST NOT serve more than one need of a plane in 5 s, else `need-limited`.
        if is_early {
            return Err(Reject::NeedLimited);
        }
        *last_ms = Some(now_ms);
        Ok(())
    }
}
