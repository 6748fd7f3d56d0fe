//! Totals and differences.

use super::{per_iteration, total};

#[test]
fn total_is_read_from_the_end_of_a_profile_or_not_at_all() {
    let cases = [
        (
            "events: Ir\nfn=(1) main\n0 12\n\ntotals: 4821\n",
            Some(4_821),
        ),
        ("summary: 77\nfn=(1) main\n0 12\n", Some(77)),
        ("summary: 77\n\ntotals: 78\n", Some(78)),
        ("events: Ir Dr\ntotals: 12 34\n", Some(12)),
        ("totals: 1\ntotals: 2\n", Some(2)),
        ("", None),
        ("totals:\n", None),
        ("totals: many\n", None),
        ("totals: -3\n", None),
        ("fn=totals: 9\n", None),
    ];
    for (profile, expected) in cases {
        assert_eq!(total(profile), expected, "{profile:?}");
    }
}

#[test]
fn difference_cancels_what_both_runs_have_in_common() {
    let cases = [
        ((5, 1_000_500), (25, 1_002_500), Some(100.0)),
        ((1, 10), (3, 15), Some(2.5)),
        ((1, 10), (2, 10), Some(0.0)),
        ((5, 10), (5, 20), None),
        ((6, 10), (5, 20), None),
        ((5, 20), (6, 10), None),
        ((0, 0), (1, u64::MAX), None),
    ];
    for (few, many, expected) in cases {
        assert_eq!(per_iteration(few, many), expected, "{few:?} {many:?}");
    }
}
