use crate::reply;
use serde_json::{Value as Json, json};

/// A published conversation as a request.
fn conversation(name: &str) -> Json {
    let file = include_str!("../../../v1/11-engine/valid.json");
    let document: Json = serde_json::from_str(file).expect("JSON");
    let tests = document["tests"].as_array().expect("tests");
    let found = tests.iter().find(|test| test["name"] == name);
    let mut request = found.expect("the conversation").clone();
    request["op"] = "engine.step".into();
    request
}

fn changed(change: impl Fn(&mut Json)) -> Json {
    let mut request = conversation("engine-one-delta");
    change(&mut request);
    reply(&request)
}

#[test]
fn conversation_that_cannot_be_held_is_the_runners_fault() {
    type Change = fn(&mut Json);
    let changes: [(&str, Change); 14] = [
        ("config", |it| it["config"] = Json::Null),
        ("no chain", |it| it["config"]["bundles"] = json!(["d280"])),
        ("held", |it| it["config"]["held"] = json!(["1201"])),
        ("secret size", |it| {
            it["config"]["random"]["ephemerals"] = json!(["00"])
        }),
        ("no seed", |it| it["config"]["mailbox_seeds"] = json!([])),
        ("time back", |it| it["steps"][1]["at_ms"] = 1.into()),
        ("no time", |it| it["steps"][1]["at_ms"] = Json::Null),
        ("kind", |it| {
            it["steps"][0]["input"]["kind"] = "dance".into()
        }),
        ("to nothing", |it| {
            it["steps"][1]["input"]["to"] = "letter".into()
        }),
        ("never sent", |it| {
            it["steps"][1]["input"]["to"] = "fetch".into()
        }),
        ("again", |it| it["steps"][1]["input"]["again"] = 7.into()),
        ("again of itself", |it| {
            it["steps"][1]["input"]["again"] = 1.into()
        }),
        ("no body", |it| it["steps"][4]["input"]["body"] = Json::Null),
        ("large type", |it| {
            it["steps"][4]["input"]["type"] = 256.into()
        }),
    ];
    for (what, change) in changes {
        assert_eq!(changed(change)["result"], "unsupported", "{what}");
    }
}

#[test]
fn what_is_drawn_is_what_the_request_gives() {
    let hello = |given: &Json| given["steps"][1]["frames"][0].clone();
    let wanted = conversation("engine-one-delta")["steps"][1]["expect"]["frames"][0].clone();
    assert_eq!(hello(&changed(|_| {})), wanted);
    let other = changed(|it| {
        it["config"]["random"]["ephemerals"] = json!([]);
        it["steps"].as_array_mut().expect("steps").truncate(2);
    });
    assert!(hello(&other).is_string() && hello(&other) != wanted);
}

#[test]
fn conversation_leaves_nothing_behind() {
    let first = changed(|_| {});
    changed(|it| it["config"]["held"] = json!([]));
    assert_eq!(changed(|_| {}), first);
}

#[test]
fn answer_under_another_tag_counter_or_session_opens_nothing() {
    for (change, error) in [
        (json!({"flip": true}), "session-mac"),
        (json!({"earlier": 1}), "answer-mismatch"),
        (json!({"later": 3}), "answer-mismatch"),
        (json!({"session": "00000000"}), "session-unknown"),
    ] {
        let given = changed(|it| it["steps"][4]["input"]["change"] = change.clone());
        assert_eq!(given["steps"][4]["rejects"], json!([error]));
        let head = |at: usize| given["steps"][at]["head"].clone();
        assert_eq!(head(4), head(3), "{change}");
    }
}
