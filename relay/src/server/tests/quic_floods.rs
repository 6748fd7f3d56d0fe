//! Forged attempts, and a server that comes back.

use super::quic::configured;
use super::quic_client::{Manners, POLITE, QuicSite};
use super::{Certificate, certificate, start_configured};
use crate::budget::Pool;
use crate::fixtures::ask;
use crate::limiter::Rate;
use crate::limits::{QUIC_ATTEMPTS_BURST, QUIC_ATTEMPTS_PER_S, QUIC_HALF_OPEN_BYTES};
use crate::metrics::QuicAttempt;
use crate::server::{ListenerSecret, ServerLimits};
use quinn::ConnectionError;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// First packets of clients that will never hear an answer.
async fn initials(count: usize, certificate: &Certificate) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = sink.local_addr().unwrap();
    let site = QuicSite::new(address, &certificate.certificate_pem, POLITE);
    let mut packets = Vec::new();
    let mut seen = BTreeSet::new();
    let mut buffer = vec![0; 2_048];
    while packets.len() < count {
        let connecting = site.connecting();
        let (bytes, _) = sink.recv_from(&mut buffer).await.unwrap();
        // Later packets of an attempt go to the connection id that its first packet made up.
        let id_bytes = usize::from(buffer[5]);
        if seen.insert(buffer[6..6 + id_bytes].to_vec()) {
            packets.push(buffer[..bytes].to_vec());
        }
        drop(connecting);
    }
    packets
}

//= spec/postern.md#quic-binding type=test
//# A server MUST NOT count an attempt against its source before the source's address is proven.
#[tokio::test]
async fn forged_attempts_hold_no_more_memory_than_a_few() {
    let certificate = certificate();
    let secret = ListenerSecret::fresh().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let limits = ServerLimits::default();
    let config = configured(&certificate, limits, secret, any);
    let running = start_configured(&config, &certificate, None);
    let address = running.server.quic_address().unwrap();
    let forger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let metrics = running.mailbox.metrics();
    let mut sent = 0;
    for packet in initials(900, &certificate).await {
        forger.send_to(&packet, address).await.unwrap();
        sent += 1;
        let judged = || {
            let outcomes = QuicAttempt::ALL.iter();
            outcomes.map(|one| metrics.quic_attempts(*one)).sum::<u64>()
        };
        // One by one, so that no buffer of the kernel decides what is counted.
        while judged() < sent {
            tokio::task::yield_now().await;
        }
    }
    let begun = metrics.quic_attempts(QuicAttempt::Begun);
    let seconds = 5;
    let most = u64::from(QUIC_ATTEMPTS_BURST + QUIC_ATTEMPTS_PER_S * seconds);
    assert!(begun <= most, "{begun}");
    assert!(metrics.quic_attempts(QuicAttempt::Retried) > 0);
    let budget = &running.server.shared.service.answerer.budget;
    let most = usize::try_from(begun).unwrap() * QUIC_HALF_OPEN_BYTES;
    assert!(budget.bytes_of(Pool::Connections) <= most);
    assert_eq!(metrics.connections(), 0);
    // Whoever can answer is still served.
    let site = QuicSite::of(&running, &certificate);
    site.connect().await.exchange(&ask()).await;
}

/// A server in a thread of its own that ends without a word, as a killed process does.
struct Mortal {
    address: SocketAddr,
    kill: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Mortal {
    fn start(certificate: &Certificate, secret: &ListenerSecret, listen: SocketAddr) -> Self {
        let limits = ServerLimits::default();
        let config = configured(certificate, limits, secret.clone(), listen);
        let certificate = Certificate {
            certificate_pem: certificate.certificate_pem.clone(),
            key_pem: certificate.key_pem.clone(),
        };
        let (kill, killed) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let running = runtime.block_on(async {
                let running = start_configured(&config, &certificate, None);
                tell.send(running.server.quic_address().unwrap()).unwrap();
                let _ = killed.await;
                running
            });
            // Nobody runs any more when the tasks are dropped: not one packet leaves.
            drop(runtime);
            drop(running);
        });
        Self {
            address: told.recv().unwrap(),
            kill,
            thread,
        }
    }

    fn kill(self) {
        self.kill.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// What a client of the former life gets to know when it asks the next one.
async fn asked_after_restart(is_same_secret: bool) -> ConnectionError {
    let certificate = certificate();
    let secret = ListenerSecret::fresh().unwrap();
    let first = Mortal::start(&certificate, &secret, "127.0.0.1:0".parse().unwrap());
    let manners = Manners {
        idle_ms: 5_000,
        ..POLITE
    };
    let site = QuicSite::new(first.address, &certificate.certificate_pem, manners);
    let client = site.connect().await;
    client.exchange(&ask()).await;
    let address = first.address;
    first.kill();
    let next = match is_same_secret {
        true => secret,
        false => ListenerSecret::fresh().unwrap(),
    };
    let second = Mortal::start(&certificate, &next, address);
    let _ = client.try_exchange(&ask()).await;
    let error = client.connection.closed().await;
    site.connect().await.exchange(&ask()).await;
    second.kill();
    error
}

//= spec/postern.md#quic-binding type=test
//# A server SHOULD keep the keys of its stateless resets and connection ids over a restart.
#[tokio::test]
async fn server_that_comes_back_resets_connections_of_its_former_life() {
    let error = asked_after_restart(true).await;
    assert_eq!(error, ConnectionError::Reset);
}

#[tokio::test]
async fn server_with_another_secret_leaves_them_to_their_timeout() {
    let error = asked_after_restart(false).await;
    assert_eq!(error, ConnectionError::TimedOut);
}

/// A storm of honest clients: nearly each of them is asked for proof of its address first.
#[tokio::test]
async fn clients_that_are_asked_for_proof_of_their_address_all_get_in() {
    let certificate = certificate();
    let limits = ServerLimits {
        quic_attempts: Rate { burst: 1, per_s: 1 },
        source_connections_max: usize::MAX,
        source_unproven_max: usize::MAX,
        ..ServerLimits::default()
    };
    let (secret, any) = (
        ListenerSecret::fresh().unwrap(),
        "127.0.0.1:0".parse().unwrap(),
    );
    let config = configured(&certificate, limits, secret, any);
    let running = start_configured(&config, &certificate, None);
    let site = QuicSite::of(&running, &certificate);
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(site.connect().await);
    }
    let metrics = running.mailbox.metrics();
    assert!(metrics.quic_attempts(QuicAttempt::Retried) > 200);
    assert_eq!(metrics.connections(), 300);
}
