use super::*;

const TODAY_S: u64 = 1_795_824_000;

fn stored(write: Option<Write>) -> Option<u64> {
    let write = write?;
    let value = write.value.unwrap();
    find([(write.table, write.key.as_slice(), value.as_slice())]).unwrap()
}

#[test]
fn first_time_is_stored_at_once() {
    let mut notes = TimeNotes::new(None);
    assert_eq!(stored(notes.own_commit()), None, "nothing was taken");
    notes.take(TODAY_S);
    assert_eq!(stored(notes.own_commit()), Some(TODAY_S));
    assert_eq!(stored(notes.own_commit()), None);
}

#[test]
fn time_of_the_same_day_costs_no_commit() {
    let mut notes = TimeNotes::new(Some(TODAY_S));
    for (taken_s, own, along) in [
        (TODAY_S + RIDE_ALONG_S - 1, None, None),
        (
            TODAY_S + OWN_COMMIT_S - 1,
            None,
            Some(TODAY_S + OWN_COMMIT_S - 1),
        ),
    ] {
        notes.take(taken_s);
        assert_eq!(stored(notes.own_commit()), own, "{taken_s}");
        assert_eq!(stored(notes.ride_along()), along, "{taken_s}");
        assert_eq!(stored(notes.ride_along()), None, "{taken_s}: once");
    }
}

#[test]
fn time_that_went_back_is_stored_too() {
    let mut notes = TimeNotes::new(Some(TODAY_S + 14 * 365 * OWN_COMMIT_S));
    notes.take(TODAY_S);
    assert_eq!(stored(notes.own_commit()), Some(TODAY_S));
}

#[test]
fn clock_that_is_off_is_told_once_and_once_when_right_again() {
    let mut notes = TimeNotes::default();
    let looks = [
        (None, None),
        (Some(300), None),
        (Some(301), Some(ClockTurn::Off)),
        (Some(i64::MIN), None),
        (Some(-300), Some(ClockTurn::Right)),
        (Some(0), None),
        (Some(-301), Some(ClockTurn::Off)),
    ];
    for (ahead_s, told) in looks {
        assert_eq!(notes.look(ahead_s), told, "{ahead_s:?}");
    }
}

#[test]
fn shown_offset_does_not_flicker() {
    let mut notes = TimeNotes::default();
    for (read, shown) in [(4, 4), (5, 4), (3, 4), (6, 6)] {
        let _told = notes.look(Some(read));
        assert_eq!(notes.ahead_s(), Some(shown), "{read}");
    }
}

//= spec/freshness.md#signed-time type=test
//# A device MUST take a time that came over any other connection only where the certificate of its
//# session's way is valid at it.
#[test]
fn time_without_a_certificate_that_agrees_is_not_witnessed() {
    let time = SignedTime::new(TODAY_S).unwrap();
    let around = |before, after| Period {
        not_before_s: TODAY_S - before,
        not_after_s: TODAY_S + after,
    };
    assert!(is_witnessed(Some(around(1, 1)), time));
    assert!(is_witnessed(Some(around(0, 0)), time));
    let ended = Period {
        not_before_s: 0,
        not_after_s: TODAY_S - 1,
    };
    let to_come = Period {
        not_before_s: TODAY_S + 1,
        not_after_s: u64::MAX,
    };
    for period in [None, Some(ended), Some(to_come)] {
        assert!(!is_witnessed(period, time), "{period:?}");
    }
}
