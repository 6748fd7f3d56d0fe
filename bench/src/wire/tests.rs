//! The published byte figures, exactly.

use super::measure;

#[test]
fn frames_and_envelopes_have_the_published_sizes() {
    let rows = measure().unwrap();
    let published = [
        ("poll, one plane", 34.0),
        ("poll, two planes", 48.0),
        ("idle answer", 16.0),
        ("hello", 199.0),
        ("delta of one key", 167.0),
        ("delta of one key, posted", 187.0),
        ("plain report", 155.0),
    ];
    for (name, bytes) in published {
        let row = rows.iter().find(|row| row.name == name);
        assert_eq!(row.and_then(|row| row.value), Some(bytes), "{name}");
    }
}

#[test]
fn every_row_has_a_value_and_no_target_is_missed() {
    for row in measure().unwrap() {
        assert!(row.value.is_some_and(|bytes| bytes > 0.0), "{row:?}");
        assert_ne!(row.ok(), Some(false), "{row:?}");
    }
}
