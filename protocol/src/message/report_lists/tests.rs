//! Lists 5 to 7: what became of intents, the next key, leaving.

use super::{IntentNote, IntentOutcome, ListNumber};
use crate::message::Report;
use crate::reject::Reject;
use crate::state::Path;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

fn unhex(text: &str) -> Vec<u8> {
    let text = text.replace(' ', "");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn note(value: u64, outcome: IntentOutcome) -> IntentNote {
    IntentNote {
        path: Path::parse("intent/reboot").unwrap(),
        value,
        outcome,
    }
}

fn finished(output: String) -> IntentOutcome {
    IntentOutcome::Finished { status: -9, output }
}

#[test]
fn report_with_intents_a_rotation_and_leaving_comes_back() {
    let mut report = Report::default();
    let outcomes = [
        IntentOutcome::Recorded,
        IntentOutcome::Fired,
        IntentOutcome::Lower,
        IntentOutcome::Jump,
        IntentOutcome::NotUint,
        finished("done".into()),
        IntentOutcome::TooManyVerbs,
        IntentOutcome::Interrupted,
    ];
    for (number, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome.number(), number);
        report.lists.push_intent(note(number, outcome));
    }
    report.lists.set_rotation(Some(vec![1; 512])).unwrap();
    report.lists.set_leaving(true);
    let again = Report::decode(&report.encode()).unwrap();
    assert_eq!(again, report);
    assert_eq!(again.lists.rotation().map(<[u8]>::len), Some(512));
    assert!(again.lists.is_leaving());
    report.lists.set_rotation(None).unwrap();
    report.lists.set_leaving(false);
    assert_eq!(Report::decode(&report.encode()), Ok(report));
}

#[test]
fn list_of_intents_that_is_full_drops_the_oldest_and_counts_it() {
    let mut report = Report::default();
    for value in 1..=20 {
        let outcome = finished("ü".repeat(300));
        report.lists.push_intent(note(value, outcome));
    }
    assert_eq!(report.lists.intents().len(), 16);
    assert_eq!(
        report.lists.intents()[0],
        note(5, finished("ü".repeat(256)))
    );
    assert_eq!(report.lists.lost().count(ListNumber::Intents), 4);
    assert_eq!(Report::decode(&report.encode()), Ok(report));
}

//= spec/postern.md#report type=test
//# An entry of list 5 MUST have its fourth member with the outcome 5 and with no other, else
//# `shape`.
#[test]
fn list_that_breaks_a_rule_is_refused() {
    let lists = |entries: &str| unhex(&format!("820000 a1 {entries}").replacen("82", "83", 1));
    let long = format!("0581 84 6161 01 05 82 00 790201{}", "61".repeat(513));
    let cases = [
        ("05 80", Reject::Shape),
        ("05 81 83 6161 01 05", Reject::Shape),
        ("05 81 84 6161 01 00 82 00 60", Reject::Shape),
        ("05 81 84 6161 01 05 81 00", Reject::Shape),
        ("05 81 83 6161 01 08", Reject::Shape),
        ("05 81 83 6161 20 01", Reject::Shape),
        ("05 81 83 6141 01 01", Reject::PathInvalid),
        ("06 40", Reject::Shape),
        ("06 f6", Reject::Shape),
        ("07 f4", Reject::Shape),
        ("07 01", Reject::Shape),
        ("04 81 82 06 01", Reject::Shape),
        ("04 81 82 04 01", Reject::Shape),
        (&long, Reject::ReportListOversize),
        (
            &format!("06 590201 {}", "00".repeat(513)),
            Reject::ReportListOversize,
        ),
        (
            &format!("05 91 {}", "8361610101".repeat(17)),
            Reject::ReportListOversize,
        ),
    ];
    for (entries, reject) in cases {
        assert_eq!(Report::decode(&lists(entries)), Err(reject), "{entries}");
    }
}

#[test]
fn rotation_of_no_or_too_many_bytes_is_not_set() {
    let mut report = Report::default();
    assert_eq!(report.lists.set_rotation(Some(vec![])), Err(Reject::Shape));
    let long = report.lists.set_rotation(Some(vec![0; 513]));
    assert_eq!(long, Err(Reject::ReportListOversize));
    assert!(report.lists.is_empty());
}
