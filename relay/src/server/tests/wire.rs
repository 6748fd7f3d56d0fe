use super::client::{ROUTE, refusal};
use super::{certificate, config, start};
use crate::exchange::ExchangeLimits;
use crate::fixtures::{ask, greet, mailbox_signer, poll};
use crate::metrics::HttpRefusal;
use crate::server::{Mailbox, Server, ServerLimits, StartError};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use postern_protocol::Reject;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::revision::Revision;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

//= spec/postern.md#http-binding type=test
//# A server MUST answer with status 200, Content-Length and one frame in every case in which it
//# answers in Postern, refusals included, but for a stream that it serves.
//= spec/postern.md#rejects type=test
//# A reject MUST be sent, counted, logged and shown under its registered number or name.
#[tokio::test]
async fn garbage_is_refused_in_a_frame_and_counted() {
    let running = start();
    let mut client = running.site.h1().await;
    let mut check = async |frame: &[u8], expected: Reject| {
        let before = running.mailbox.metrics().rejects(expected);
        let answered = client.exchange(frame.to_vec()).await;
        assert_eq!(refusal(&answered), expected.code(), "{frame:?}");
        let after = running.mailbox.metrics().rejects(expected);
        assert_eq!(after, before + 1);
    };
    check(&[], Reject::Shape).await;
    check(&[99], Reject::FrameUnknown).await;
    check(b"GET / HTTP/1.1", Reject::FrameUnknown).await;
    check(
        &[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        Reject::FrameDirection,
    )
    .await;
    check(&[22, 1], Reject::FrameDirection).await;
    check(&[23, 1], Reject::FrameDirection).await;
    check(&[18], Reject::CborTruncated).await;
    check(&[18, 2], Reject::Shape).await;
    check(&[18, 0x18, 1], Reject::CborNotShortest).await;
    check(&[20, 0x80], Reject::Shape).await;
    check(&[0; 14], Reject::SessionUnknown).await;
    check(&[0xff; 2_000], Reject::FrameUnknown).await;
}

#[tokio::test]
async fn poll_replayed_or_of_an_unknown_session_is_refused() {
    let running = start();
    let mut client = running.site.h2().await;
    let mut session = client.open(1).await;
    let request = poll(&mut session, 0, Revision::NONE);
    client.exchange(request.bytes.clone()).await;
    let replayed = client.exchange(request.bytes.clone()).await;
    assert_eq!(refusal(&replayed), Reject::SessionReplay.code());
    let mut other = request.bytes;
    other[1] ^= 1;
    let unknown = client.exchange(other).await;
    assert_eq!(refusal(&unknown), Reject::SessionUnknown.code());
}

//= spec/postern.md#hello type=test
//# A mailbox MUST answer the same hello again with the same session, as long as that session lives.
#[tokio::test]
async fn hello_sent_twice_gets_one_session() {
    let running = start();
    let mut client = running.site.h1().await;
    let challenge = client.exchange(ask()).await;
    let (_, hello) = greet(&challenge, 1);
    let first = client.exchange(hello.clone()).await;
    let again = client.exchange(hello).await;
    assert_eq!(first, again);
    assert_eq!(running.mailbox.sessions(), 1);
}

//= spec/postern.md#http-binding type=test
//# Every other answer that the server's own code gives MUST be an RFC 9457 problem with status 404,
//# 405, 411, 413, 429 or 503.
#[tokio::test]
async fn request_outside_the_binding_is_a_problem() {
    let running = start();
    let check = async |method: Method, path: &str, expected: StatusCode| {
        for is_h2 in [false, true] {
            let mut client = running.site.client(is_h2).await;
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("https://localhost{path}"))
                .body(Full::new(Bytes::from_static(&[18, 1])))
                .unwrap();
            let answered = client.send(request).await.unwrap();
            assert_eq!(answered.status, expected, "{path}");
            let is_problem = expected != StatusCode::OK;
            let problem = format!("\"status\":{}", expected.as_u16());
            let text = String::from_utf8_lossy(&answered.body).into_owned();
            assert_eq!(text.contains(&problem), is_problem, "{text}");
            let content_type = answered.content_type.unwrap();
            assert_eq!(content_type == "application/problem+json", is_problem);
        }
    };
    check(Method::POST, "/", StatusCode::NOT_FOUND).await;
    check(Method::POST, "/postern/1", StatusCode::NOT_FOUND).await;
    check(Method::POST, "/gate/postern/1/", StatusCode::NOT_FOUND).await;
    check(Method::GET, ROUTE, StatusCode::METHOD_NOT_ALLOWED).await;
    check(Method::PUT, ROUTE, StatusCode::METHOD_NOT_ALLOWED).await;
    check(Method::POST, "/gate/postern/1?x=1", StatusCode::OK).await;
    let metrics = running.mailbox.metrics();
    assert_eq!(metrics.problems(HttpRefusal::NotFound), 6);
    assert_eq!(metrics.problems(HttpRefusal::MethodNotAllowed), 4);
}

/// Sends raw bytes and returns all that comes back until the server closes.
async fn raw(running: &super::Running, request: &str, body: &[u8]) -> String {
    let mut stream = running.site.tls(b"http/1.1").await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    // A server that cuts a request it does not want to read may reset; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

//= spec/postern.md#http-binding type=test
//# Every other answer that the server's own code gives MUST be an RFC 9457 problem with status 404,
//# 405, 411, 413, 429 or 503.
#[tokio::test]
async fn body_with_a_bad_length_is_refused() {
    let running = start();
    let check = async |headers: &str, body: &[u8], expected: &str| {
        let request =
            format!("POST {ROUTE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        let answer = raw(&running, &request, body).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(status, expected, "{headers:?} {answer:?}");
    };
    let oversize = format!("Content-Length: {}\r\n", FRAME_BYTES_MAX + 1);
    check(&oversize, &[], "413").await;
    check("Content-Length: 99999999999999999999\r\n", &[], "400").await;
    check(
        "Transfer-Encoding: chunked\r\n",
        b"2\r\n\x12\x01\r\n0\r\n\r\n",
        "411",
    )
    .await;
    check("", &[], "411").await;
    check(
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        &[18, 1],
        "400",
    )
    .await;
    check("Content-Length: 2\r\n", &[18, 1], "200").await;
}

#[tokio::test]
async fn frame_of_exactly_the_limit_is_read_and_one_more_is_not() {
    let running = start();
    for is_h2 in [false, true] {
        let mut client = running.site.client(is_h2).await;
        let answered = client.try_post(ROUTE, vec![0; FRAME_BYTES_MAX]).await;
        assert_eq!(answered.unwrap().status, StatusCode::OK);
    }
    let mut client = running.site.h2().await;
    let answered = client.try_post(ROUTE, vec![0; FRAME_BYTES_MAX + 1]).await;
    assert_eq!(answered.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn plain_http_gets_no_http_answer() {
    let running = start();
    let mut stream = running.site.tcp().await;
    let request = format!("POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn replaced_certificate_serves_new_connections() {
    let running = start();
    let other = certificate();
    running
        .server
        .replace_certificate(other.certificate_pem.as_bytes(), other.key_pem.as_bytes())
        .unwrap();
    assert!(running.site.try_tls(b"h2").await.is_err());
    let garbage = running
        .server
        .replace_certificate(b"none", other.key_pem.as_bytes());
    assert!(garbage.is_err());
    let address = running.server.local_address();
    let site = super::client::Site::new(address, &other.certificate_pem);
    assert!(site.try_tls(b"h2").await.is_ok());
}

#[tokio::test]
async fn settings_that_cannot_be_obeyed_stop_the_start() {
    let good = certificate();
    let other = certificate();
    let try_start = |change: &dyn Fn(&mut crate::server::ServerConfig)| {
        let mut config = config(&good, ServerLimits::default());
        change(&mut config);
        let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
        let (seen, _) = tokio::sync::mpsc::unbounded_channel();
        let host = super::TestHost {
            durable: Arc::new(tokio::sync::Semaphore::new(0)),
            seen,
            refusal: None,
            unavailable_ms: Arc::default(),
        };
        Server::start(&config, mailbox, Arc::new(host))
    };
    for prefix in ["gate", "/", "/gate/", "/a b", "/a?b", "/é"] {
        let started = try_start(&|config| config.prefix = prefix.to_owned());
        assert!(
            matches!(started, Err(StartError::Prefix { .. })),
            "{prefix}"
        );
    }
    let other_key = other.key_pem.as_bytes();
    let started = try_start(&|config| config.key_pem = other_key.to_vec());
    assert!(matches!(started, Err(StartError::Tls(_))));
    let started = try_start(&|config| config.certificate_pem = Vec::new());
    assert!(matches!(started, Err(StartError::Tls(_))));
    let running = try_start(&|config| config.prefix = String::new()).unwrap();
    let taken = running.local_address();
    let started = try_start(&|config| config.listen = taken);
    assert!(matches!(started, Err(StartError::Listen { .. })));
}
