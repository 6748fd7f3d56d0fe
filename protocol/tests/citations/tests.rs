//! The tracing refuses what it is there to refuse: rules that are none, citations that are none,
//! sentences that drifted, holes. Every text here is made up for its case.

use super::citation::{Citation, Source};
use super::coverage::Coverage;
use super::specification::{Force, Specification};

const CODE: &str = "protocol/src/state/delta.rs";
const TEST: &str = "protocol/src/state/tests/mod.rs";
const RULE: &str = "A reader MUST apply removals before sets.";
const OTHER: &str = "A path MUST NOT be both set and removed.";

fn page() -> String {
    format!("# Wire\n## Conventions\nMUST and MAY.\n## Delta set\n- {RULE}\n- {OTHER}\n")
}

fn specification(text: &str) -> Specification {
    let mut read = Specification::default();
    read.read("spec/postern.md", text);
    read
}

fn cite(kind: &str, sentence: &str) -> String {
    format!("//= spec/postern.md#delta-set{kind}\n//# {sentence}\nfn code() {{}}\n")
}

/// Returns the citations of a file, or its first fault without the place.
fn read(file: &str, text: &str) -> Result<Vec<Citation>, String> {
    let mut faults = Vec::new();
    let found = Source::new(file, text).citations(&mut faults);
    match faults.first() {
        Some(fault) => Err(fault.split_once(": ").expect("a place").1.to_owned()),
        None => Ok(found),
    }
}

fn coverage_of(sources: &[(&str, String)]) -> (Coverage, Specification) {
    let specification = specification(&page());
    let read_one = |(file, text): &(&str, String)| read(file, text).expect("citations");
    let citations: Vec<_> = sources.iter().flat_map(read_one).collect();
    (
        Coverage::of(&specification.rules, &citations),
        specification,
    )
}

#[test]
fn rule_is_read_with_its_heading_and_force() {
    let read = specification("## CBOR, profile\n- A SHOULD b.\ntext\n- c MUST NOT d.\n- MAY.\n");
    let forces: Vec<_> = read
        .rules
        .iter()
        .map(|rule| (rule.line, rule.force))
        .collect();
    assert_eq!(
        forces,
        [(2, Force::Should), (4, Force::Must), (5, Force::May)]
    );
    assert_eq!(read.rules[1].anchor, "cbor-profile");
    assert_eq!(read.rules[1].sentence, "c MUST NOT d.");
    assert!(read.faults.is_empty());
}

#[test]
fn rule_that_is_not_one_is_refused() {
    for (text, fault) in [
        ("- A MUST b and MAY c.", "2 key words in one rule"),
        ("- A MUST b, and MUST NOT c.", "2 key words in one rule"),
        ("A MUST b.", "a key word outside of a rule"),
        ("| A | MUST b |", "a key word outside of a rule"),
        ("  - A MUST b.", "a key word outside of a rule"),
        (
            "- A MUST b.\n- A MUST b.",
            "the sentence stands twice under this heading",
        ),
    ] {
        let faults = specification(&format!("## Delta\n{text}\n")).faults;
        let expected = format!("spec/postern.md:{}: {fault}", text.lines().count() + 1);
        assert_eq!(faults, [expected]);
    }
}

#[test]
fn section_of_the_key_words_has_no_rules() {
    let read = specification("## Conventions\nMUST, MAY.\n- MUST is a word.\n");
    assert!(read.rules.is_empty() && read.faults.is_empty());
}

#[test]
fn citation_over_several_lines_is_one_sentence() {
    let text = "  //= spec/postern.md#delta\n  //# one\n  //#  two\n  code();\n";
    let found = read(CODE, text).expect("a citation");
    assert_eq!(found[0].sentence, "one two");
    assert_eq!((found[0].line, &*found[0].anchor), (1, "delta"));
}

#[test]
fn citation_in_python_is_a_test() {
    let text = "#= spec/postern.md#delta type=test\n## one\ncode()\n";
    let found = read("interop-vectors/generate/curve.py", text).expect("a citation");
    assert!(found[0].is_test);
}

#[test]
fn citation_that_is_not_one_is_refused() {
    let heading = "name a page such as spec/postern.md and a heading of it";
    let missing = "the sentence is missing";
    let nothing = "no code below the citation";
    for (text, fault) in [
        ("//= spec/rationale.md#delta\n//# one\ncode\n", heading),
        ("//= spec/postern.md\n//# one\ncode\n", heading),
        ("//= spec/postern.md#\n//# one\ncode\n", heading),
        ("//= spec/postern.md#delta\ncode\n", missing),
        ("//= spec/postern.md#delta\n// one\ncode\n", missing),
        ("//= spec/postern.md#delta\n//# one\n", nothing),
        ("//= spec/postern.md#delta\n//# one\n\ncode\n", nothing),
        ("//= spec/postern.md#delta\n//# one\n}\n", nothing),
        (
            "//= spec/postern.md#delta type=todo\n//# one\ncode\n",
            "say type=test or nothing after the heading",
        ),
        (
            "code\n//# one\ncode\n",
            "a sentence without the line that names its heading",
        ),
    ] {
        assert_eq!(read(CODE, text), Err(fault.to_owned()), "{text}");
    }
}

#[test]
fn test_that_does_not_say_so_is_refused() {
    let fault = |text: &str| Err(text.to_owned());
    let is_test = fault("this file is a test: add type=test");
    for file in [
        TEST,
        "protocol/tests/pair.rs",
        "lab/tests/direct.rs",
        "daemon/src/tests.rs",
    ] {
        assert_eq!(read(file, &cite("", RULE)), is_test, "{file}");
    }
    let is_code = fault("this file is no test: take type=test away");
    for file in [CODE, "egress/src/path.rs", "daemon/src/device/run.rs"] {
        assert_eq!(read(file, &cite(" type=test", RULE)), is_code, "{file}");
    }
}

#[test]
fn sentence_that_drifted_is_refused_with_the_nearest_rule() {
    for sentence in [
        "A reader MUST apply removals before sets",
        "A reader MUST apply removals after sets.",
        "A reader MUST  apply removals before sets.",
        "Removals first.",
    ] {
        let (coverage, _) = coverage_of(&[(CODE, cite("", sentence))]);
        let nearest = format!("spec/postern.md:5: #delta-set: {RULE}");
        assert_eq!(coverage.drift.len(), 1, "{sentence}");
        assert!(coverage.drift[0].starts_with("protocol/src/state/delta.rs:1: "));
        assert!(coverage.drift[0].ends_with(&nearest) || sentence.len() < 20);
    }
}

#[test]
fn sentence_under_another_heading_is_refused() {
    let text = cite("", RULE).replace("#delta-set", "#snapshot");
    let (coverage, _) = coverage_of(&[(CODE, text)]);
    assert_eq!(coverage.drift.len(), 1);
    assert_eq!(coverage.holes.len(), 4);
}

#[test]
fn rule_without_code_or_without_a_test_is_a_hole() {
    let sources = [(CODE, cite("", RULE)), (TEST, cite(" type=test", OTHER))];
    let (coverage, specification) = coverage_of(&sources);
    assert!(coverage.drift.is_empty());
    let expected = [
        format!("spec/postern.md:5: no test cites #delta-set: {RULE}"),
        format!("spec/postern.md:6: no code cites #delta-set: {OTHER}"),
    ];
    assert_eq!(coverage.holes, expected);
    let counts =
        "2 MUST, 1 cited in code, 1 cited in tests; 0 SHOULD, 0 cited in code, 0 cited in tests";
    assert_eq!(coverage.counts(&specification.rules), counts);
}

#[test]
fn rule_cited_by_code_and_a_test_is_no_hole() {
    let both = |rule| [(CODE, cite("", rule)), (TEST, cite(" type=test", rule))];
    let sources = [both(RULE), both(OTHER)].concat();
    let (coverage, _) = coverage_of(&sources);
    assert!(coverage.drift.is_empty() && coverage.holes.is_empty());
}

#[test]
fn citation_of_another_page_does_not_cover_the_rule() {
    let elsewhere = cite("", RULE).replace("postern.md", "planes.md");
    let (coverage, _) = coverage_of(&[(CODE, elsewhere)]);
    assert_eq!(coverage.drift.len(), 1, "{:?}", coverage.drift);
    assert!(coverage.drift[0].contains("spec/planes.md#delta-set"));
}
