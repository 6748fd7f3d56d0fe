//! Fronts that downgrade to HTTP/1.0, drop keep-alive, or carry only small bodies.
//!
//! The front's record is the witness: one request for each exchange, always with Content-Length.
//! Scenarios A09 (proxy side), A19 and A31.

use crate::origin::{Act, Origin, answer};
use crate::proxy::{self, Proxy};
use crate::site::{LIMITS, Site, exchange, outcome, require, url};
use bytes::Bytes;
use postern_egress::body_size::{BodySizes, Direction, Lesson};
use postern_egress::hold::HoldEnd;
use postern_egress::{Client, ExchangeLimits, ProxyPolicy, ProxySettings, Route, Variables};
use std::time::Duration;

/// Three exchanges through a front that always answers like this: connections that it took.
async fn check(act: Act, connections: usize) {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let origin = Origin::http1(config, vec![act]).await;
    let client = site.direct(origin.address.port());
    for _ in 0..3 {
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    }
    assert_eq!((origin.connections(), origin.requests()), (connections, 3));
    for (head, body) in origin.seen.requests.lock().unwrap().iter() {
        let head = head.to_lowercase();
        assert!(head.contains("\r\ncontent-length: 4\r\n"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert_eq!(body, b"ping");
    }
}

#[tokio::test]
async fn h10_front_that_closes_after_each_answer_carries_every_exchange_once() {
    let close = |text: &str| Act::AnswerAndClose(text.as_bytes().to_vec());
    check(close("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npong"), 3).await;
    check(close("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\npong"), 3).await;
    check(close("HTTP/1.0 200\r\n\r\npong"), 3).await;
    check(
        close("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong"),
        3,
    )
    .await;
}

#[tokio::test]
async fn h10_front_keeps_a_connection_only_when_it_says_so() {
    let keeps = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\npong";
    check(Act::Answer(keeps.as_bytes().to_vec()), 1).await;
    // Left open by the front, which says nothing: not used again.
    let silent = "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npong";
    check(Act::Answer(silent.as_bytes().to_vec()), 3).await;
}

#[tokio::test]
async fn h10_answer_that_is_cut_is_an_error_and_not_sent_again() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let cut = b"HTTP/1.0 200 OK\r\nContent-Length: 400\r\n\r\npong".to_vec();
    let origin = Origin::http1(config, vec![Act::AnswerAndClose(cut)]).await;
    let error = exchange(&site.direct(origin.address.port()))
        .await
        .unwrap_err();
    assert_eq!((error.code(), origin.requests()), ("PST-H08", 1));
    assert!(matches!(error.hold_end(), HoldEnd::Cut { .. }));
}

/// One exchange of a body as large as the route is thought to carry.
async fn post(client: &Client, sizes: &mut BodySizes) -> Option<Lesson> {
    let body = Bytes::from(vec![7; sizes.up_bytes_max()]);
    let (sent, limits) = (body.len(), LIMITS);
    match client.exchange(body, limits).await {
        Ok(answer) => {
            sizes.handle_answer(sent, answer.body.len());
            None
        }
        Err(error) => sizes.handle_failure(sent, 0, error.size_clue()),
    }
}

#[tokio::test]
async fn a19_413_with_content_length_halves_the_body_until_it_passes() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let refusal = Act::Answer(answer("413 Content Too Large", "", "too large"));
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![refusal.clone(), refusal, pong]).await;
    let client = site.direct(origin.address.port());
    let mut sizes = BodySizes::new();
    let halved = |kib: usize| {
        Some(Lesson::Smaller {
            direction: Direction::Up,
            bytes_max: kib * 1024,
        })
    };
    assert_eq!(post(&client, &mut sizes).await, halved(24));
    assert_eq!(post(&client, &mut sizes).await, halved(12));
    assert_eq!(post(&client, &mut sizes).await, None);
    assert_eq!(sizes.up_bytes_max(), 12 * 1024);
    let bodies = origin.seen.requests.lock().unwrap();
    let lengths: Vec<_> = bodies.iter().map(|(_, body)| body.len() / 1024).collect();
    assert_eq!(lengths, [48, 24, 12]);
}

#[tokio::test]
async fn a19_front_that_closes_without_a_status_teaches_after_it_did_so_again() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let script = vec![Act::Close, pong.clone(), Act::Close, pong];
    let origin = Origin::http1(config, script).await;
    let client = site.direct(origin.address.port());
    let mut sizes = BodySizes::new();
    assert_eq!(post(&client, &mut sizes).await, None);
    let small = exchange(&client).await.unwrap();
    sizes.handle_answer(4, small.body.len());
    assert!(post(&client, &mut sizes).await.is_some());
    assert_eq!(sizes.up_bytes_max(), 24 * 1024);
    assert_eq!(post(&client, &mut sizes).await, None);
}

#[tokio::test]
async fn a31_age_of_a_cut_poll_is_its_own_and_not_that_of_two() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![pong, Act::Close]).await;
    let client = site.direct(origin.address.port());
    exchange(&client).await.unwrap();
    let before = tokio::time::Instant::now();
    let error = exchange(&client).await.unwrap_err();
    let HoldEnd::Cut { age } = error.hold_end() else {
        panic!("{error}");
    };
    assert!(age <= before.elapsed());
    assert_eq!((origin.connections(), origin.requests()), (1, 2));
}

#[tokio::test]
async fn a31_silent_poll_ends_once_and_its_connection_is_given_up() {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![pong.clone(), Act::Silence, pong]).await;
    let client = site.direct(origin.address.port());
    exchange(&client).await.unwrap();
    let limits = ExchangeLimits {
        deadline: Duration::from_millis(50),
        ..LIMITS
    };
    let error = client.exchange(Bytes::new(), limits).await.unwrap_err();
    assert_eq!(error.hold_end(), HoldEnd::Silent);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((origin.connections(), origin.requests()), (2, 3));
}

/// A preferred proxy that answers CONNECT like this: its code, and the next route carries.
async fn check_next(act: proxy::Act, code: &'static str) {
    let mut site = Site::new();
    site.budgets.connect = Duration::from_millis(300);
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![pong]).await;
    let bad = Proxy::start(move |_, _| act.clone()).await;
    let variables = Variables {
        proxy: Some(("https_proxy", format!("http://{}", bad.address))),
        no_proxy: None,
    };
    let settings = ProxySettings::resolve(&Default::default(), &variables).unwrap();
    assert_eq!(settings.policy(), ProxyPolicy::Prefer);
    let dialer = site.dialer(settings);
    let target = url(origin.address.port());
    assert_eq!(dialer.routes(&target), [Route::Proxy(0), Route::Direct]);
    let first = dialer.client(&target, Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&first).await, Err(code));
    let second = dialer.client(&target, Route::Direct).unwrap();
    assert_eq!(outcome(&second).await, Ok("pong".to_owned()));
}

#[tokio::test]
async fn a09_after_any_bad_proxy_the_next_route_carries() {
    let raw = |text: &str| proxy::Act::AnswerAndClose(text.as_bytes().to_vec());
    let ok = "HTTP/1.1 200 ok\r\n\r\n";
    check_next(raw("HTTP/1.1 403 Forbidden\r\n\r\n"), "PST-P01").await;
    check_next(raw("HTTP/1.0 502 Bad Gateway\r\n\r\n"), "PST-P07").await;
    check_next(raw(&format!("{ok}<html>blocked")), "PST-P06").await;
    check_next(proxy::Act::Reset(ok.into()), "PST-S04").await;
    check_next(raw("\u{15}\u{3}garbage"), "PST-P05").await;
    check_next(proxy::Act::Silence, "PST-P08").await;
    check_next(proxy::Act::Drip(b"HTTP/1.1 200 ok\r\n".to_vec()), "PST-P09").await;
    check_next(proxy::Act::Flood, "PST-P10").await;
}

#[test]
fn a09_bad_proxy_costs_ten_seconds_at_most() {
    let budgets = postern_egress::Budgets::default();
    assert_eq!(budgets.connect, Duration::from_secs(10));
}

/// The tunnel that this head opens carries an exchange.
async fn check_tunnel(head: &str) {
    let site = Site::new();
    let config = site.ca.serve(&["controller.test"], &[]);
    let pong = Act::Answer(answer("200 OK", "", "pong"));
    let origin = Origin::http1(config, vec![pong]).await;
    let (inside, opening) = (origin.address, head.as_bytes().to_vec());
    let proxy = Proxy::start(move |_, _| proxy::Act::Tunnel(opening.clone(), inside)).await;
    let dialer = site.dialer(require(&format!("http://{}", proxy.address), None));
    let client = dialer.client(&url(443), Route::Proxy(0)).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()), "{head:?}");
}

#[tokio::test]
async fn a10_any_2xx_opens_the_tunnel_whatever_its_head_says() {
    check_tunnel("HTTP/1.1 201 Created\r\n\r\n").await;
    check_tunnel("HTTP/1.0 200\r\n\r\n").await;
    check_tunnel("HTTP/1.0 299 x\r\nConnection: close\r\n\r\n").await;
    check_tunnel("HTTP/1.1 200 ok\r\nContent-Length: 5\r\n\r\n").await;
    check_tunnel("HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    check_tunnel("HTTP/1.1 100 c\r\n\r\nHTTP/1.1 204 x\r\n\r\n").await;
}
