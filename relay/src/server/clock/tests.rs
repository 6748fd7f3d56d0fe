use super::*;

//= spec/freshness.md#signed-time type=test
//# A mailbox or controller whose own clock is not set MUST leave the time out.
#[test]
fn clock_that_is_not_set_states_nothing() {
    for unset in [0, 86_400, PLAUSIBLE_UNIX_S_MIN - 1, u64::MAX] {
        assert_eq!(plausible(unset), None, "{unset}");
    }
    assert_eq!(
        plausible(PLAUSIBLE_UNIX_S_MIN).map(SignedTime::unix_s),
        Some(PLAUSIBLE_UNIX_S_MIN)
    );
}
