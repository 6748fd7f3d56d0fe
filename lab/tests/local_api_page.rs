//! `daemon/LOCAL_API.md` is true: its examples are sent as they stand, in order, to one running device.
//!
//! Compared are the status and the names of all members, and values where the page shows one that is neither empty
//! nor a number of a revision. It refuses examples that it cannot read.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should end the test where it happened"
)]

use postern_lab::{Device, DeviceSettings, Fleet};
use serde_json::Value;

const PAGE: &str = include_str!("../../daemon/LOCAL_API.md");

/// One command of the page and what it says about the answer.
#[derive(Debug)]
struct Example {
    method: String,
    resource: String,
    body: String,
    status: u16,
    json: Option<Value>,
}

/// Splits a command line into words; quotes group, nothing is expanded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if letter == open => quote = None,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, _) => word.push(letter),
        }
    }
    words.push(word);
    words
}

fn example(command: &str, expected: &str) -> Example {
    let words = words(command);
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).cloned()
    };
    let (status, json) = expected.split_once(' ').unwrap_or((expected, ""));
    let url = words
        .iter()
        .find_map(|word| word.strip_prefix("http://device"));
    Example {
        method: after("-X").unwrap_or_else(|| "GET".to_owned()),
        resource: url.unwrap().to_owned(),
        body: after("-d").unwrap_or_default(),
        status: status.parse().unwrap(),
        json: (!json.is_empty()).then(|| serde_json::from_str(json).unwrap()),
    }
}

fn examples() -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("curl ") {
            let expected = lines.next().and_then(|line| line.strip_prefix("# "));
            found.push(example(line, expected.unwrap()));
        }
    }
    found
}

/// Compares what the page shows with what came.
fn check(shown: &Value, came: &Value, example: &Example) {
    match (shown, came) {
        (Value::Object(shown), Value::Object(came)) => {
            let names = |map: &serde_json::Map<String, Value>| -> Vec<String> {
                map.keys().cloned().collect()
            };
            assert_eq!(names(shown), names(came), "{example:?}");
            for (name, value) in shown {
                let is_number = matches!(name.as_str(), "epoch" | "seq");
                if !is_number {
                    check(value, came.get(name).unwrap(), example);
                }
            }
        }
        (Value::Array(shown), Value::Array(came)) => {
            assert_eq!(shown.len(), came.len(), "{example:?}");
            let pairs = shown.iter().zip(came);
            pairs.for_each(|(shown, came)| check(shown, came, example));
        }
        (Value::String(shown), Value::String(_)) if shown.is_empty() => {}
        (_, _) => assert_eq!(shown, came, "{example:?}"),
    }
}

/// Brings the device to where the page begins: a desired value, an intent that fired once.
fn prepare(fleet: &Fleet, device: &mut Device) {
    device
        .wait_applied(fleet.set("hall-1", "fan/speed", "3").unwrap())
        .unwrap();
    device
        .wait_applied(fleet.set("hall-1", "intent/restart", "1").unwrap())
        .unwrap();
    device
        .wait_for("the intent", |folder| {
            let answer = folder.ask("GET", "/v1/intents", "").ok()?;
            answer.body.contains("\"pending\":true").then_some(())
        })
        .unwrap();
}

#[test]
fn examples_of_the_page_are_answered_as_it_says() {
    let Some(fleet) = Fleet::start_or_skip("local api page", "localhost").unwrap() else {
        return;
    };
    let mut device = fleet.device("hall-1", &DeviceSettings::direct()).unwrap();
    device.daemon.start().unwrap();
    prepare(&fleet, &mut device);
    let examples = examples();
    assert!(examples.len() >= 14, "{}", examples.len());
    for example in &examples {
        let Example {
            method,
            resource,
            body,
            ..
        } = example;
        let answer = device.folder.ask(method, resource, body).unwrap();
        assert_eq!(
            answer.status, example.status,
            "{example:?}: {}",
            answer.body
        );
        if let Some(shown) = &example.json {
            check(shown, &answer.json(), example);
        }
    }
}
