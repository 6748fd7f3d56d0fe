//! The direct route: HTTP/1.1 and HTTP/2, kept connections, unreachable targets.
//!
//! The origin's record is the witness: nothing is ever sent twice.
//! Scenarios A01 and A31.

use crate::origin::{Act, Origin, answer};
use crate::site::{Site, exchange, outcome};
use postern_egress::{HttpVersion, MailboxUrl, ProxySettings, Route};
use std::time::Duration;

//= spec/postern.md#http-binding type=test
//# A client MUST send a frame as the body of `POST <base URL>/postern/1` with Content-Length and
//# the content type `application/octet-stream`.
//= spec/postern.md#http-binding type=test
//# A client MUST NOT need Upgrade, chunked uploads, cookies, or any header beyond Content-Length
//# and Content-Type.
#[tokio::test]
async fn a01_direct_https_carries_one_post_with_content_length() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[b"http/1.1"]);
    let script = vec![Act::Answer(answer("200 OK", "Retry-After: 7\r\n", "pong"))];
    let origin = Origin::http1(config, script).await;
    let client = site.direct(origin.address.port());

    let received = exchange(&client).await.unwrap();

    assert_eq!((received.status, &received.body[..]), (200, &b"pong"[..]));
    assert_eq!(received.retry_after_s, Some(7));
    let link = &received.link;
    assert_eq!(
        (link.route, link.http),
        (Route::Direct, Some(HttpVersion::Http1))
    );
    assert!(link.alpn_answered && !link.intercepted);
    assert_eq!(link.leaf.issuer.as_str(), "CN=Postern Test CA");
    let requests = origin.seen.requests.lock().unwrap();
    let (head, body) = &requests[0];
    let head = head.to_lowercase();
    assert!(head.starts_with("post /m http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 4\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: postern-test\r\n"), "{head}");
    let content_type = "\r\ncontent-type: application/octet-stream\r\n";
    assert!(head.contains(content_type), "{head}");
    for forbidden in [
        "transfer-encoding",
        "expect",
        "upgrade",
        "connection:",
        "cookie",
        "authorization",
    ] {
        assert!(!head.contains(forbidden), "{forbidden} in {head}");
    }
    assert!(head.len() < 512 && body == b"ping");
    let traffic = client.traffic();
    assert!(
        traffic.bytes_up() > 300 && traffic.bytes_down() > 500,
        "{traffic:?}"
    );
}

#[tokio::test]
async fn a01_http2_shares_one_connection_between_exchanges() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[b"h2", b"http/1.1"]);
    let origin = Origin::http2(config, 3).await;
    let client = site.direct(origin.address.port());

    let (a, b, c) = tokio::join!(exchange(&client), exchange(&client), exchange(&client));

    for received in [a, b, c] {
        let received = received.unwrap();
        assert_eq!(received.link.http, Some(HttpVersion::Http2));
        assert_eq!(&received.body[..], b"h2");
    }
    assert_eq!((origin.connections(), origin.requests()), (1, 3));
    let port = origin.address.port();
    let (head, body) = origin.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(head, format!("POST https://controller.test:{port}/m"));
    assert_eq!(body, b"ping");
}

#[tokio::test]
async fn http1_keeps_at_most_two_connections() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let script = vec![Act::Answer(answer("200 OK", "", "pong"))];
    let origin = Origin::http1(config, script).await;
    let client = site.direct(origin.address.port());
    for _ in 0..3 {
        let all = tokio::join!(
            exchange(&client),
            exchange(&client),
            exchange(&client),
            exchange(&client)
        );
        for received in [all.0, all.1, all.2, all.3] {
            assert!(!received.unwrap().link.alpn_answered);
        }
    }
    assert!(origin.connections() <= 2, "{}", origin.connections());
    assert_eq!(origin.requests(), 12);
}

#[tokio::test]
async fn a31_idle_connection_closed_by_the_peer_is_noticed_and_nothing_sent_twice() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = answer("200 OK", "", "pong");
    let origin = Origin::http1(config, vec![Act::AnswerAndClose(pong)]).await;
    let client = site.direct(origin.address.port());
    for nth in 1..=5 {
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
        assert_eq!((origin.connections(), origin.requests()), (nth, nth));
        origin.seen.closed.notified().await;
    }
}

#[tokio::test]
async fn a31_request_lost_on_a_kept_connection_is_an_error_and_not_sent_again() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = answer("200 OK", "", "pong");
    let script = vec![Act::Answer(pong.clone()), Act::Close, Act::Answer(pong)];
    let origin = Origin::http1(config, script).await;
    let client = site.direct(origin.address.port());

    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(error.code(), "PST-H05");
    assert!(error.sent_for.is_some());
    assert_eq!((origin.connections(), origin.requests()), (1, 2));

    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((origin.connections(), origin.requests()), (2, 3));
}

#[tokio::test]
async fn unreachable_targets_have_their_own_codes() {
    let mut site = Site::new();
    site.budgets.dns = Duration::from_millis(50);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    assert_eq!(outcome(&site.direct(port)).await, Err("PST-T01"));

    assert_eq!(named(&site, "unknown.test", port).await, Err("PST-D01"));
    assert_eq!(named(&site, "slow.test", port).await, Err("PST-D02"));
}

async fn named(site: &Site, name: &str, port: u16) -> Result<String, &'static str> {
    let dialer = site.dialer(ProxySettings::Off);
    let target = MailboxUrl::parse(&format!("https://{name}:{port}/m")).unwrap();
    let client = dialer.client(&target, Route::Direct).unwrap();
    outcome(&client).await
}

#[tokio::test]
async fn second_address_is_tried_when_the_first_refuses() {
    let site = Site::new();
    let config = site.ca.serve(&["two.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![pong]).await;
    let port = origin.address.port();
    assert_eq!(named(&site, "two.test", port).await, Ok("pong".to_owned()));
}
