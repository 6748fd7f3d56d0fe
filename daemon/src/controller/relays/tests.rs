//! What a controller tells a relay about an enrolment that it refused.
//!
//! The whole way stands in `daemon/tests/relays`. Refuses a network: frames only.

use super::link::lasting_refusal;
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, PlainFrame};

//= spec/relays.md#knocks type=test
//# A writer MUST NOT bring a refusal that may pass by itself, `overloaded` or `quota`.
#[test]
fn refusal_that_passes_by_itself_is_not_brought_to_a_relay() {
    for passing in [Reject::Overloaded, Reject::Quota, Reject::EnrolPending] {
        assert_eq!(lasting_refusal(passing), None, "{passing}");
    }
    for lasting in [Reject::TokenUsed, Reject::TokenUnknown, Reject::EnrolMac] {
        let frame = lasting_refusal(lasting).unwrap();
        let refused = PlainFrame::Refused {
            code: lasting.code(),
            retry_ms: None,
        };
        assert_eq!(PlainFrame::decode(&frame, Direction::Down), Ok(refused));
    }
}
