use crate::limits::LINE_BYTES_MAX;
use crate::serve;
use serde_json::{Value as Json, json};

fn ask(input: &[u8]) -> Vec<Json> {
    let mut output = Vec::new();
    serve(input, &mut output).expect("streams in memory");
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect()
}

fn check(request: &Json, id: &Json, result: &str, error: Option<&str>) {
    let answers = ask(request.to_string().as_bytes());
    assert_eq!(answers.len(), 1, "{request}");
    assert_eq!(answers[0]["id"], *id, "{request}");
    assert_eq!(answers[0]["result"], result, "{request}: {answers:?}");
    assert_eq!(answers[0].get("error").and_then(Json::as_str), error);
}

#[test]
fn request_of_known_operation_is_valid() {
    let state = json!({"a": {"int": "18446744073709551615"}, "b": {"float": "3ff8000000000000"},
        "c": {"bytes": "00ff"}, "d": null, "e": -3});
    for request in [
        json!({"op": "cbor.check", "id": 1, "input": "a0", "further": true}),
        json!({"op": "state.digest", "id": 1, "state": state}),
        json!({"op": "frame.parse", "id": 1, "input": "1201", "direction": "up"}),
    ] {
        check(&request, &json!(1), "valid", None);
    }
}

#[test]
fn id_of_any_type_comes_back() {
    for id in [
        json!(7),
        json!("seven"),
        json!(null),
        json!([1, {"a": 2}]),
        json!(1.5),
    ] {
        check(
            &json!({"op": "cbor.check", "id": id, "input": "00"}),
            &id,
            "valid",
            None,
        );
    }
    check(
        &json!({"op": "cbor.check", "input": "00"}),
        &Json::Null,
        "valid",
        None,
    );
}

#[test]
fn input_that_breaks_a_rule_is_invalid_by_name() {
    let cases = [
        (
            json!({"op": "cbor.check", "id": 1, "input": "1817"}),
            "cbor-not-shortest",
        ),
        (
            json!({"op": "ed25519.verify", "id": 1, "public_key": "00", "message": "", "signature": ""}),
            "key-refused",
        ),
        (
            json!({"op": "state.digest", "id": 1, "state": {"/": 1}}),
            "path-invalid",
        ),
        (
            json!({"op": "state.digest", "id": 1, "state": {"a": [1]}}),
            "value-invalid",
        ),
        (
            json!({"op": "state.digest", "id": 1, "state": {"a": {"set": 1}}}),
            "value-invalid",
        ),
        (
            json!({"op": "state.digest", "id": 1, "state": {"a": {"float": "7ff8000000000000"}}}),
            "value-invalid",
        ),
        (
            json!({"op": "state.digest", "id": 1, "state": {"a": {"int": "18446744073709551616"}}}),
            "value-invalid",
        ),
        (
            json!({"op": "frame.parse", "id": 1, "input": "63", "direction": "up"}),
            "frame-unknown",
        ),
        (
            json!({"op": "frame.parse", "id": 1, "input": "1201", "direction": "down"}),
            "frame-direction",
        ),
        (
            json!({"op": "sign1.verify", "id": 1, "cose": "", "public_key": "", "aad": "", "role": "root", "plane": null}),
            "cbor-truncated",
        ),
    ];
    for (request, error) in cases {
        check(&request, &json!(1), "invalid", Some(error));
    }
}

#[test]
fn request_that_is_wrong_itself_is_unsupported() {
    for request in [
        json!({"op": "state.merge", "id": 1}),
        json!({"id": 1}),
        json!({"op": 3, "id": 1}),
        json!({"op": "cbor.check", "id": 1}),
        json!({"op": "cbor.check", "id": 1, "input": 3}),
        json!({"op": "cbor.check", "id": 1, "input": "0"}),
        json!({"op": "cbor.check", "id": 1, "input": "+0"}),
        json!({"op": "cbor.check", "id": 1, "input": "zz"}),
        json!({"op": "ed25519.verify", "id": 1, "public_key": "00", "message": ""}),
        json!({"op": "state.digest", "id": 1, "state": 3}),
        json!({"op": "state.digest", "id": 1, "state": {"a": 1.5}}),
        json!({"op": "state.digest", "id": 1, "state": {"a": {"float": "00"}}}),
        json!({"op": "frame.parse", "id": 1, "input": "1201", "direction": "sideways"}),
        json!({"op": "sign1.verify", "id": 1, "cose": "", "public_key": "", "aad": "", "role": "root"}),
        json!({"op": "sign1.verify", "id": 1, "cose": "", "public_key": "", "aad": "", "role": "king", "plane": 0}),
        json!({"op": "sign1.verify", "id": 1, "cose": "", "public_key": "", "aad": "", "role": "root", "plane": 2}),
    ] {
        check(&request, &json!(1), "unsupported", None);
    }
}

#[test]
fn broken_line_is_answered_and_the_next_one_too() {
    let good = r#"{"op":"cbor.check","id":2,"input":"00"}"#;
    for broken in [
        "{",
        "nonsense",
        "{\"op\":\"cbor.check\",\"id\":1",
        "\u{0}",
        "[]",
        "3",
    ] {
        let answers = ask(format!("{broken}\n\n{good}\n").as_bytes());
        assert_eq!(answers.len(), 2, "{broken}");
        assert_eq!(answers[0]["result"], "unsupported");
        assert_eq!(answers[0]["id"], Json::Null);
        assert_eq!(answers[1]["result"], "valid");
    }
}

#[test]
fn line_above_the_limit_is_skipped_whole() {
    let mut input = vec![b'x'; LINE_BYTES_MAX + 3];
    input.extend(b"\n{\"op\":\"cbor.check\",\"id\":2,\"input\":\"00\"}");
    let answers = ask(&input);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["result"], "unsupported");
    assert_eq!(answers[1]["result"], "valid");
}
