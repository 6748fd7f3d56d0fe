//! The QUIC route: what passes, what is refused, and how soon a path that died is left.
//!
//! Servers are quinn's own or raw sockets; time is virtual where it matters.
//! Scenarios A02, A03 and C04.

mod paths;
mod refusals;
mod server;

use crate::site::{LIMITS, Site, exchange, outcome, require, url};
use bytes::Bytes;
use postern_egress::{Client, DialerError, ProxySettings, Route};
use server::{Act, Door, QuicServer};
use std::net::SocketAddr;

const ALPN: &[&[u8]] = &[b"postern/1"];

fn quic(site: &Site, address: SocketAddr) -> Client {
    let dialer = site.dialer(ProxySettings::Off).with_quic(true);
    dialer.client(&url(address.port()), Route::Quic).unwrap()
}

fn serving(site: &Site, script: Vec<Act>) -> QuicServer {
    let tls = site.ca.serve(&["controller.test"], ALPN);
    QuicServer::start(&tls, Door::Open, script)
}

fn pong() -> Act {
    Act::Answer(b"pong".to_vec())
}

//= spec/postern.md#quic-binding type=test
//# A client MUST send each exchange on a bidirectional stream of its own: the frame, then the end of
//# the stream.
#[tokio::test]
async fn a02_quic_carries_exchanges_on_streams_of_one_connection() {
    let site = Site::new();
    let server = serving(&site, vec![pong()]);
    let client = quic(&site, server.address);

    let all = tokio::join!(exchange(&client), exchange(&client), exchange(&client));

    for received in [all.0, all.1, all.2] {
        let received = received.unwrap();
        assert_eq!((received.status, &received.body[..]), (200, &b"pong"[..]));
        let link = &received.link;
        assert_eq!((link.route, link.http), (Route::Quic, None));
        assert_eq!(link.peer, server.address);
        assert!(link.alpn_answered && !link.intercepted);
        assert_eq!(link.leaf.issuer.as_str(), "CN=Postern Test CA");
        assert!(link.udp_bytes_max >= Some(1200));
    }
    assert_eq!(exchange(&client).await.unwrap().body, "pong");
    assert_eq!((server.connections(), server.requests()), (1, 4));
    assert!(
        server
            .seen
            .requests
            .lock()
            .unwrap()
            .iter()
            .all(|request| request == b"ping")
    );
    let traffic = client.traffic();
    assert!(
        traffic.bytes_up() > 1200 && traffic.bytes_down() > 500,
        "{traffic:?}"
    );
}

#[tokio::test]
async fn a02_the_largest_frame_passes_either_way() {
    let site = Site::new();
    let large = vec![b'x'; 48 << 10];
    let server = serving(&site, vec![Act::Answer(large.clone())]);
    let client = quic(&site, server.address);
    let mut limits = LIMITS;
    limits.answer_bytes_max = large.len();
    let answer = client.exchange(large.clone().into(), limits).await.unwrap();
    assert_eq!(answer.body, large);
    assert_eq!(server.seen.requests.lock().unwrap()[0], large);
}

#[tokio::test]
async fn empty_answer_is_a_candidate_like_any_other() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Answer(Vec::new())]);
    let client = quic(&site, server.address);
    assert_eq!(exchange(&client).await.unwrap().body, Bytes::new());
}

#[tokio::test]
async fn server_that_asks_for_proof_of_the_address_is_given_it() {
    let site = Site::new();
    let tls = site.ca.serve(&["controller.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Retry, vec![pong()]);
    let client = quic(&site, server.address);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!(
        server.seen.proven.load(std::sync::atomic::Ordering::SeqCst),
        1
    );
}

#[tokio::test]
async fn answer_to_a_frame_that_was_not_read_is_heard() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Stop(b"oversize".to_vec())]);
    let client = quic(&site, server.address);
    let large = vec![b'x'; 1 << 20];
    let answer = client.exchange(large.into(), LIMITS).await.unwrap();
    assert_eq!(answer.body, "oversize");
}

//= spec/postern.md#quic-binding type=test
//# A client MUST NOT send 0-RTT data.
#[tokio::test]
async fn second_connection_resumes_tls_and_sends_nothing_before_its_handshake() {
    let site = Site::new();
    let many: Vec<String> = (0..100).map(|nth| format!("name-{nth}.test")).collect();
    let names: Vec<&str> = many
        .iter()
        .map(String::as_str)
        .chain(["controller.test"])
        .collect();
    let mut tls = rustls::ServerConfig::clone(&site.ca.serve(&names, ALPN));
    // The server would take it.
    tls.max_early_data_size = u32::MAX;
    let server = QuicServer::start(&tls, Door::Open, vec![pong()]);
    let client = quic(&site, server.address);
    let mut downs = Vec::new();
    for _ in 0..2 {
        let before = client.traffic().bytes_down();
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
        downs.push(client.traffic().bytes_down() - before);
        let last = server.seen.last.lock().unwrap().take().unwrap();
        client.close_kept();
        last.closed().await;
    }
    assert_eq!(server.connections(), 2);
    let data = server.seen.requests.lock().unwrap().clone();
    assert_eq!(data, [b"ping", b"ping"]);
    assert!(downs[1] + 1_000 < downs[0], "not resumed: {downs:?}");
}

#[tokio::test]
async fn route_exists_only_where_a_direct_one_may_be_taken() {
    let site = Site::new();
    let target = url(443);
    let plain = site.dialer(ProxySettings::Off);
    assert_eq!(plain.routes(&target), [Route::Direct]);
    let refused = plain.client(&target, Route::Quic).unwrap_err();
    assert_eq!(refused, DialerError::Forbidden { route: Route::Quic });
    let both = plain.with_quic(true);
    assert_eq!(both.routes(&target), [Route::Quic, Route::Direct]);
    let required = site
        .dialer(require("http://proxy.test:3128", None))
        .with_quic(true);
    assert_eq!(required.routes(&target), [Route::Proxy(0)]);
    let refused = required.client(&target, Route::Quic).unwrap_err();
    assert_eq!(refused, DialerError::Forbidden { route: Route::Quic });
}
