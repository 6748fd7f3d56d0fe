use super::{SectionState, compare, is_equal};
use postern_protocol::state::{Finite, Integer, Path, State, Value};
use serde_json::json;

fn state(entries: &[(&str, u64)]) -> State {
    let entries = entries.iter().map(|(path, number)| {
        let value = Value::Int(Integer::from(*number));
        (Path::parse(path).unwrap(), value)
    });
    State::from_entries(entries).unwrap()
}

fn check(desired: &[(&str, u64)], actual: &[(&str, u64)], expected: bool, differing: &[&str]) {
    let (sections, paths) = compare(&state(desired), &state(actual));
    assert_eq!(is_equal(&sections), expected, "{sections:?}");
    let paths: Vec<_> = paths.iter().map(|path| path.path.as_str()).collect();
    assert_eq!(paths, differing);
}

#[test]
fn states_are_compared_where_the_application_reports() {
    check(&[("a/x", 1)], &[("a/x", 1)], true, &[]);
    check(&[("a/x", 1), ("b/y", 2)], &[("a/x", 1)], true, &[]);
    check(&[("a/x", 1)], &[], true, &[]);
    check(&[], &[], true, &[]);
    check(&[("a/x", 1)], &[("a/x", 2)], false, &["a/x"]);
    check(&[("a/x", 1), ("a/y", 1)], &[("a/x", 1)], false, &["a/y"]);
    check(&[("a/x", 1)], &[("a/x", 1), ("a/z", 1)], false, &["a/z"]);
    check(&[("a/x", 1)], &[("a/x", 1), ("c/z", 1)], false, &["c/z"]);
}

#[test]
fn sections_of_intents_and_of_the_daemon_are_not_compared() {
    let desired = [("intent/restart", 3), ("postern/pause", 1), ("a/x", 1)];
    check(&desired, &[("intent/restart", 2), ("a/x", 1)], true, &[]);
    let (sections, _) = compare(&state(&desired), &state(&[("a/x", 1)]));
    assert_eq!(sections.len(), 1);
}

#[test]
fn section_that_nobody_reports_is_shown_so() {
    let (sections, _) = compare(&state(&[("a/x", 1), ("b/y", 1)]), &state(&[("b/y", 1)]));
    assert_eq!(sections.get("a"), Some(&SectionState::NotReported));
    assert_eq!(sections.get("b"), Some(&SectionState::Equal));
}

#[test]
fn whole_number_and_float_differ() {
    let float = Value::Float(Finite::new(1.0).unwrap());
    let actual = State::from_entries([(Path::parse("a/x").unwrap(), float)]).unwrap();
    let (sections, paths) = compare(&state(&[("a/x", 1)]), &actual);
    assert!(!is_equal(&sections));
    assert_eq!(paths[0].desired, Some(json!(1)));
    assert_eq!(paths[0].actual, Some(json!(1.0)));
}
