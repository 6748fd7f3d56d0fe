//! A server behind a load balancer on the level of TCP: whose address counts, and whom it refuses.
//!
//! The tests are the load balancer, on loopback. Refuses to trust a header's parser: that has tests
//! of its own.

use super::client::Site;
use super::{Running, certificate, config, start_behind};
use crate::fixtures::ask;
use crate::metrics::ConnectionRefusal;
use crate::server::{Fronts, ServerLimits};
use postern_protocol::frame::{Direction, PlainFrame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn behind(front: &str, limits: ServerLimits) -> Running {
    let certificate = certificate();
    let fronts = Fronts::new(vec![front.parse().unwrap()]);
    let config = config(&certificate, limits);
    start_behind(&config, &certificate, None, fronts)
}

/// The header that a front sends for this client.
fn header(client: [u8; 4]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(client);
    bytes.extend([127, 0, 0, 1, 0xc0, 0x01, 0x20, 0xfb]);
    bytes
}

/// The way through a front for this client.
fn through(running: &Running, client: [u8; 4]) -> Site {
    let mut site = running.site.clone();
    site.preface = header(client);
    site
}

async fn is_served(site: &Site) -> bool {
    let Ok(stream) = site.try_tls(b"http/1.1").await else {
        return false;
    };
    drop(stream);
    let answer = site.h1().await.exchange(ask()).await;
    matches!(
        PlainFrame::decode(&answer, Direction::Down),
        Ok(PlainFrame::Challenge { .. })
    )
}

fn refused(running: &Running, reason: ConnectionRefusal) -> u64 {
    running.mailbox.metrics().connections_refused(reason)
}

#[tokio::test]
async fn client_behind_a_front_counts_by_the_address_that_the_front_states() {
    let limits = ServerLimits {
        source_unproven_max: 1,
        ..ServerLimits::default()
    };
    let running = behind("127.0.0.0/8", limits);
    let (one, other) = ([203, 0, 113, 7], [203, 0, 113, 8]);
    let first = through(&running, one).h1().await;
    // The same client has its one place; another one behind the same front has its own.
    assert!(through(&running, one).try_tls(b"http/1.1").await.is_err());
    assert_eq!(refused(&running, ConnectionRefusal::SourceUnproven), 1);
    let mut second = through(&running, other).h1().await;
    let answer = second.exchange(ask()).await;
    assert!(PlainFrame::decode(&answer, Direction::Down).is_ok());
    drop(first);
}

#[tokio::test]
async fn front_without_a_header_that_can_be_believed_is_cut_off_and_counted() {
    let running = behind("127.0.0.1", ServerLimits::default());
    assert!(running.site.try_tls(b"http/1.1").await.is_err());
    let mut version_1 = running.site.clone();
    version_1.preface = b"PROXY TCP4 203.0.113.7 127.0.0.1 49153 8443\r\n".to_vec();
    assert!(version_1.try_tls(b"http/1.1").await.is_err());
    let mut nobody = running.site.clone();
    nobody.preface = header([0, 0, 0, 0]);
    assert!(nobody.try_tls(b"http/1.1").await.is_err());
    assert_eq!(refused(&running, ConnectionRefusal::ProxyHeader), 3);
    assert!(is_served(&through(&running, [203, 0, 113, 7])).await);
    assert_eq!(refused(&running, ConnectionRefusal::ProxyHeader), 3);
}

#[tokio::test]
async fn header_that_does_not_come_in_time_ends_the_connection() {
    let limits = ServerLimits {
        tls_handshake_ms_max: 50,
        ..ServerLimits::default()
    };
    let running = behind("127.0.0.1", limits);
    let mut stream = running.site.tcp().await;
    stream
        .write_all(&header([203, 0, 113, 7])[..20])
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _cut = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert_eq!(refused(&running, ConnectionRefusal::ProxyHeader), 1);
    assert_eq!(running.mailbox.metrics().connections(), 0);
}

#[tokio::test]
async fn peer_that_is_no_front_is_never_asked_for_a_header_or_believed() {
    let running = behind("10.0.0.0/8", ServerLimits::default());
    assert!(is_served(&running.site).await);
    assert!(!is_served(&through(&running, [203, 0, 113, 7])).await);
    assert_eq!(refused(&running, ConnectionRefusal::TlsFailed), 1);
    assert_eq!(refused(&running, ConnectionRefusal::ProxyHeader), 0);
}
