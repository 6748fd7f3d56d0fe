use super::request::{OperatorRequest, Request, TakeSide, Target};
use super::response::Response;
use super::server::{LINE_BYTES_MAX, bind, serve};
use super::value::{from_json, from_typed, to_json};
use crate::exit::Exit;
use postern_protocol::id::{DeviceName, Digest, Tenant, TokenId};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Finite, Integer, Path, Reference, Value};
use serde_json::{Value as Json, json};
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

fn tenant() -> Tenant {
    Tenant::parse("default").unwrap()
}

fn device() -> DeviceName {
    DeviceName::parse("hall-1").unwrap()
}

fn target() -> Target {
    Target {
        tenant: tenant(),
        device: device(),
    }
}

fn values() -> Vec<(Value, Json)> {
    let reference = Reference {
        digest: Digest::from_bytes([171; 32]),
        size_bytes: 7,
        media_type: "text/plain".into(),
    };
    let float = |number| Value::Float(Finite::new(number).unwrap());
    vec![
        (Value::Null, json!(null)),
        (Value::Bool(true), json!(true)),
        (
            Value::Int(Integer::from(u64::MAX)),
            json!(18_446_744_073_709_551_615_u64),
        ),
        (
            Value::Int(Integer::from(i64::MIN)),
            json!(-9_223_372_036_854_775_808_i64),
        ),
        (float(1.0), json!(1.0)),
        (float(0.1), json!(0.1)),
        (float(-0.0), json!(-0.0)),
        (float(5e-324), json!(5e-324)),
        (Value::Text("a\u{e4}\n".into()), json!("a\u{e4}\n")),
        (Value::Bytes(vec![255, 0]), json!({ "bytes": "/wA=" })),
        (
            Value::Reference(reference),
            json!({ "reference": { "digest": "ab".repeat(32), "size_bytes": 7, "media_type": "text/plain" } }),
        ),
    ]
}

#[test]
fn value_survives_json_text() {
    for (value, json) in values() {
        assert_eq!(to_json(&value), json);
        let text = serde_json::to_string(&json).unwrap();
        let read: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(from_json(&read).unwrap(), value, "{text}");
    }
}

#[test]
fn value_of_another_form_is_refused() {
    let cases = [
        json!([]),
        json!([1]),
        json!({}),
        json!({ "a": 1 }),
        json!({ "bytes": 1 }),
        json!({ "bytes": "/wA" }),
        json!({ "bytes": "/wA=", "more": 1 }),
        json!({ "reference": 1 }),
        json!({ "reference": { "digest": "ab", "size_bytes": 7, "media_type": "a" } }),
        json!({ "reference": { "digest": "xy".repeat(32), "size_bytes": 7, "media_type": "a" } }),
        json!({ "reference": { "digest": "ab".repeat(32), "size_bytes": -7, "media_type": "a" } }),
        json!({ "reference": { "digest": "ab".repeat(32), "size_bytes": 7, "media_type": "" } }),
        json!({ "reference": { "digest": "ab".repeat(32), "size_bytes": 7 } }),
        json!("a".repeat(32_769)),
    ];
    for json in cases {
        assert!(from_json(&json).is_err(), "{json}");
    }
}

#[test]
fn typed_value_is_exact_or_refused() {
    assert_eq!(from_typed("3").unwrap(), Value::Int(Integer::from(3_u64)));
    assert_eq!(
        from_typed("3.0").unwrap(),
        Value::Float(Finite::new(3.0).unwrap())
    );
    assert_eq!(from_typed(" \"3\" ").unwrap(), Value::Text("3".into()));
    let refused = [
        "",
        "text",
        "'a'",
        "[1]",
        "NaN",
        "1e999",
        "+1",
        "01",
        "1 2",
        "18446744073709551616",
        "-9223372036854775809",
    ];
    for text in refused {
        assert!(from_typed(text).is_err(), "{text}");
    }
}

#[test]
fn request_survives_its_line() {
    let path = |text: &str| Path::parse(text).unwrap();
    let mut changes: Vec<_> = values()
        .into_iter()
        .enumerate()
        .map(|(number, (value, _))| Change::Set(path(&format!("a/{number}")), value))
        .collect();
    changes.push(Change::Remove(path("b")));
    let revision = Revision::new(Epoch::new(u64::MAX), Seq::new(1));
    let requests = [
        Request::Invite { target: target() },
        Request::Withdraw {
            token: Some(TokenId::from_bytes([0, 1, 2, 3, 4, 5, 6, 255])),
            target: target(),
        },
        Request::Intend {
            target: target(),
            path: path("intent/restart"),
        },
        Request::Recover {
            target: target(),
            take: TakeSide::Device,
        },
        Request::Backup {
            file: "/b/a c.backup".into(),
        },
        Request::Relays,
        Request::Metrics,
        Request::Decide {
            target: target(),
            changes,
            base: Some(revision),
        },
        Request::Get {
            target: target(),
            path: None,
        },
        Request::Get {
            target: target(),
            path: Some(path("a/b")),
        },
        Request::Status {
            tenant: None,
            device: None,
        },
        Request::Status {
            tenant: Some(tenant()),
            device: Some(device()),
        },
        Request::Wait {
            target: target(),
            revision,
            timeout_ms: 5,
        },
    ];
    for request in requests {
        let line = request.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Request::parse(&line).unwrap(), request);
    }
}

#[test]
fn request_of_another_form_is_refused() {
    let cases = [
        r"",
        r"null",
        r"{}",
        r#"{"op":"stop"}"#,
        r#"{"op":"invite"}"#,
        r#"{"op":"invite","tenant":"t"}"#,
        r#"{"op":"invite","target":{"tenant":"T","device":"d"}}"#,
        r#"{"op":"invite","target":{"tenant":"t","device":""}}"#,
        r#"{"op":"invite","target":{"tenant":"t","device":"d"},"secret":"s"}"#,
        r#"{"op":"invite","target":{"tenant":"t","device":"d"}} {}"#,
        r#"{"op":"get","target":{"tenant":"t","device":"d"},"path":"/a"}"#,
        r#"{"op":"decide","target":{"tenant":"t","device":"d"},"changes":[{"put":["a",1]}]}"#,
        r#"{"op":"decide","target":{"tenant":"t","device":"d"},"changes":[{"set":["a",[1]]}]}"#,
        r#"{"op":"decide","target":{"tenant":"t","device":"d"},"changes":[{"set":["../a",1]}]}"#,
        r#"{"op":"decide","target":{"tenant":"t","device":"d"},"changes":[{"remove":"A"}]}"#,
        r#"{"op":"wait","target":{"tenant":"t","device":"d"},"revision":{"epoch":-1,"seq":1},"timeout_ms":1}"#,
        r#"{"op":"wait","target":{"tenant":"t","device":"d"},"timeout_ms":1}"#,
        r#"{"op":"withdraw","target":{"tenant":"t","device":"d"},"token":"12"}"#,
        r#"{"op":"recover","target":{"tenant":"t","device":"d"},"take":"both"}"#,
    ];
    for line in cases {
        assert!(Request::parse(line).is_err(), "{line}");
    }
}

#[test]
fn error_answer_becomes_the_command_error() {
    for exit in Exit::ALL {
        let line = format!(
            r#"{{"answer":"error","exit":{},"name":"n","message":"m","next":"x"}}"#,
            exit.code()
        );
        let error = Response::parse(&line).unwrap().into_result().unwrap_err();
        assert_eq!((error.exit, error.name.as_str()), (exit, "n"));
    }
    assert!(Response::parse("{}").is_err());
    assert!(Response::parse("<html>").is_err());
}

/// Answers every request with an empty list.
fn start(folder: &std::path::Path) -> std::path::PathBuf {
    let socket = folder.join("controller.sock");
    let listener = bind(&socket).unwrap();
    let (sender, mut receiver) = mpsc::channel(4);
    drop(tokio::spawn(serve(listener, sender)));
    drop(tokio::spawn(async move {
        while let Some(OperatorRequest { reply, .. }) = receiver.recv().await {
            drop(reply.send(Response::Devices {
                devices: Vec::new(),
            }));
        }
    }));
    socket
}

async fn ask(stream: &mut BufReader<UnixStream>, line: &[u8]) -> Response {
    stream.write_all(line).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    Response::parse(&answer).unwrap()
}

fn is_refusal(response: &Response) -> bool {
    matches!(response, Response::Error { name, .. } if name == "request-malformed")
}

#[tokio::test]
async fn connection_answers_in_order_and_survives_malformed_lines() {
    let folder = tempfile::tempdir().unwrap();
    let socket = start(folder.path());
    let mut stream = BufReader::new(UnixStream::connect(&socket).await.unwrap());
    let good = br#"{"op":"status"}"#;
    assert!(matches!(
        ask(&mut stream, good).await,
        Response::Devices { .. }
    ));
    assert!(is_refusal(&ask(&mut stream, b"GET / HTTP/1.1").await));
    assert!(is_refusal(&ask(&mut stream, b"\xff\xfe").await));
    assert!(is_refusal(&ask(&mut stream, b"").await));
    assert!(matches!(
        ask(&mut stream, good).await,
        Response::Devices { .. }
    ));
}

#[tokio::test]
async fn connection_with_a_line_too_long_is_refused_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = start(folder.path());
    let mut stream = BufReader::new(UnixStream::connect(&socket).await.unwrap());
    let long = vec![b'a'; usize::try_from(LINE_BYTES_MAX).unwrap()];
    assert!(is_refusal(&ask(&mut stream, &long).await));
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn socket_is_private_and_a_second_controller_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = start(folder.path());
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bind(&socket).unwrap_err().name, "controller-running");
}

#[tokio::test]
async fn socket_left_behind_is_replaced_and_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("controller.sock");
    drop(bind(&socket).unwrap());
    drop(bind(&socket).unwrap());
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&file).unwrap_err().name, "socket-taken");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
