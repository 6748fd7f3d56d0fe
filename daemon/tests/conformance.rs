//! Runs the published vectors through the real binary, as a runner of another project would.
//!
//! It speaks JSON lines over pipes. Refuses to look into the process that it asks.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot read its vectors has to fail"
)]

use serde_json::{Map, Value as Json, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Folders whose operations the child answers.
const FOLDERS: &[&str] = &[
    "01-cbor",
    "02-keys",
    "03-sign1",
    "04-state",
    "05-frames",
    "11-engine",
];
/// Operations in them that the child protocol leaves out.
const NOT_ASKED: &[&str] = &[
    "channel.id",
    "greeter.id",
    "body.check",
    "session.greeting",
    "admission.compare",
    "line.read",
];

struct Runner {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Runner {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
            .arg("conformance-child")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("its output")),
            child,
        }
    }

    fn ask(&mut self, request: &Json) -> Json {
        let input = self.input.as_mut().expect("open until the end");
        writeln!(input, "{request}").expect("the child reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the child answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("the child ends").success());
    }
}

fn vectors() -> Vec<(PathBuf, Json)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop-vectors/v1");
    let mut found = Vec::new();
    for folder in FOLDERS {
        for file in fs::read_dir(root.join(folder)).expect("a folder of vectors") {
            let file = file.expect("an entry").path();
            let content = fs::read(&file).expect("a readable file");
            found.push((file, serde_json::from_slice(&content).expect("JSON")));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn expand(fill: &Json) -> Json {
    let number = |name: &str| fill[name].as_u64().expect("a number");
    let bytes = "5a".repeat(usize::try_from(number("bytes")).expect("a size"));
    let mut state = Map::new();
    for section in 0..number("sections") {
        for key in 0..number("keys") {
            let path = format!("s{section:04}/k{key:04}");
            state.insert(path, json!({ "bytes": bytes }));
        }
    }
    Json::Object(state)
}

fn request_of(operation: &str, id: usize, test: &Json) -> Json {
    let mut request = test.clone();
    for output in ["result", "error", "message_id", "sections"] {
        request.as_object_mut().expect("a test").remove(output);
    }
    if operation == "state.digest" {
        request.as_object_mut().expect("a test").remove("digest");
    }
    if let Some(fill) = test.get("fill") {
        request["state"] = expand(fill);
    }
    request["op"] = operation.into();
    request["id"] = id.into();
    request
}

/// Returns what differs between the reply and the vector, if anything does.
fn complaint(id: usize, test: &Json, reply: &Json) -> Option<String> {
    let outputs = ["message_id", "sections"];
    let is_same = |name: &&str| test.get(name).is_none() || test.get(name) == reply.get(name);
    let agrees = reply["id"] == id
        && reply["result"] == test["result"]
        && reply.get("error") == test.get("error")
        && (test["result"] != "valid" || outputs.iter().all(is_same));
    (!agrees).then(|| format!("{}: {reply}, expected {}", test["name"], test["error"]))
}

#[test]
fn child_agrees_with_every_published_vector() {
    let mut runner = Runner::start();
    let (mut valid, mut invalid, mut not_asked) = (0, 0, 0);
    let mut complaints = Vec::new();
    for (_, document) in vectors() {
        let operation = document["operation"].as_str().expect("an operation");
        for (id, test) in document["tests"]
            .as_array()
            .expect("tests")
            .iter()
            .enumerate()
        {
            if NOT_ASKED.contains(&operation) {
                not_asked += 1;
                continue;
            }
            let reply = runner.ask(&request_of(operation, id, test));
            match test["result"] == "valid" {
                true => valid += 1,
                false => invalid += 1,
            }
            complaints.extend(complaint(id, test, &reply));
        }
    }
    runner.end();
    println!("{valid} valid, {invalid} invalid, {not_asked} not in the child protocol");
    assert!(valid > 0 && invalid > valid, "vectors are missing");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn child_survives_what_is_no_request() {
    let mut runner = Runner::start();
    for nonsense in [
        json!(3),
        json!([]),
        json!({}),
        json!({"op": "x"}),
        json!({"op": "cbor.check"}),
    ] {
        assert_eq!(runner.ask(&nonsense)["result"], "unsupported");
    }
    let request = json!({"op": "cbor.check", "id": "last", "input": "00"});
    assert_eq!(
        runner.ask(&request),
        json!({"id": "last", "result": "valid"})
    );
    runner.end();
}
