//! Paths that die, move or come back while an exchange waits, and what waiting costs.
//!
//! Time is virtual: an hour passes in a moment, and every second of it is quinn's own.

use super::server::{Act, Door, QuicServer, Way};
use super::{ALPN, pong, quic, serving};
use crate::site::{Site, exchange, outcome};
use bytes::Bytes;
use postern_egress::{Answer, Client, ExchangeLimits, TransportError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A hold as long as devices use.
const HOLD: ExchangeLimits = ExchangeLimits {
    deadline: Duration::from_secs(300),
    answer_bytes_max: 1024,
};

/// Lets virtual time pass.
async fn pass(time: Duration) {
    sleep_until(Instant::now() + time).await;
}

fn held(client: &Arc<Client>) -> JoinHandle<Result<Answer, TransportError>> {
    let client = Arc::clone(client);
    tokio::spawn(async move { client.exchange(Bytes::from_static(b"hold"), HOLD).await })
}

/// Lets a path carry a held exchange for so long, cuts it, and returns the failure and its delay.
async fn cut_after(age: Duration) -> (TransportError, Duration) {
    let site = Site::new();
    let hold = Duration::from_secs(250);
    let server = serving(&site, vec![Act::Hold(hold, b"news".to_vec())]);
    let way = Way::to(server.address, <[u8]>::to_vec).await;
    let client = Arc::new(quic(&site, way.address));
    let started = Instant::now();
    let mut exchange = held(&client);
    while started.elapsed() < age {
        tokio::select! {
            answered = &mut exchange => {
                assert_eq!(answered.unwrap().unwrap().body, "news");
                exchange = held(&client);
            }
            () = pass(age.saturating_sub(started.elapsed())) => {}
        }
    }
    way.is_cut.store(true, Ordering::SeqCst);
    let cut = Instant::now();
    let error = exchange.await.unwrap().unwrap_err();
    assert_eq!(server.connections(), 1);
    (error, cut.elapsed())
}

#[tokio::test(start_paused = true)]
async fn c04_path_that_dies_after_a_minute_is_left_within_8_s() {
    let mut worst = Duration::ZERO;
    // Wherever the cut falls between two signs of life.
    for tenth in 0..10 {
        let (error, delay) = cut_after(Duration::from_millis(56_000 + 400 * tenth)).await;
        assert_eq!(error.code(), "PST-U09");
        assert!(error.blames_udp() && error.sent_for.is_some());
        worst = worst.max(delay);
    }
    assert!(worst <= Duration::from_secs(8), "{worst:?}");
    println!("worst delay of a young path: {worst:?}");
}

#[tokio::test(start_paused = true)]
async fn path_that_dies_after_hours_is_left_within_32_s() {
    let (error, delay) = cut_after(Duration::from_secs(2 * 3_600 + 40)).await;
    assert_eq!(error.code(), "PST-U09");
    assert!(delay <= Duration::from_secs(32), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn request_into_a_path_that_died_fails_in_4_s_and_is_not_sent_twice() {
    let site = Site::new();
    let server = serving(&site, vec![pong()]);
    let way = Way::to(server.address, <[u8]>::to_vec).await;
    let client = quic(&site, way.address);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    way.is_cut.store(true, Ordering::SeqCst);
    let started = Instant::now();
    let error = exchange(&client).await.unwrap_err();
    assert_eq!(error.code(), "PST-U09");
    assert!(
        started.elapsed() <= Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    way.is_cut.store(false, Ordering::SeqCst);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((server.connections(), server.requests()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn gap_of_two_seconds_is_survived() {
    let site = Site::new();
    let hold = Duration::from_secs(60);
    let server = serving(&site, vec![Act::Hold(hold, b"news".to_vec())]);
    let way = Way::to(server.address, <[u8]>::to_vec).await;
    let client = Arc::new(quic(&site, way.address));
    let exchange = held(&client);
    server.wait_for(1).await;
    for _ in 0..5 {
        pass(Duration::from_millis(7_100)).await;
        way.is_cut.store(true, Ordering::SeqCst);
        pass(Duration::from_secs(2)).await;
        way.is_cut.store(false, Ordering::SeqCst);
    }
    assert_eq!(exchange.await.unwrap().unwrap().body, "news");
    assert_eq!((server.connections(), server.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_nothing_waits_and_the_next_exchange_connects_again() {
    let site = Site::new();
    let server = serving(&site, vec![pong()]);
    let client = quic(&site, server.address);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    pass(Duration::from_secs(5)).await;
    let before = client.traffic().bytes_up();
    pass(Duration::from_secs(600)).await;
    assert_eq!(client.traffic().bytes_up(), before);
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((server.connections(), server.requests()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn connection_moves_to_another_socket_under_a_held_exchange() {
    let site = Site::new();
    let hold = Duration::from_secs(60);
    let server = serving(&site, vec![Act::Hold(hold, b"news".to_vec())]);
    let client = Arc::new(quic(&site, server.address));
    let exchange = held(&client);
    server.wait_for(1).await;
    let before = server.client();
    client.handle_network_changed();
    assert_eq!(exchange.await.unwrap().unwrap().body, "news");
    assert_ne!(server.client(), before);
    assert_eq!((server.connections(), server.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn restarted_server_ends_held_exchanges_at_the_next_packet() {
    let site = Site::new();
    let tls = site.ca.serve(&["controller.test"], ALPN);
    let server = QuicServer::start(&tls, Door::Open, vec![Act::Silence]);
    let way = Way::to(server.address, <[u8]>::to_vec).await;
    let client = Arc::new(quic(&site, way.address));
    let exchange = held(&client);
    server.wait_for(1).await;
    let started = Instant::now();
    // The same secret in another life: it knows its own ids, and none of these connections.
    let again = QuicServer::start(&tls, Door::Open, vec![pong()]);
    *way.server.lock().unwrap() = again.address;
    let error = exchange.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "PST-U10");
    assert!(
        started.elapsed() <= Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
    assert!(error.sent_for.is_some() && !error.blames_udp());
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((again.connections(), again.requests()), (1, 1));
}

#[tokio::test]
async fn exchange_that_is_given_up_is_told_to_the_server_and_costs_nobody_else() {
    let site = Site::new();
    let server = serving(&site, vec![Act::Silence, pong()]);
    let client = Arc::new(quic(&site, server.address));
    let exchange = held(&client);
    server.wait_for(1).await;
    exchange.abort();
    assert!(exchange.await.is_err());
    assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
    assert_eq!((server.connections(), server.requests()), (1, 2));
}

/// A process of its own: what it leaves to a runtime that ends with it is never sent.
fn process(job: impl Future<Output = ()> + Send + 'static) {
    let ended = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(job);
    });
    ended.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_hears_that_a_process_is_done_before_the_process_ends() {
    let site = Site::new();
    let server = serving(&site, vec![pong()]);
    let client = quic(&site, server.address);
    process(async move {
        assert_eq!(outcome(&client).await, Ok("pong".to_owned()));
        client.close().await;
    });
    let connection = server.seen.last.lock().unwrap().clone().unwrap();
    // Its silence would end it after the minute that this server waits.
    let heard = tokio::time::timeout(Duration::from_secs(20), connection.closed()).await;
    assert!(matches!(
        heard,
        Ok(quinn::ConnectionError::ApplicationClosed(_))
    ));
}

/// Bytes of an idle poll and its answer, as devices and mailboxes exchange them.
const IDLE: (usize, usize) = (34, 16);

/// Bytes of the first three hours in which every poll is held this long and nothing happens.
async fn idle_hours(hold_s: u64) -> Vec<u64> {
    let site = Site::new();
    let hold = Duration::from_secs(hold_s);
    let server = serving(&site, vec![Act::Hold(hold, vec![0; IDLE.1])]);
    let client = quic(&site, server.address);
    let started = Instant::now();
    let mut hours = Vec::new();
    for hour in 1..=3_u64 {
        let before = client.traffic().bytes_up() + client.traffic().bytes_down();
        while started.elapsed() < Duration::from_secs(3_600 * hour) {
            let poll = Bytes::from(vec![0; IDLE.0]);
            client.exchange(poll, HOLD).await.unwrap();
        }
        hours.push(client.traffic().bytes_up() + client.traffic().bytes_down() - before);
    }
    assert_eq!(server.connections(), 1);
    hours
}

#[tokio::test(start_paused = true)]
async fn idle_hour_at_a_hold_of_55_s_stays_within_its_budget() {
    let hours = idle_hours(55).await;
    println!("bytes of idle hours: {hours:?}");
    assert!(hours[1] <= 15_500 && hours[2] <= 15_500, "{hours:?}");
    assert!(hours[0] <= 28_000, "{hours:?}");
}

/// Bytes of the heartbeats of an hour: twelve of 198.
const HEARTBEATS: u64 = 12 * 198;

#[tokio::test(start_paused = true)]
async fn idle_hour_at_the_hold_that_a_quiet_route_reaches_stays_below_16_kb() {
    let hours = idle_hours(115).await;
    println!("bytes of idle hours: {hours:?}");
    assert!(hours[1] + HEARTBEATS <= 16_000, "{hours:?}");
}
