//! Rows: verdicts, exit, alignment.

use super::{Row, Unit, is_passed, to_json, to_text};

fn row(value: Option<f64>, target: Option<f64>) -> Row {
    Row {
        name: "receive".to_owned(),
        value,
        unit: Unit::Ratio,
        target,
        note: None,
    }
}

#[test]
fn row_is_ok_only_with_value_and_target_and_at_most_the_target() {
    let cases = [
        (Some(1.04), Some(1.05), Some(true)),
        (Some(1.05), Some(1.05), Some(true)),
        (Some(1.0501), Some(1.05), Some(false)),
        (Some(f64::NAN), Some(1.05), Some(false)),
        (None, Some(1.05), None),
        (Some(9.0), None, None),
        (None, None, None),
    ];
    for (value, target, expected) in cases {
        let row = row(value, target);
        assert_eq!(row.ok(), expected, "{row:?}");
        assert_eq!(is_passed(&[row], true), expected != Some(false));
    }
}

#[test]
fn one_missed_row_fails_all() {
    let good = row(Some(1.0), Some(1.05));
    let missed = row(Some(1.1), Some(1.05));
    assert!(is_passed(&[], true));
    assert!(is_passed(&[good.clone(), row(None, Some(1.0))], true));
    for judges_times in [true, false] {
        assert!(!is_passed(&[good.clone(), missed.clone()], judges_times));
    }
}

#[test]
fn missed_time_fails_only_where_times_are_judged() {
    let missed = Row {
        unit: Unit::TimeRatio,
        ..row(Some(1.1), Some(1.0))
    };
    assert_eq!(missed.ok(), Some(false));
    assert!(is_passed(std::slice::from_ref(&missed), false));
    assert!(!is_passed(&[missed], true));
}

#[test]
fn text_is_aligned_and_names_every_verdict() {
    let rows = [
        Row::bytes("poll", 34, Some(40)),
        Row::bytes("a longer name", 1_200, Some(1_150)),
        row(Some(1.25), None),
        row(None, Some(1.3)),
    ];
    let expected = "\
what           value unit  at most  verdict
poll              34 B          40  ok
a longer name   1200 B        1150  MISSED
receive        1.250 x           -  reported
receive            - x       1.300  SKIPPED
";
    assert_eq!(to_text(&rows), expected);
}

#[test]
fn json_has_null_where_nothing_is_known() {
    let rows = [Row::bytes("poll", 34, Some(40)), row(None, Some(1.5))];
    let expected = serde_json::json!([
        {"name": "poll", "value": 34.0, "unit": "B", "target": 40.0, "ok": true},
        {"name": "receive", "value": null, "unit": "x", "target": 1.5, "ok": null},
    ]);
    assert_eq!(to_json(&rows), expected);
}

#[test]
fn rate_is_ok_from_its_target_on_and_judged_as_a_time() {
    for (value, expected) in [(2_999.0, false), (3_000.0, true), (9_000.0, true)] {
        let row = Row::new("posts", Unit::PerSecond, Some(value), Some(3_000.0));
        assert_eq!(row.ok(), Some(expected), "{row:?}");
        assert_eq!(is_passed(std::slice::from_ref(&row), true), expected);
        assert!(is_passed(std::slice::from_ref(&row), false));
        assert!(to_text(&[row]).contains("least 3000"));
    }
}
