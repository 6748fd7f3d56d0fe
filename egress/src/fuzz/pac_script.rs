//! What must hold for whatever a PAC script does, and for whatever the process that evaluates it says.
//!
//! The engine runs on this thread, within its bounds of time, memory and stack. Refuses lookups that leave the machine:
//! names are found in a table.

use crate::foreign::Foreign;
use crate::limits::{PAC_LINE_BYTES_MAX, PAC_RESULT_BYTES_MAX};
use crate::pac::{PacFault, PacResult, Question, engine, pipe};
use std::net::IpAddr;
use std::sync::Arc;

/// A script answers with a text within its bound, which is read as any other, or fails by name.
pub fn pac_script(input: &[u8]) {
    let script = String::from_utf8_lossy(input);
    let question = Question {
        script: Arc::from(script.as_ref()),
        url: "https://controller.test/".to_owned(),
        host: "controller.test".to_owned(),
        own: vec![IpAddr::from([10, 1, 2, 3])],
        now_ms: Some(1_790_000_000_000),
    };
    let look_up = |name: &str| match name {
        "controller.test" => vec![IpAddr::from([10, 1, 2, 4])],
        _unknown => Vec::new(),
    };
    let answer = engine::run(&question, Box::new(look_up));
    if let Ok(text) = &answer {
        assert!(text.len() <= PAC_RESULT_BYTES_MAX + 4, "{}", text.len());
        let _entries = PacResult::parse(text, &super::target());
    }
    // What the child would say of it, and what the parent makes of that.
    let written = pipe::Word::write(&answer);
    let Some((line, rest)) = written.split_once('\n') else {
        unreachable!("a word is a line")
    };
    assert!(line.len() < PAC_LINE_BYTES_MAX, "{line}");
    let word = pipe::Word::parse(line);
    assert_eq!(word.as_ref().map(pipe::Word::follows), Some(rest.len()));
    let settled = word.and_then(|word| word.settle(rest.into()));
    assert_same(settled.as_ref(), &answer);
}

/// The parent understands what the child says. A reason is escaped by both, and can be shown.
fn assert_same(settled: Option<&Result<String, PacFault>>, said: &Result<String, PacFault>) {
    let Some(Err(PacFault::Threw { reason })) = settled else {
        assert_eq!(settled, Some(said));
        return;
    };
    assert!(matches!(said, Err(PacFault::Threw { .. })), "{said:?}");
    let reason = reason.as_str();
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
}

/// Lines of a child and of its parent are read in one way, or not at all.
pub fn pac_pipe(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
    if let Some(settled) = pipe::Word::parse(line).and_then(|word| word.settle(rest.into())) {
        let again = pipe::Word::write(&settled);
        let (line, rest) = again.split_once('\n').unwrap_or_default();
        let settled_again = pipe::Word::parse(line).and_then(|word| word.settle(rest.into()));
        assert_same(settled_again.as_ref(), &settled);
    }
    if let Some((mut question, length)) = pipe::read_question(line) {
        let script = "x".repeat(length.min(input.len()));
        question.script = Arc::from(script.as_str());
        let written = pipe::write_question(&question);
        let again = pipe::read_question(written.trim_end_matches('\n'));
        let Some((again, length)) = again else {
            panic!("{written:?}")
        };
        assert_eq!(length, script.len());
        assert_eq!((again.url, again.host), (question.url, question.host));
        assert_eq!((again.own, again.now_ms), (question.own, question.now_ms));
    }
    if let Some(found) = pipe::read_found(line) {
        let written = pipe::write_found(&found);
        assert_eq!(pipe::read_found(written.trim_end()), Some(found));
    }
    let shown = Foreign::new(input).as_str().to_owned();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
