//! What QUIC refuses, each with its own code, and what the network can do to a handshake.
//!
//! Nothing here ends in an answer.

use super::server::{Act, Door, QuicServer, Way, fake};
use super::{ALPN, pong, quic, serving};
use crate::pki::Ca;
use crate::site::{LIMITS, Site, exchange, outcome, url};
use postern_egress::body_size::SizeClue;
use postern_egress::hold::HoldEnd;
use postern_egress::{MailboxUrl, ProxySettings, Route};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a03_udp_sink_costs_three_seconds_and_blames_udp() {
    let site = Site::new();
    let (sink, came) = fake(|_| None).await;
    let client = quic(&site, sink);
    let started = Instant::now();
    let error = exchange(&client).await.unwrap_err();
    assert!(
        started.elapsed() <= Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((error.code(), error.sent_for), ("PST-U01", None));
    assert!(error.blames_udp() && error.hop.ends_with("(UDP)"));
    assert_eq!(error.hold_end(), HoldEnd::Other);
    assert!(came.load(Ordering::SeqCst) >= 3);
}

#[tokio::test(start_paused = true)]
async fn garbage_answers_are_no_answer() {
    let site = Site::new();
    for reply in [
        (|_| Some(vec![0xff; 1200])) as fn(&[u8]) -> Option<Vec<u8>>,
        |_| Some(Vec::new()),
        |datagram| Some(datagram.to_vec()),
        |_| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ] {
        let (address, came) = fake(reply).await;
        assert_eq!(outcome(&quic(&site, address)).await, Err("PST-U01"));
        assert!(came.load(Ordering::SeqCst) >= 3);
    }
}

/// Says that it speaks only a version that does not exist (RFC 9000, section 17.2.1).
fn negotiate(datagram: &[u8]) -> Option<Vec<u8>> {
    let theirs = usize::from(*datagram.get(5)?);
    let id = datagram.get(6..6 + theirs)?;
    let mut reply = vec![0x80, 0, 0, 0, 0, 0, u8::try_from(theirs).ok()?];
    reply.extend_from_slice(id);
    reply.extend_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    Some(reply)
}

#[tokio::test]
async fn server_of_another_version_is_named() {
    let site = Site::new();
    let (address, _came) = fake(negotiate).await;
    assert_eq!(outcome(&quic(&site, address)).await, Err("PST-U06"));
}

#[tokio::test(start_paused = true)]
async fn retry_that_never_ends_is_followed_once() {
    static RETRY: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let site = Site::new();
    let tls = site.ca.serve(&["controller.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Retry, vec![pong()]);
    // Whatever the server says, the client hears its first Retry again.
    let way = Way::to(server.address, |datagram| {
        let mut retry = RETRY.lock().unwrap();
        if retry.is_empty() {
            *retry = datagram.to_vec();
        }
        retry.clone()
    })
    .await;
    let started = Instant::now();
    assert_eq!(outcome(&quic(&site, way.address)).await, Err("PST-U01"));
    assert!(started.elapsed() <= Duration::from_secs(3));
    assert!(way.came.load(Ordering::SeqCst) < 12);
}

#[tokio::test(start_paused = true)]
async fn port_on_which_nothing_listens_is_told_before_anything_is_sent_again() {
    let site = Site::new();
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let started = Instant::now();
    let error = exchange(&quic(&site, address)).await.unwrap_err();
    assert_eq!(error.code(), "PST-U03");
    assert!(!error.blames_udp());
    // The first repetition comes after a third of a second at the earliest.
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn certificates_are_judged_as_over_tcp() {
    let site = Site::new();
    let stranger = Ca::new("Somebody Else").serve(&["controller.test"], ALPN);
    let misnamed = site.ca.serve(&["other.test"], ALPN);
    for (tls, code) in [(stranger, "PST-S01"), (misnamed, "PST-S02")] {
        let server = QuicServer::start(&tls, Door::Open, vec![pong()]);
        let error = exchange(&quic(&site, server.address)).await.unwrap_err();
        assert_eq!((error.code(), error.sent_for), (code, None));
        assert!(error.to_string().contains("issued by"), "{error}");
        assert_eq!(server.requests(), 0);
    }
}

#[tokio::test]
async fn ca_of_the_site_is_taken_without_a_restart_and_reported() {
    let site = Site::new();
    let inspector = Ca::new("Corp Inspection Root CA");
    let tls = inspector.serve(&["controller.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Open, vec![pong()]);
    let client = quic(&site, server.address);
    assert_eq!(outcome(&client).await, Err("PST-S01"));
    std::fs::write(site.ca_folder().join("corp.pem"), inspector.pem()).unwrap();
    let received = exchange(&client).await.unwrap();
    assert!(received.link.intercepted);
    assert_eq!(
        received.link.leaf.issuer.as_str(),
        "CN=Corp Inspection Root CA"
    );
}

#[tokio::test]
async fn server_with_another_alpn_is_named() {
    let site = Site::new();
    let wrong: [&[&[u8]]; 3] = [&[b"h3"], &[b"postern/2", b"h3"], &[]];
    for alpn in wrong {
        let tls = site.ca.serve(&["controller.test"], alpn);
        let server = QuicServer::start(&tls, Door::Open, vec![pong()]);
        let error = exchange(&quic(&site, server.address)).await.unwrap_err();
        assert_eq!(error.code(), "PST-U07", "{error}");
        assert_eq!(server.requests(), 0);
    }
}

#[tokio::test]
async fn server_without_room_is_named() {
    let site = Site::new();
    let tls = site.ca.serve(&["controller.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Refuse, vec![pong()]);
    assert_eq!(outcome(&quic(&site, server.address)).await, Err("PST-U08"));
    // With code 2 the handshake may have ended already: either tells that there is no room.
    let server = QuicServer::start(&tls, Door::Full(2), vec![pong()]);
    let error = exchange(&quic(&site, server.address)).await.unwrap_err();
    assert!(error.to_string().contains("no "), "{error}");
    assert!(["PST-U08", "PST-U11"].contains(&error.code()), "{error}");
}

#[tokio::test]
async fn each_close_code_is_told_and_the_next_exchange_connects_again() {
    let codes = [
        (0, "not needed"),
        (1, "too slowly"),
        (2, "no place"),
        (3, "newer connections"),
        (4, "stops"),
        (99, "code 99"),
    ];
    for (code, words) in codes {
        let site = Site::new();
        let server = serving(&site, vec![Act::Close(code), pong()]);
        let client = quic(&site, server.address);
        let error = exchange(&client).await.unwrap_err();
        assert_eq!(error.code(), "PST-U11");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("words of a server"), "{error}");
        assert!(error.sent_for.is_some() && !error.blames_udp());
        assert_eq!(
            (error.hold_end(), error.size_clue()),
            (HoldEnd::Other, SizeClue::None)
        );
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
        assert_eq!((server.connections(), server.requests()), (2, 2));
    }
}

#[tokio::test]
async fn stream_that_is_reset_ends_its_exchange_alone() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Reset(1), Act::Reset(0), pong()]);
    let client = quic(&site, server.address);
    let slow = exchange(&client).await.unwrap_err();
    assert_eq!((slow.code(), slow.size_clue()), ("PST-U12", SizeClue::Cut));
    let other = exchange(&client).await.unwrap_err();
    assert_eq!(
        (other.code(), other.size_clue()),
        ("PST-U12", SizeClue::None)
    );
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((server.connections(), server.requests()), (1, 3));
}

#[tokio::test]
async fn answer_over_the_bound_is_refused_and_the_connection_stays() {
    let site = Site::new();
    let (full, over) = (vec![b'x'; 1024], vec![b'x'; 1025]);
    let huge = vec![b'x'; 1 << 20];
    let script = [over, huge, full].map(Act::Answer);
    let server = serving(&site, script.to_vec());
    let client = quic(&site, server.address);
    for _ in 0..2 {
        let error = exchange(&client).await.unwrap_err();
        assert_eq!(
            (error.code(), error.size_clue()),
            ("PST-U16", SizeClue::None)
        );
    }
    assert_eq!(exchange(&client).await.unwrap().body.len(), 1024);
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn server_that_never_answers_is_left_at_the_deadline_and_told() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Silence, pong()]);
    let client = quic(&site, server.address);
    let started = Instant::now();
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(
        (error.code(), error.hold_end()),
        ("PST-U14", HoldEnd::Silent)
    );
    assert!(!error.blames_udp());
    assert_eq!(started.elapsed().as_secs(), LIMITS.deadline.as_secs());
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn answer_that_stops_in_the_middle_is_not_waited_for() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Begin(b"po".to_vec())]);
    let started = Instant::now();
    let error = exchange(&quic(&site, server.address)).await.unwrap_err();
    assert_eq!(error.code(), "PST-U15");
    assert_eq!(error.size_clue(), SizeClue::AnswerCut { announced: None });
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn names_are_looked_up_within_their_budget() {
    let mut site = Site::new();
    site.budgets.dns = Duration::from_millis(50);
    for (name, code) in [("unknown.test", "PST-D01"), ("slow.test", "PST-D02")] {
        let dialer = site.dialer(ProxySettings::Off).with_quic(true);
        let target = MailboxUrl::parse(&format!("https://{name}:9/m")).unwrap();
        let client = dialer.client(&target, Route::Quic).unwrap();
        assert_eq!(outcome(&client).await, Err(code));
    }
}

#[tokio::test]
async fn second_address_is_tried_when_the_first_refuses() {
    let site = Site::new();
    let tls = site.ca.serve(&["two.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Open, vec![pong()]);
    let port = server.address.port();
    let dialer = site.dialer(ProxySettings::Off).with_quic(true);
    let target = MailboxUrl::parse(&format!("https://two.test:{port}/m")).unwrap();
    let client = dialer.client(&target, Route::Quic).unwrap();
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
}

#[tokio::test]
async fn damaged_ca_file_stops_it_before_a_packet_is_sent() {
    let site = Site::new();
    std::fs::write(site.ca_folder().join("bad.pem"), "no certificate").unwrap();
    let (sink, came) = fake(|_| None).await;
    let dialer = site.dialer(ProxySettings::Off).with_quic(true);
    let client = dialer.client(&url(sink.port()), Route::Quic).unwrap();
    assert_eq!(outcome(&client).await, Err("PST-C02"));
    assert_eq!(came.load(Ordering::SeqCst), 0);
    assert_eq!(client.traffic().bytes_up(), 0);
}
