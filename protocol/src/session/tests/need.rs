//! Needs of one session: how soon the next one is served.

use super::super::need::NeedLimiter;
use super::*;
use crate::id::Plane;

//= spec/postern.md#need type=test
//# A mailbox MUST NOT serve more than one need of a plane in 5 s, else `need-limited`.
#[test]
fn need_of_a_plane_before_5_s_have_passed_is_limited() {
    let mut limiter = NeedLimiter::default();
    for (plane, now_ms, expected) in [
        (Plane::Desired, 1_000, Ok(())),
        (Plane::Desired, 1_000, Err(Reject::NeedLimited)),
        (Plane::Desired, 5_999, Err(Reject::NeedLimited)),
        // Each plane has its own.
        (Plane::Actual, 5_999, Ok(())),
        // What was refused moved nothing.
        (Plane::Desired, 6_000, Ok(())),
        (Plane::Desired, 10_999, Err(Reject::NeedLimited)),
        (Plane::Actual, 10_998, Err(Reject::NeedLimited)),
        (Plane::Actual, 10_999, Ok(())),
        (Plane::Desired, 60_000, Ok(())),
        // A clock that went back serves nobody sooner.
        (Plane::Desired, 59_000, Err(Reject::NeedLimited)),
    ] {
        assert_eq!(limiter.take(plane, now_ms), expected, "{plane:?} {now_ms}");
    }
}
