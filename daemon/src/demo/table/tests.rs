use super::{Row, bytes, millis, render};

fn row() -> Row {
    Row {
        device: "hall-b".into(),
        deployments: 10,
        desired_seq: Some(4),
        applied_seq: Some(4),
        route: "proxy".into(),
        bytes_up: 4_321,
        bytes_down: 1_234_567,
        push_us: Some(8_250),
        is_running: true,
    }
}

#[test]
fn table_shows_every_value_of_a_device() {
    let lines = render(&[row()]);
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    let expected = "hall-b 10 #4 #4 proxy 4.3 kB 1.2 MB 8.2 ms in step";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn table_keeps_its_columns_in_line() {
    let long = Row {
        device: "a-device-with-a-long-name".into(),
        bytes_down: 999_999,
        ..row()
    };
    let lines = render(&[row(), long, Row::default()]);
    assert_eq!(lines.len(), 4);
    let at = lines[0].find("route").unwrap();
    assert_eq!(lines[1].find("proxy"), Some(at));
    assert_eq!(lines[2].find("proxy"), Some(at));
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with(' ') && line.trim_end() == line)
    );
}

#[test]
fn table_width_does_not_move_with_usual_digits() {
    let few = Row {
        bytes_up: 1,
        bytes_down: 22,
        push_us: None,
        applied_seq: None,
        ..row()
    };
    assert_eq!(render(&[few])[0], render(&[row()])[0]);
}

#[test]
fn row_ends_with_how_the_device_stands() {
    let check = |desired_seq, applied_seq, is_running, expected: &str| {
        let row = Row {
            desired_seq,
            applied_seq,
            is_running,
            ..row()
        };
        let line = render(&[row]).remove(1);
        assert!(
            line.ends_with(expected),
            "{line} should end with {expected}"
        );
    };
    check(Some(4), Some(4), true, "in step");
    check(Some(4), Some(5), true, "in step");
    check(Some(4), Some(3), true, "behind");
    check(Some(4), None, true, "behind");
    check(None, None, true, "waiting");
    check(Some(4), Some(4), false, "killed");
    check(None, None, false, "killed");
}

#[test]
fn unknown_values_are_dashes() {
    let words: Vec<String> = render(&[Row::default()])[1]
        .split_whitespace()
        .map(Into::into)
        .collect();
    assert_eq!(words.join(" "), "0 - - - 0 B 0 B - killed");
}

#[test]
fn bytes_and_times_round_down() {
    for (number, expected) in [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_099, "1.0 kB"),
        (999_999, "999.9 kB"),
        (1_000_000, "1.0 MB"),
        (u64::MAX, "18446744073709.5 MB"),
    ] {
        assert_eq!(bytes(number), expected);
    }
    for (micros, expected) in [
        (0, "0.0 ms"),
        (99, "0.0 ms"),
        (1_950, "1.9 ms"),
        (2_000_000, "2000.0 ms"),
    ] {
        assert_eq!(millis(micros), expected);
    }
}

#[test]
fn table_of_usual_rows_fits_80_characters() {
    let slow = Row {
        deployments: 100,
        desired_seq: Some(10_000),
        bytes_up: 999_999,
        push_us: Some(1_445_900),
        applied_seq: None,
        ..row()
    };
    for line in render(&[slow, row(), Row::default()]) {
        assert!(line.chars().count() < 80, "{line}");
    }
}
