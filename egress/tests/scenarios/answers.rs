//! Answers that are no mailbox's, and what the hold ladder is told about them.
//!
//! A body with status 200 is handed to the caller, who verifies it; everything else is an error.
//! Scenarios A11 (transport part) and A16.

use crate::origin::{Act, Origin, answer};
use crate::site::{Site, exchange};
use bytes::Bytes;
use postern_egress::hold::HoldEnd;
use postern_egress::{ExchangeLimits, TransportError};
use std::time::Duration;

async fn refusal(act: Act) -> TransportError {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![act]).await;
    let error = exchange(&site.direct(origin.address.port())).await;
    error.unwrap_err()
}

/// Expected: code, status, retry-after.
async fn check(act: Act, code: &str, status: Option<u16>, retry_after_s: Option<u64>) {
    let error = refusal(act).await;
    assert_eq!(
        (error.code(), error.status(), error.retry_after_s()),
        (code, status, retry_after_s),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("next step: ") && text.contains("(direct route)"),
        "{text}"
    );
}

fn plain(status: &str, headers: &str, body: &str) -> Act {
    Act::Answer(answer(status, headers, body))
}

fn raw(text: &str) -> Act {
    Act::AnswerAndClose(text.as_bytes().to_vec())
}

//= spec/postern.md#http-binding type=test
//# A client MUST take a frame only from an answer with status 200, whatever its content type.
#[tokio::test]
async fn a11_status_other_than_200_is_a_typed_error() {
    let date = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let not_modified = raw("HTTP/1.1 304 Not Modified\r\n\r\n");
    let rows = [
        (plain("204 No Content", "", ""), 204, None),
        (not_modified, 304, None),
        (plain("302 Found", "Location: http://x/\r\n", ""), 302, None),
        (plain("413 Too Large", "", "x"), 413, None),
        (plain("429 x", "Retry-After: 30\r\n", ""), 429, Some(30)),
        (
            plain("503 x", "Retry-After: 999999999\r\n", ""),
            503,
            Some(3600),
        ),
        (plain("503 x", "Retry-After: -5\r\n", ""), 503, None),
        (plain("503 x", date, ""), 503, None),
    ];
    for (act, status, retry_after_s) in rows {
        check(act, "PST-H01", Some(status), retry_after_s).await;
    }
}

#[tokio::test]
async fn a11_broken_or_oversized_answer_is_a_typed_error() {
    let endless_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort";
    let rows = [
        (plain("200 OK", "", &"x".repeat(1025)), "PST-H02", Some(200)),
        (plain("403 x", "", &"x".repeat(9999)), "PST-H02", Some(403)),
        (raw(cut), "PST-H08", None),
        (Act::Close, "PST-H05", None),
        (raw("SSH-2.0-OpenSSH\r\n\r\n"), "PST-H06", None),
        (raw(&endless_head), "PST-H06", None),
    ];
    for (act, code, status) in rows {
        check(act, code, status, None).await;
    }
}

//= spec/postern.md#http-binding type=test
//# A client MUST take a frame only from an answer with status 200, whatever its content type.
#[tokio::test]
async fn block_page_with_status_200_is_returned_for_the_caller_to_refuse() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let html = answer(
        "200 OK",
        "Content-Type: text/html\r\n",
        "<html>blocked</html>",
    );
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec();
    let script = vec![
        Act::Answer(html),
        Act::Answer(answer("200 OK", "", "")),
        Act::Answer(chunked),
        Act::AnswerAndClose(b"HTTP/1.0 200 OK\r\n\r\nuntil close".to_vec()),
    ];
    let origin = Origin::http1(config, script).await;
    let client = site.direct(origin.address.port());
    for expected in ["<html>blocked</html>", "", "ok", "until close"] {
        assert_eq!(
            &exchange(&client).await.unwrap().body[..],
            expected.as_bytes()
        );
    }
}

#[tokio::test]
async fn refusal_shows_the_text_of_others_escaped_and_cut() {
    let body = format!("\u{1b}[31m{}", "A".repeat(1000));
    let error = refusal(Act::Answer(answer("403 x", "", &body))).await;
    let text = error.to_string();
    assert!(
        text.contains("\\x1b[31mAAA") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(text.len() < 600, "{text}");
}

async fn hold_end(act: Act) -> HoldEnd {
    refusal(act).await.hold_end()
}

#[tokio::test]
async fn failures_tell_the_hold_ladder_their_class() {
    let status = |line: &str| Act::Answer(answer(line, "", ""));
    for line in ["408 x", "502 x", "503 x", "504 x"] {
        assert!(matches!(hold_end(status(line)).await, HoldEnd::Cut { .. }));
    }
    assert!(matches!(hold_end(Act::Close).await, HoldEnd::Cut { .. }));
    for line in ["403 x", "407 x", "413 x", "451 x", "204 x"] {
        assert_eq!(hold_end(status(line)).await, HoldEnd::Other);
    }
}

#[tokio::test]
async fn a16_silent_server_ends_at_the_deadline() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![Act::Silence]).await;
    let client = site.direct(origin.address.port());
    let limits = ExchangeLimits {
        deadline: Duration::from_millis(50),
        answer_bytes_max: 1024,
    };
    let error = client.exchange(Bytes::new(), limits).await.unwrap_err();
    assert_eq!(
        (error.code(), error.hold_end()),
        ("PST-H03", HoldEnd::Silent)
    );
    assert_eq!(origin.requests(), 1);
}
