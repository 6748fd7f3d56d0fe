//! The second door over real sockets.

use super::client::{refusal, refused};
use super::holds::fill;
use super::quic_client::{Manners, POLITE, QuicClient, QuicSite};
use super::{Certificate, Running, certificate, config, start_configured};
use crate::fixtures::{answer, ask, channel_id, delta, poll, post, report, revision, stream};
use crate::limiter::Rate;
use crate::metrics::{ConnectionRefusal, HttpRefusal, QuicAttempt};
use crate::server::{ListenerSecret, QuicListener, ServerConfig, ServerLimits};
use postern_protocol::Reject;
use postern_protocol::limits::FRAME_BYTES_MAX;
use postern_protocol::revision::Generation;
use quinn::ConnectionError;
use std::net::SocketAddr;

pub(super) fn configured(
    certificate: &Certificate,
    limits: ServerLimits,
    secret: ListenerSecret,
    listen: SocketAddr,
) -> ServerConfig {
    let mut config = config(certificate, limits);
    config.quic = Some(QuicListener { listen, secret });
    config
}

fn start_with(limits: ServerLimits) -> (Running, QuicSite) {
    let certificate = certificate();
    let secret = ListenerSecret::fresh().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = configured(&certificate, limits, secret, any);
    let running = start_configured(&config, &certificate, None);
    let site = QuicSite::of(&running, &certificate);
    (running, site)
}

fn start() -> (Running, QuicSite) {
    start_with(ServerLimits::default())
}

async fn wait_connections(running: &Running, count: u64) {
    while running.mailbox.metrics().connections() != count {
        tokio::task::yield_now().await;
    }
}

//= spec/postern.md#quic-binding type=test
//# A client MUST send each exchange on a bidirectional stream of its own: the frame, then the end
//# of the stream.
//= spec/postern.md#quic-binding type=test
//# A server MUST answer each exchange on its stream with one frame and the end of the stream,
//# refusals included.
#[tokio::test]
async fn session_over_quic_is_answered_as_over_https() {
    let (mut running, site) = start();
    fill(&running.mailbox);
    running.durable.add_permits(9);
    let quic = site.connect().await;
    let mut https = running.site.h2().await;
    let mut session = quic.open(1).await;
    let request = poll(&mut session, 0, revision(0, 0));
    let frame = quic.exchange(&request.bytes).await;
    let over_quic: Vec<Vec<u8>> = answer(&session, request.counter, &frame)
        .items
        .iter()
        .map(|item| item.envelope.to_vec())
        .collect();
    // The same session goes on over the other door.
    let request = poll(&mut session, 0, revision(0, 0));
    let frame = https.exchange(request.bytes).await;
    let over_https = answer(&session, request.counter, &frame).items;
    let over_https: Vec<Vec<u8>> = over_https
        .iter()
        .map(|item| item.envelope.to_vec())
        .collect();
    assert_eq!(over_quic, over_https);
    assert_eq!(over_quic.len(), 1);
    let request = post(&mut session, &[report(1, 1)]);
    let frame = quic.exchange(&request.bytes).await;
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.refused.is_empty());
    assert_eq!(running.seen.recv().await.unwrap(), report(1, 1));
}

#[tokio::test]
async fn refusals_over_quic_are_those_of_https() {
    let (running, site) = start();
    let quic = site.connect().await;
    let mut https = running.site.h1().await;
    let check = async |frame: Vec<u8>, https: &mut super::client::Client| {
        let over_quic = quic.exchange(&frame).await;
        assert_eq!(refusal(&over_quic), refusal(&https.exchange(frame).await));
    };
    check(Vec::new(), &mut https).await;
    check(vec![99], &mut https).await;
    check(vec![19], &mut https).await;
    check(vec![0; 13], &mut https).await;
    check(vec![0; FRAME_BYTES_MAX], &mut https).await;
}

#[tokio::test]
async fn held_poll_over_quic_is_released_by_a_post() {
    let (running, site) = start();
    fill(&running.mailbox);
    let quic = site.connect().await;
    let mut session = quic.open(1).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let held = quic.clone();
    let task = tokio::spawn(async move { held.exchange(&request.bytes).await });
    while running.mailbox.metrics().holds() == 0 {
        tokio::task::yield_now().await;
    }
    let generation = Generation::new(1);
    let posted = running
        .mailbox
        .post_delta(channel_id(), generation, &delta(1, 1, 2));
    assert!(posted.is_ok());
    let frame = task.await.unwrap();
    let items = answer(&session, request.counter, &frame).items;
    assert_eq!(items[0].envelope, delta(1, 1, 2));
}

#[tokio::test]
async fn held_poll_of_a_client_that_stops_gives_its_place_back() {
    let (running, site) = start();
    fill(&running.mailbox);
    let quic = site.connect().await;
    for is_closed in [false, true] {
        let mut session = quic.open(1 + u8::from(is_closed)).await;
        let request = poll(&mut session, 300, revision(1, 1));
        let (mut send, mut recv) = quic.connection.open_bi().await.unwrap();
        send.write_all(&request.bytes).await.unwrap();
        send.finish().unwrap();
        while running.mailbox.metrics().holds() == 0 {
            tokio::task::yield_now().await;
        }
        match is_closed {
            false => recv.stop(quinn::VarInt::from_u32(0)).unwrap(),
            true => quic.connection.close(quinn::VarInt::from_u32(0), &[]),
        }
        while running.mailbox.metrics().holds() != 0 {
            tokio::task::yield_now().await;
        }
    }
    wait_connections(&running, 0).await;
}

//= spec/postern.md#quic-binding type=test
//# A server MUST refuse a request with `oversize` as soon as more than 49152 bytes of it came.
#[tokio::test]
async fn oversize_stream_is_refused_by_name() {
    let (running, site) = start();
    let quic = site.connect().await;
    for bytes in [FRAME_BYTES_MAX + 1, 1 << 20] {
        let frame = quic.exchange(&vec![0; bytes]).await;
        assert_eq!(refusal(&frame), Reject::Oversize.code());
    }
    assert_eq!(running.mailbox.metrics().rejects(Reject::Oversize), 2);
    quic.open(1).await;
}

#[tokio::test]
async fn slow_stream_is_cut_and_counted() {
    let limits = ServerLimits {
        body_grace_ms: 20,
        ..ServerLimits::default()
    };
    let (running, site) = start_with(limits);
    let quic = site.connect().await;
    let (mut send, mut recv) = quic.connection.open_bi().await.unwrap();
    send.write_all(&[18]).await.unwrap();
    let error = recv.read_to_end(64).await.unwrap_err();
    assert!(format!("{error:?}").contains("Reset(1)"), "{error:?}");
    let broken = HttpRefusal::BodyBroken;
    assert_eq!(running.mailbox.metrics().problems(broken), 1);
    assert!(quic.try_exchange(&ask()).await.is_ok());
}

//= spec/postern.md#quic-binding type=test
//# A server that is asked too much MUST answer with frame 22, `overloaded` and retry_ms.
#[tokio::test]
async fn exchanges_beyond_the_source_rate_come_later() {
    let limits = ServerLimits {
        source_exchanges: Rate { burst: 1, per_s: 1 },
        ..ServerLimits::default()
    };
    let (_running, site) = start_with(limits);
    let quic = site.connect().await;
    quic.exchange(&ask()).await;
    let (code, retry_ms) = refused(&quic.exchange(&ask()).await);
    assert_eq!(code, Reject::Overloaded.code());
    assert!(retry_ms.is_some_and(|retry_ms| retry_ms >= 1_000));
}

#[tokio::test]
async fn bodies_beyond_the_memory_come_later() {
    let limits = ServerLimits {
        bodies_bytes_max: 1,
        ..ServerLimits::default()
    };
    let (_running, site) = start_with(limits);
    let quic = site.connect().await;
    let (code, retry_ms) = refused(&quic.exchange(&ask()).await);
    assert_eq!(code, Reject::Overloaded.code());
    assert!(retry_ms.is_some());
}

//= spec/postern.md#quic-binding type=test
//# A server MUST take connections with the ALPN `postern/1` only.
#[tokio::test]
async fn connection_with_another_protocol_is_refused() {
    let certificate = certificate();
    let secret = ListenerSecret::fresh().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = configured(&certificate, ServerLimits::default(), secret, any);
    let running = start_configured(&config, &certificate, None);
    let address = running.server.quic_address().unwrap();
    for alpn in [&b"h3"[..], b"postern/2", b""] {
        let manners = Manners { alpn, ..POLITE };
        let site = QuicSite::new(address, &certificate.certificate_pem, manners);
        assert!(site.try_connect().await.is_err());
    }
    let failed = ConnectionRefusal::TlsFailed;
    assert_eq!(running.mailbox.metrics().connections_refused(failed), 3);
}

//= spec/postern.md#quic-binding type=test
//# A server MUST NOT take 0-RTT data.
#[tokio::test]
async fn early_data_is_never_offered() {
    let certificate = certificate();
    let secret = ListenerSecret::fresh().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = configured(&certificate, ServerLimits::default(), secret, any);
    let running = start_configured(&config, &certificate, None);
    let address = running.server.quic_address().unwrap();
    let manners = Manners {
        is_early: true,
        ..POLITE
    };
    let site = QuicSite::new(address, &certificate.certificate_pem, manners);
    // The answer to the first exchange comes after the ticket of the first connection.
    site.connect().await.exchange(&ask()).await;
    let again = site.connecting().into_0rtt();
    assert!(
        again.is_err(),
        "the ticket of this server allows no early data"
    );
}

#[tokio::test]
async fn streams_of_one_direction_and_datagrams_are_not_taken() {
    let (_running, site) = start();
    let quic = site.connect().await;
    assert!(quic.connection.max_datagram_size().is_none());
    let opening = quic.connection.open_uni();
    let mut opening = std::pin::pin!(opening);
    std::future::poll_fn(|context| {
        assert!(opening.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    quic.exchange(&ask()).await;
}

#[tokio::test]
async fn connections_beyond_the_cap_of_a_source_are_closed_and_counted() {
    let limits = ServerLimits {
        source_connections_max: 1,
        ..ServerLimits::default()
    };
    let (running, site) = start_with(limits);
    let first = site.connect().await;
    first.exchange(&ask()).await;
    let second = site.connect().await;
    let closed = second.connection.closed().await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)));
    // Both doors count together.
    assert!(running.site.try_tls(b"h2").await.is_err());
    let full = ConnectionRefusal::SourceFull;
    assert_eq!(running.mailbox.metrics().connections_refused(full), 2);
    first.connection.close(quinn::VarInt::from_u32(0), &[]);
    wait_connections(&running, 0).await;
}

#[tokio::test]
async fn connection_that_is_not_used_again_is_closed() {
    let limits = ServerLimits {
        idle_ms_max: 20,
        close_ms_max: 20,
        ..ServerLimits::default()
    };
    let (running, site) = start_with(limits);
    let quic = site.connect().await;
    quic.exchange(&ask()).await;
    let closed = quic.connection.closed().await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)));
    wait_connections(&running, 0).await;
}

#[tokio::test]
async fn connection_that_never_asks_is_closed() {
    let limits = ServerLimits {
        header_ms_max: 20,
        close_ms_max: 20,
        ..ServerLimits::default()
    };
    let (running, site) = start_with(limits);
    let quic = site.connect().await;
    let closed = quic.connection.closed().await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)));
    wait_connections(&running, 0).await;
}

#[tokio::test]
async fn shutdown_answers_held_polls_and_ends_connections() {
    let (running, site) = start();
    fill(&running.mailbox);
    let quic = site.connect().await;
    let mut session = quic.open(1).await;
    let request = poll(&mut session, 300, revision(1, 1));
    let held: QuicClient = quic.clone();
    let task = tokio::spawn(async move { held.exchange(&request.bytes).await });
    while running.mailbox.metrics().holds() == 0 {
        tokio::task::yield_now().await;
    }
    running.server.shutdown(10_000).await;
    let frame = task.await.unwrap();
    let hints = answer(&session, request.counter, &frame).hints;
    assert!(hints.retry_ms.is_some());
    let closed = quic.connection.closed().await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)));
}

#[tokio::test]
async fn attempts_beyond_their_rate_prove_their_address_and_are_served() {
    let limits = ServerLimits {
        quic_attempts: Rate { burst: 1, per_s: 1 },
        ..ServerLimits::default()
    };
    let (running, site) = start_with(limits);
    for _ in 0..5 {
        site.connect().await.exchange(&ask()).await;
    }
    let retried = running
        .mailbox
        .metrics()
        .quic_attempts(QuicAttempt::Retried);
    assert!(retried >= 3, "{retried}");
}

//= spec/postern.md#quic-binding type=test
//# A server MUST refuse a stream over QUIC with `frame-unknown`.
#[tokio::test]
async fn stream_over_quic_is_refused_and_the_session_goes_on() {
    let (running, site) = start();
    fill(&running.mailbox);
    let client = site.connect().await;
    let mut session = client.open(1).await;
    let request = stream(&mut session, (15_000, 100, 0), revision(1, 1));
    let frame = client.exchange(&request.bytes).await;
    assert_eq!(refusal(&frame), Reject::FrameUnknown.code());
    let request = poll(&mut session, 0, revision(1, 1));
    let frame = client.exchange(&request.bytes).await;
    assert!(answer(&session, request.counter, &frame).items.is_empty());
    assert_eq!(running.mailbox.metrics().streams(), 0);
}
