use super::client::ROUTE;
use super::{start, start_with};
use crate::fixtures::ask;
use crate::limiter::Rate;
use crate::metrics::{ConnectionRefusal, HttpRefusal};
use crate::server::ServerLimits;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A rate that gives `burst` and then nothing while a test runs.
const fn only(burst: u32) -> Rate {
    Rate { burst, per_s: 1 }
}

//= spec/postern.md#hello type=test
//# A mailbox MUST limit the rate of asks and hellos of one source before any public-key operation.
//= spec/postern.md#http-binding type=test
//# An answer with status 429, or with 503 for `overloaded`, MUST carry Retry-After.
#[tokio::test]
async fn asks_beyond_the_source_rate_are_told_to_come_later() {
    let limits = ServerLimits {
        source_handshakes: only(3),
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut client = running.site.h2().await;
    let mut refused = 0;
    for _ in 0..50 {
        let answered = client.try_post(ROUTE, ask()).await.unwrap();
        if answered.status != StatusCode::OK {
            assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
            assert!(answered.retry_after.is_some_and(|seconds| seconds >= 1));
            refused += 1;
        }
    }
    assert!(refused >= 40);
    let counted = running
        .mailbox
        .metrics()
        .problems(HttpRefusal::TooManyRequests);
    assert_eq!(counted, refused);
    assert_eq!(running.mailbox.sessions(), 0);
}

#[tokio::test]
async fn asks_beyond_the_rate_of_all_sources_are_told_to_come_later() {
    let limits = ServerLimits {
        handshakes: only(1),
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut client = running.site.h1().await;
    let first = client.try_post(ROUTE, ask()).await.unwrap();
    let second = client.try_post(ROUTE, ask()).await.unwrap();
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn garbage_beyond_the_source_rate_is_told_to_come_later() {
    let limits = ServerLimits {
        source_exchanges: only(1),
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut client = running.site.h1().await;
    let first = client.try_post(ROUTE, vec![99]).await.unwrap();
    let second = client.try_post(ROUTE, vec![99]).await.unwrap();
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

//= spec/postern.md#http-binding type=test
//# An answer with status 429, or with 503 for `overloaded`, MUST carry Retry-After.
#[tokio::test]
async fn bodies_beyond_the_memory_are_told_to_come_later() {
    let limits = ServerLimits {
        bodies_bytes_max: 1,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    for _ in 0..2 {
        let mut client = running.site.h2().await;
        let answered = client.try_post(ROUTE, ask()).await.unwrap();
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answered.retry_after.is_some_and(|seconds| seconds >= 1));
    }
    let mut client = running.site.h1().await;
    let answered = client.try_post(ROUTE, vec![18]).await.unwrap();
    assert_eq!(answered.status, StatusCode::OK);
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_and_counted() {
    let check = async |limits: ServerLimits, expected: ConnectionRefusal| {
        let running = start_with(limits, None);
        let mut first = running.site.h1().await;
        assert!(first.try_post(ROUTE, ask()).await.is_ok());
        assert!(running.site.try_tls(b"h2").await.is_err());
        assert_eq!(running.mailbox.metrics().connections_refused(expected), 1);
        assert_eq!(running.mailbox.metrics().connections(), 1);
        drop(first);
        while running.mailbox.metrics().connections() != 0 {
            tokio::task::yield_now().await;
        }
        assert!(running.site.try_tls(b"h2").await.is_ok());
    };
    let limits = ServerLimits::default();
    let all = ServerLimits {
        connections_max: 1,
        ..limits
    };
    let of_source = ServerLimits {
        source_connections_max: 1,
        ..limits
    };
    check(all, ConnectionRefusal::Full).await;
    check(of_source, ConnectionRefusal::SourceFull).await;
}

#[tokio::test]
async fn silent_client_is_cut_before_tls() {
    let limits = ServerLimits {
        tls_handshake_ms_max: 20,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut stream = running.site.tcp().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    let slow = ConnectionRefusal::TlsSlow;
    assert_eq!(running.mailbox.metrics().connections_refused(slow), 1);
}

#[tokio::test]
async fn client_without_tls_is_counted() {
    let running = start();
    let mut stream = running.site.tcp().await;
    stream.write_all(&[0; 64]).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let failed = ConnectionRefusal::TlsFailed;
    assert_eq!(running.mailbox.metrics().connections_refused(failed), 1);
}

#[tokio::test]
async fn dripped_request_head_is_cut() {
    let limits = ServerLimits {
        header_ms_max: 20,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut stream = running.site.tls(b"http/1.1").await;
    stream.write_all(b"POST /gate").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    while running.mailbox.metrics().connections() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dripped_body_is_cut_and_counted() {
    let limits = ServerLimits {
        body_grace_ms: 20,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    let mut stream = running.site.tls(b"http/1.1").await;
    let request = format!("POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\nab");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    let counted = running.mailbox.metrics().problems(HttpRefusal::BodyBroken);
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn oversize_request_head_is_refused() {
    let running = start();
    let mut stream = running.site.tls(b"http/1.1").await;
    let head = format!("POST {ROUTE} HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    while running.mailbox.metrics().connections() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connection_that_is_not_used_again_is_closed() {
    let limits = ServerLimits {
        idle_ms_max: 20,
        close_ms_max: 20,
        ..ServerLimits::default()
    };
    let running = start_with(limits, None);
    for is_h2 in [false, true] {
        let mut client = running.site.client(is_h2).await;
        client.exchange(ask()).await;
        while running.mailbox.metrics().connections() != 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A frame of HTTP/2.
fn h2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let running = start();
    let mut stream = running.site.tls(b"h2").await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(h2_frame(4, 0, 0, &[]));
    for number in 0..1_000 {
        let id = 2 * number + 1;
        // POST, https and / from the static table, an authority of one letter.
        bytes.extend(h2_frame(1, 4, id, &[0x83, 0x87, 0x84, 0x41, 1, b'x']));
        bytes.extend(h2_frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let calm = h2_frame(7, 0, 0, &[]);
    let has_farewell = answer.windows(9).any(|head| head[3..] == calm[3..]);
    assert!(has_farewell, "{answer:?}");
    let metrics = running.mailbox.metrics();
    while metrics.connections() != 0 {
        tokio::task::yield_now().await;
    }
    let answered = metrics.problems(HttpRefusal::NotFound);
    assert!(answered < 100, "{answered}");
}
