use super::metrics;
use super::problem::Problem;
use super::request::{Control, Question, Target};
use super::{Ask, Desk};
use crate::device::gate::Gate;
use crate::device::local::desk::Answer;
use crate::device::status::{Counts, Shown, Status};
use crate::device::view::{Intent, View};
use hyper::Method;
use postern_console::routes::{HoldFacts, RouteFacts};
use postern_egress::attempts::Attempts;
use postern_protocol::reject::Reject;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path, State, Value};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn question(line: &str, body: &str) -> Result<Question, Problem> {
    let (method, uri) = line.split_once(' ').unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (resource, query) = match uri.split_once('?') {
        Some((resource, query)) => (resource, Some(query)),
        None => (uri, None),
    };
    Target::parse(&method, resource, query)?.into_question(body.as_bytes())
}

#[test]
fn request_becomes_its_question() {
    let set = |path_text: &str, value| Change::Set(path(path_text), value);
    let cases = [
        ("GET /v1/status", "", Question::Status),
        ("GET /metrics", "", Question::Metrics),
        ("GET /v1/attempts", "", Question::Attempts),
        ("GET /v1/intents", "", Question::Intents),
        (
            "GET /v1/actual/a/b",
            "",
            Question::Actual {
                path: Some(path("a/b")),
            },
        ),
        (
            "GET /v1/desired?after=9.3&wait=999",
            "",
            Question::Desired {
                path: None,
                after: Some(Revision::new(Epoch::new(9), Seq::new(3))),
                wait_s: 300,
            },
        ),
        (
            "PUT /v1/actual/a",
            "{\"bytes\":\"/w==\"}",
            Question::Write(vec![set("a", Value::Bytes(vec![255]))]),
        ),
        (
            "PATCH /v1/actual",
            "{\"set\":{\"a\":true},\"remove\":[\"b\"]}",
            Question::Write(vec![set("a", Value::Bool(true)), Change::Remove(path("b"))]),
        ),
        (
            "DELETE /v1/actual/a",
            "",
            Question::Write(vec![Change::Remove(path("a"))]),
        ),
        (
            "POST /v1/control/leave",
            "",
            Question::Control(Control::Leave),
        ),
        ("POST /v1/doctor", "", Question::Diagnose { is_deep: false }),
        (
            "POST /v1/doctor/deep",
            "",
            Question::Diagnose { is_deep: true },
        ),
    ];
    for (line, body, expected) in cases {
        assert_eq!(question(line, body), Ok(expected), "{line}");
    }
}

#[test]
fn request_that_is_wrong_is_refused() {
    let cases = [
        ("GET /", "not-found"),
        ("GET /v1/metrics", "not-found"),
        ("GET /v2/status", "not-found"),
        ("GET /v1/status/x", "not-found"),
        ("GET /v1/intents/restart", "not-found"),
        ("POST /v1/control/stop", "not-found"),
        ("POST /v1/doctor/deeper", "not-found"),
        ("GET /v1/doctor", "method-not-allowed"),
        ("POST /v1/doctor?deep=true", "request-malformed"),
        ("POST /v1/status", "method-not-allowed"),
        ("POST /v1/attempts", "method-not-allowed"),
        ("GET /v1/attempts/1", "not-found"),
        ("GET /v1/attempts?last=5", "request-malformed"),
        ("PATCH /v1/actual/a", "method-not-allowed"),
        ("GET /v1/results", "method-not-allowed"),
        ("PUT /v1/desired/a", "method-not-allowed"),
        ("GET /v1/status?after=1.1", "request-malformed"),
        ("GET /v1/desired?after=1", "request-malformed"),
        ("GET /v1/desired?after=1.-1", "request-malformed"),
        ("GET /v1/desired?wait=1", "request-malformed"),
        ("GET /v1/desired?after=1.1&after=1.1", "request-malformed"),
        ("GET /v1/desired?after=1.1&wait=-1", "request-malformed"),
        ("GET /v1/desired?since=1.1", "request-malformed"),
        ("GET /v1/actual/A", "request-malformed"),
        ("GET /v1/actual/a%2Fb", "request-malformed"),
        ("GET /v1/actual/../a", "request-malformed"),
        ("DELETE /v1/actual/intent/restart", "path-reserved"),
    ];
    for (line, name) in cases {
        assert_eq!(question(line, "").unwrap_err().name(), name, "{line}");
    }
}

#[test]
fn body_that_is_wrong_is_refused() {
    let cases = [
        ("PUT /v1/actual/a", "", "request-malformed"),
        ("PUT /v1/actual/a", "[1]", "request-malformed"),
        ("PUT /v1/actual/a", "text", "request-malformed"),
        (
            "PUT /v1/actual/a",
            "18446744073709551616",
            "request-malformed",
        ),
        ("PUT /v1/actual/postern/x", "1", "path-reserved"),
        ("PUT /v1/actual", "{\"intent/x\":1}", "path-reserved"),
        ("PUT /v1/actual", "{\"a\":1,\"a\":2}", "request-malformed"),
        ("PATCH /v1/actual", "{}", "request-malformed"),
        ("PATCH /v1/actual", "{\"a\":1}", "request-malformed"),
        (
            "PATCH /v1/actual",
            "{\"remove\":[\"intent/x\"]}",
            "path-reserved",
        ),
        ("POST /v1/results", "{\"epoch\":1}", "request-malformed"),
        ("POST /v1/intents/restart/done", "{}", "request-malformed"),
        (
            "POST /v1/intents/re start/done",
            "{\"value\":1}",
            "request-malformed",
        ),
    ];
    for (line, body, name) in cases {
        assert_eq!(
            question(line, body).unwrap_err().name(),
            name,
            "{line} {body}"
        );
    }
    let long = format!("{{\"value\":1,\"output\":\"{}\"}}", "x".repeat(513));
    assert!(question("POST /v1/intents/restart/done", &long).is_err());
}

fn view(seq: u64) -> View {
    let desired = State::from_entries([(path("fan/speed"), Value::Bool(true))]).unwrap();
    let revision = Revision::new(Epoch::new(9), Seq::new(seq));
    let shown = Shown {
        revision,
        digest: *desired.root(),
    };
    let mut counts = Counts::default();
    counts.count_reject(Reject::WriterBehind);
    counts.count_put_aside("retention-expired");
    counts.count_put_aside("unknown");
    counts.count_put_aside("unknown");
    View {
        status: Status {
            device: "hall-1".into(),
            tenant: "default".into(),
            accepted: Some(shown),
            applied: Revision::new(Epoch::new(9), Seq::new(1)),
            failure: None,
            actual: None,
            actual_acknowledged: Revision::NONE,
            is_stale: true,
            frozen: None,
            is_rotating: false,
            clock_ahead_s: None,
            clock_source: "machine",
            is_bundle_behind: false,
            gate: Gate::Open,
            route: "direct",
            is_connected: true,
            bytes: (3, 4),
            routes: Default::default(),
            bundle: 1,
            counts,
        },
        desired: Arc::new(desired),
        actual: Arc::new(State::empty()),
        heard_ms: None,
        intents: vec![Intent {
            path: path("intent/restart"),
            taken: 2,
            done: 1,
            is_configured: false,
        }],
    }
}

fn desk(asks_max: usize) -> (watch::Sender<View>, mpsc::Receiver<Ask>, Desk) {
    let (sender, view) = watch::channel(view(3));
    let (asks, receiver) = mpsc::channel(asks_max);
    let diagnosing = Arc::new(Semaphore::new(1));
    let desk = Desk {
        view,
        asks,
        attempts: Arc::default(),
        diagnosing,
    };
    (sender, receiver, desk)
}

#[tokio::test(start_paused = true)]
async fn long_poll_is_answered_by_news_or_by_time() {
    let (sender, _asks, desk) = desk(1);
    let at_three = question("GET /v1/desired?after=9.3&wait=60", "").unwrap();
    let older = question("GET /v1/desired?after=9.2&wait=60", "").unwrap();
    let revision = Revision::new(Epoch::new(9), Seq::new(3));
    let waited = desk.answer(at_three.clone(), false).await;
    assert_eq!(waited, Ok(Answer::Unchanged(revision)));
    assert!(matches!(
        desk.answer(older, false).await,
        Ok(Answer::Json(_, _))
    ));
    let waiting = desk.answer(at_three, false);
    let news = async { sender.send_replace(view(4)) };
    let (answer, _) = tokio::join!(waiting, news);
    let Ok(Answer::Json(json, _)) = answer else {
        panic!("no answer");
    };
    assert_eq!(json["revision"]["seq"], 4);
}

#[tokio::test(start_paused = true)]
async fn engine_that_is_busy_or_gone_answers_503() {
    let (_sender, asks, desk) = desk(1);
    let write = question("PUT /v1/actual/a", "1").unwrap();
    // Nobody takes what waits: the first one runs into its deadline, and meanwhile there is no room.
    let (first, second) = tokio::join!(
        desk.answer(write.clone(), false),
        desk.answer(write.clone(), false)
    );
    assert_eq!(first, Err(Problem::Overloaded));
    assert_eq!(second, Err(Problem::Overloaded));
    drop(asks);
    let stopped = desk.answer(write, false).await;
    assert_eq!(stopped, Err(Problem::Stopping));
    assert_eq!(Problem::Stopping.status(), 503);
}

#[tokio::test]
async fn control_by_another_user_is_refused() {
    let (_sender, _asks, desk) = desk(1);
    for word in ["leave", "rotate-key", "look-again"] {
        let control = question(&format!("POST /v1/control/{word}"), "").unwrap();
        assert_eq!(desk.answer(control, false).await, Err(Problem::OwnerOnly));
    }
}

#[tokio::test(start_paused = true)]
async fn diagnosis_is_the_owners_and_one_at_a_time() {
    let (_sender, _asks, desk) = desk(1);
    let look = question("POST /v1/doctor", "").unwrap();
    let foreign = desk.answer(look.clone(), false).await;
    assert_eq!(foreign, Err(Problem::OwnerOnly));
    let turn = desk.diagnosing.acquire().await.unwrap();
    let second = desk.answer(look.clone(), true).await;
    assert_eq!(second, Err(Problem::Overloaded));
    drop(turn);
    // The loop does not take what it is asked: the turn is given back after the deadline.
    assert_eq!(desk.answer(look, true).await, Err(Problem::Overloaded));
    assert_eq!(desk.diagnosing.available_permits(), 1);
}

#[tokio::test]
async fn path_without_values_is_absent() {
    let (_sender, _asks, desk) = desk(1);
    for line in ["GET /v1/desired/fan/spee", "GET /v1/actual/fan"] {
        let question = question(line, "").unwrap();
        assert_eq!(desk.answer(question, false).await, Err(Problem::PathAbsent));
    }
    let below = question("GET /v1/desired/fan", "").unwrap();
    let Ok(Answer::Json(json, _)) = desk.answer(below, false).await else {
        panic!("no answer");
    };
    assert_eq!(json["values"]["fan/speed"], true);
}

#[test]
fn metrics_have_closed_labels_and_the_lag() {
    let page = metrics::render(&view(3), &Attempts::default());
    for line in [
        "postern_replica_lag_revisions 2",
        "postern_envelopes_rejected_total{reason=\"writer-behind\"} 1",
        "postern_stale 1",
        "postern_mailbox_put_aside_total{reason=\"retention-expired\"} 1",
        "postern_mailbox_put_aside_total{reason=\"unknown\"} 2",
        "postern_intents_pending 1",
        "postern_socket_bytes_total{direction=\"up\"} 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(!page.contains("hall-1"));
    assert!(!page.contains("restart"));
}

fn routes() -> RouteFacts {
    RouteFacts {
        hold: Some(HoldFacts {
            route: "proxy".into(),
            rung_s: 55,
            cap_s: None,
            ceiling_s: 115,
            is_polling: false,
            taught_by: None,
            request_bytes_max: 49_152,
            answer_bytes_max: 49_152,
        }),
        hold_ends: [("cut", 2)].into(),
        states: [(("direct", "failed"), 1), (("proxy", "used"), 1)].into(),
        bytes: [("proxy", (3, 4))].into(),
        packet_bytes_max: Some(1_500),
        ..RouteFacts::default()
    }
}

#[test]
fn metrics_of_routes_say_state_holds_and_packets() {
    let mut view = view(3);
    view.status.routes = routes();
    let page = metrics::render(&view, &Attempts::default());
    for line in [
        "postern_route_state{route=\"direct\",state=\"failed\"} 1",
        "postern_route_state{route=\"proxy\",state=\"used\"} 1",
        "postern_route_hold_seconds 55",
        "postern_route_hold_cap_seconds 115",
        "postern_route_hold_ends_total{end=\"cut\"} 2",
        "postern_route_bytes_total{route=\"proxy\",direction=\"down\"} 4",
        "postern_route_packet_bytes 1500",
        "postern_clock_signed 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    let hold = view.status.routes.hold.as_mut().unwrap();
    (hold.is_polling, hold.cap_s) = (true, Some(12));
    let page = metrics::render(&view, &Attempts::default());
    assert!(page.contains("postern_route_hold_seconds 0\n"), "{page}");
    assert!(
        page.contains("postern_route_hold_cap_seconds 12\n"),
        "{page}"
    );
}

#[test]
fn each_metric_is_described_once_and_before_its_numbers() {
    let mut view = view(3);
    view.status.routes = routes();
    let page = metrics::render(&view, &Attempts::default());
    let mut described = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(!described.contains(&name), "{name} twice");
            described.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(described.last(), Some(&name), "{line}");
        }
    }
    assert!(described.len() > 20, "{described:?}");
}

#[tokio::test]
async fn attempts_are_told_to_whoever_may_use_the_socket() {
    let (_sender, _asks, desk) = desk(1);
    let asked = question("GET /v1/attempts", "").unwrap();
    let Ok(Answer::Json(json, None)) = desk.answer(asked, false).await else {
        panic!("no answer");
    };
    assert_eq!(json, serde_json::json!({ "attempts": [] }));
}
