use super::detect::{Found, Refusal, explain};
use super::envelope::{Belief, Judgement};
use super::hex::{from_hex, to_hex};
use super::{InspectArgs, belief, diagnostic, run};
use crate::exit::Exit;
use postern_protocol::Reject;
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{DeviceName, Tenant, Thumbprint, TokenId};
use postern_protocol::join_line::JoinLine;
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

const CHANNEL: (&str, &str) = ("acme", "press-7");
const ROOT: &str = "aaecd02623648e3ccc38f8c6b5b52724a838e032d4aa6b280218fca0a55067d2";
const INCARNATION: &str = "cfdefddc170073519b588137aa4b04f4";

fn vectors(file: &str) -> Vec<Json> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop-vectors/v1");
    let content = fs::read(root.join(file)).expect("a file of vectors");
    let document: Json = serde_json::from_slice(&content).expect("JSON");
    document["tests"].as_array().expect("tests").clone()
}

fn bytes(test: &Json, member: &str) -> Vec<u8> {
    from_hex(test[member].as_str().expect("text")).expect("hexadecimal")
}

fn args(key: &str) -> InspectArgs {
    InspectArgs {
        file: "-".into(),
        json: false,
        key: Some(key.into()),
        root: Some(ROOT.into()),
        tenant: Some(CHANNEL.0.into()),
        device: Some(CHANNEL.1.into()),
        incarnation: Some(INCARNATION.into()),
        plane: None,
    }
}

fn belief_in(test: &Json) -> Belief {
    let key = test["public_key"].as_str().expect("text");
    belief(&args(key)).expect("a belief").expect("some")
}

fn explained(input: &[u8], belief: Option<&Belief>) -> Found {
    explain(input, belief).unwrap_or_else(|refusal| panic!("{refusal:?} for {}", to_hex(input)))
}

fn check_refused(input: &[u8], reject: Reject, offset: Option<usize>) {
    match explain(input, None) {
        Err(refusal) => assert_eq!(
            refusal,
            Refusal::Reject(reject, offset),
            "{}",
            to_hex(input)
        ),
        Ok(found) => panic!("explained as {}", found.show.to_lines()),
    }
}

#[test]
fn every_valid_envelope_is_explained_and_never_called_valid_unchecked() {
    for test in vectors("03-sign1/valid.json") {
        let cose = bytes(&test, "cose");
        for input in [&cose[..], &cose[1..]] {
            let found = explained(input, None);
            assert_eq!(found.judgements, [Judgement::NotChecked]);
            let signature = &found.show.to_json()["envelope"]["signature"];
            assert!(signature.as_str().expect("text").starts_with("not checked"));
        }
        let lines = explained(&cose, None).show.to_lines();
        assert!(
            lines.contains("kind ") && lines.contains("payload "),
            "{lines}"
        );
    }
}

#[test]
fn envelope_of_the_given_channel_is_valid_with_its_key() {
    let judged: Vec<_> = vectors("03-sign1/valid.json")
        .iter()
        .map(|test| {
            let found = explained(&bytes(test, "cose"), Some(&belief_in(test)));
            if found.judgements == [Judgement::Valid] {
                let shown = &found.show.to_json()["envelope"]["message_id"];
                assert_eq!(*shown, test["message_id"]);
            }
            found.judgements[0]
        })
        .collect();
    assert!(
        judged
            .iter()
            .filter(|judged| **judged == Judgement::Valid)
            .count()
            > 10,
        "{judged:?}"
    );
}

#[test]
fn envelope_of_another_channel_plane_or_key_is_refused_by_name() {
    let tests = vectors("03-sign1/valid.json");
    let delta = bytes(&tests[0], "cose");
    let right = belief_in(&tests[0]);
    assert_eq!(
        explained(&delta, Some(&right)).judgements,
        [Judgement::Valid]
    );
    let other = |change: &dyn Fn(&mut Belief)| {
        let mut belief = right.clone();
        change(&mut belief);
        explained(&delta, Some(&belief)).judgements[0]
    };
    let invalid = Judgement::Refused(Reject::SignatureInvalid);
    assert_eq!(
        other(&|belief| belief.root = Thumbprint::from_bytes([1; 32])),
        invalid
    );
    assert_eq!(
        other(&|belief| belief.tenant = Tenant::parse("other").ok()),
        invalid
    );
    let plane = Some(postern_protocol::id::Plane::Actual);
    assert_eq!(other(&|belief| belief.plane = plane), invalid);
    assert_eq!(
        other(&|belief| belief.device = None),
        Judgement::ChannelIncomplete
    );
    assert_eq!(
        other(&|belief| belief.tenant = None),
        Judgement::ChannelIncomplete
    );
    let stranger = tests
        .iter()
        .find(|test| test["public_key"] != tests[0]["public_key"]);
    let stranger = belief_in(stranger.expect("another key"));
    let judged = explained(&delta, Some(&stranger)).judgements;
    assert_eq!(judged, [Judgement::Refused(Reject::KeyUnknown)]);
}

#[test]
fn every_invalid_vector_is_refused_or_judged_invalid() {
    for file in [
        "03-sign1/invalid-header.json",
        "03-sign1/invalid-payload.json",
    ] {
        for test in vectors(file) {
            let is_mine = test
                .get("public_key")
                .is_some_and(|key| key.as_str().is_some_and(|key| belief(&args(key)).is_ok()));
            let belief = is_mine.then(|| belief_in(&test));
            let cose = bytes(&test, "cose");
            // What lay in a frame has no tag, and is explained too.
            if test["name"] == "sign1-untagged" {
                assert!(explain(&cose, belief.as_ref()).is_ok());
                continue;
            }
            if let (Ok(found), Some(_)) = (explain(&cose, belief.as_ref()), &belief) {
                let role_or_revocation = [
                    "signer-role",
                    "plane-mismatch",
                    "key-revoked",
                    "signature-invalid",
                ];
                let error = test["error"].as_str().expect("text");
                assert!(
                    found.judgements != [Judgement::Valid] || role_or_revocation.contains(&error),
                    "{} is called valid",
                    test["name"]
                );
            }
        }
    }
}

#[test]
fn frames_are_explained_and_garbage_is_not() {
    for test in vectors("05-frames/valid.json") {
        // Of some frames only the outer form of their envelope is right; nothing in it can be explained.
        let name = test["name"].as_str().expect("text");
        if name.ends_with("-of-nothing") || name.ends_with("-unprotected") {
            assert!(explain(&bytes(&test, "input"), None).is_err(), "{name}");
            continue;
        }
        let lines = explained(&bytes(&test, "input"), None).show.to_lines();
        assert!(lines.contains("frame"), "{}: {lines}", test["name"]);
    }
    for test in vectors("05-frames/invalid.json") {
        // Whatever it is: no panic, and an answer in one of the two ways.
        let _ = explain(&bytes(&test, "input"), None);
    }
}

#[test]
fn posted_files_in_a_row_are_all_shown() {
    let posted = vectors("05-frames/valid.json")
        .iter()
        .map(|test| bytes(test, "input"))
        .find(|input| input[0] == 23)
        .expect("a posted frame");
    let twice = [posted.clone(), posted.clone()].concat();
    assert_eq!(explained(&posted, None).judgements.len(), 1);
    assert_eq!(explained(&twice, None).judgements.len(), 2);
    check_refused(
        &twice[..twice.len() - 1],
        Reject::CborTruncated,
        Some(twice.len() - 64),
    );
    check_refused(
        &[posted.clone(), vec![0]].concat(),
        Reject::FrameDirection,
        Some(posted.len()),
    );
    check_refused(&posted[..1], Reject::CborTruncated, Some(1));
}

#[test]
fn cbor_is_shown_in_diagnostic_notation() {
    let cases = [
        ("a20a200102", None),
        ("a2016161f5f6", None),
        ("a10120", Some("{1: -1}")),
        ("8301f5f6", Some("[1, true, null]")),
        ("f93e00", Some("1.5")),
        ("f98000", Some("-0.0")),
        ("4200ff", Some("h'00ff'")),
        ("641b5b336d", Some("\"\\u{1b}[3m\"")),
        ("a1414080", Some("{h'40': []}")),
    ];
    for (input, expected) in cases {
        let shown = diagnostic::item(&from_hex(input).expect("hexadecimal")).ok();
        assert_eq!(shown.as_deref(), expected, "{input}");
    }
    for test in vectors("01-cbor/valid.json") {
        diagnostic::item(&bytes(&test, "input")).expect("strict CBOR");
    }
}

#[test]
fn what_is_nothing_is_refused_with_name_and_byte() {
    let cases: [(&[u8], Reject, Option<usize>); 6] = [
        (b"", Reject::CborTruncated, Some(0)),
        (b"\xff", Reject::CborIndefinite, Some(0)),
        (b"\x82\x18\x20\x18\x03", Reject::CborNotShortest, Some(5)),
        (b"\xd2", Reject::CborTruncated, Some(1)),
        (b"\xd2\x80", Reject::Shape, Some(0)),
        (b"<html>", Reject::CborReserved, Some(1)),
    ];
    for (input, reject, offset) in cases {
        check_refused(input, reject, offset);
    }
    for test in vectors("01-cbor/invalid.json") {
        let input = bytes(&test, "input");
        assert!(diagnostic::item(&input).is_err(), "{}", test["name"]);
    }
}

fn join_line() -> JoinLine {
    JoinLine {
        urls: vec!["https://c.example/\u{1b}[2J".into()],
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        tenant: Tenant::parse("acme").expect("a name"),
        device: DeviceName::parse("press-7").expect("a name"),
        token: TokenId::from_bytes([3; 8]),
        secret: JoinSecret::from_bytes([0xcd; 32]),
        tls_ca: None,
        mailbox: None,
    }
}

#[test]
fn join_line_is_shown_without_its_secret() {
    let text = join_line().danger_text().expect("a line");
    let found = explained(format!("  {}\n", text.as_str()).as_bytes(), None);
    let (lines, json) = (found.show.to_lines(), found.show.to_json().to_string());
    for shown in [&lines, &json] {
        assert!(
            shown.contains("press-7") && shown.contains("not shown"),
            "{shown}"
        );
        assert!(
            !shown.contains("cdcd") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert!(!shown.contains(&text[9..40]), "{shown}");
    }
}

#[test]
fn broken_join_line_is_refused() {
    let text = join_line().danger_text().expect("a line");
    for broken in [
        &text[..text.len() - 1],
        "postern1:",
        "postern1:!!",
        &text.replacen("postern1:p", "postern1:", 1),
    ] {
        assert!(
            matches!(explain(broken.as_bytes(), None), Err(Refusal::JoinLine(_))),
            "{broken}"
        );
    }
}

#[test]
fn arguments_that_are_none_are_refused() {
    let key = vectors("03-sign1/valid.json")[0]["public_key"]
        .as_str()
        .expect("text")
        .to_owned();
    let good = args(&key);
    assert!(belief(&good).is_ok());
    let wrong = [
        InspectArgs {
            key: Some("00".into()),
            ..good.clone()
        },
        InspectArgs {
            key: Some("00".repeat(32)),
            ..good.clone()
        },
        InspectArgs {
            root: Some("xx".repeat(32)),
            ..good.clone()
        },
        InspectArgs {
            tenant: Some("Acme".into()),
            ..good.clone()
        },
        InspectArgs {
            device: Some(String::new()),
            ..good.clone()
        },
        InspectArgs {
            incarnation: Some("00".into()),
            ..good.clone()
        },
    ];
    for args in wrong {
        assert_eq!(
            belief(&args).expect_err("refused").exit,
            Exit::Usage,
            "{args:?}"
        );
    }
    let absent = InspectArgs {
        file: "/nonexistent/postern".into(),
        ..good
    };
    assert_eq!(run(&absent).expect_err("no file").name, "file-unreadable");
}
