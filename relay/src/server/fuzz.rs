//! What must hold for whatever comes on a connection: plain functions for the fuzzer and for the tests.
//!
//! ```text
//!  script --duplex--> hyper, the service, the answerer, a host that admits nobody    (paused time)
//! ```
//!
//! Refuses TLS, which is another's code, and sockets: the bytes are those that TLS would hand over.

#![expect(clippy::panic, reason = "a finding is a panic")]

use super::connection::carry;
use super::counts::Counts;
use super::fronts;
use super::http::Service;
use super::{Host, HostAnswer, Mailbox, ServerLimits, Taken, answerer, route};
use crate::budget::Pool;
use crate::exchange::{AdmittedDevice, ExchangeLimits};
use crate::fuzz::{channel, signer, steps};
use crate::limiter::Source;
use crate::mailbox::Chunk;
use crate::server::link::Link;
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::{ChannelId, Plane};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// Bytes that the connection takes without being read: a frame and its head.
const DUPLEX_BYTES: usize = 64 * 1024;
/// Longer than any deadline of a connection whose client went silent.
const ENDS_WITHIN: Duration = Duration::from_secs(3_600);
/// Statuses of the binding, and those with which hyper itself refuses what is no request.
const STATUSES: [u16; 10] = [200, 400, 404, 405, 411, 413, 414, 429, 431, 503];

/// A host that knows nobody.
struct Nobody;

impl Host for Nobody {
    fn admitted(&self, _: ChannelId) -> Vec<AdmittedDevice> {
        vec![AdmittedDevice {
            channel: channel("press-1"),
            incarnation: crate::fuzz::INCARNATION,
            key: postern_protocol::key::Signer::public_key(&signer(2)).clone(),
        }]
    }

    fn enrol(&self, _: Vec<u8>) -> HostAnswer<Vec<u8>> {
        Box::pin(async { Err(Reject::TokenUnknown) })
    }

    fn posted(&self, _: ChannelId, _: Option<Plane>, _: Vec<u8>) -> HostAnswer<Taken> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }

    fn put(&self, _: ChannelId, _: Plane, _: Vec<Chunk>) -> HostAnswer<Taken> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }

    fn heartbeat_wanted(&self, _: ChannelId) -> HostAnswer<()> {
        Box::pin(async { Ok(()) })
    }
}

/// Steps of a client: bytes, pauses, whole requests. Every answer is one of the binding, the connection ends, and its
/// memory is given back.
pub(crate) fn http(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let Ok(runtime) = runtime else {
        unreachable!("a runtime without sockets is memory only")
    };
    let answer = runtime.block_on(connection(input));
    read_answers(&answer);
}

async fn connection(input: &[u8]) -> Vec<u8> {
    let limits = ServerLimits::default();
    let mailbox = Mailbox::new(Arc::new(signer(3)), ExchangeLimits::default());
    let Ok(mailbox) = mailbox else {
        unreachable!("the system gives random bytes")
    };
    let (Ok(answerer), Ok(path)) = (
        answerer(&limits, &mailbox, Arc::new(Nobody)),
        route("/gate"),
    ) else {
        unreachable!("the system gives random bytes, and the prefix is one")
    };
    let budget = Arc::clone(&answerer.budget);
    let counts = Arc::new(Counts::new(&limits, &budget, &mailbox));
    let source = Source::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let Ok(counted) = counts.take(source) else {
        unreachable!("it is the first connection")
    };
    let link = Arc::new(Link::new(counted));
    let service = Service {
        answerer,
        limits,
        path,
    };
    let (near, far) = tokio::io::duplex(DUPLEX_BYTES);
    let (_drain, draining) = watch::channel(None);
    let serving = tokio::spawn(async move {
        carry(far, false, &service, draining, &link).await;
    });
    let (mut receiving, sending) = tokio::io::split(near);
    let talking = talk(sending, input);
    let mut answer = Vec::new();
    let listening = async {
        // A server may cut what it does not want to read: what came before counts.
        let _ = receiving.read_to_end(&mut answer).await;
    };
    let whole = async { tokio::join!(talking, listening) };
    let ended = tokio::time::timeout(ENDS_WITHIN, whole).await;
    assert!(ended.is_ok(), "a connection that nobody uses lives on");
    assert!(serving.await.is_ok(), "the connection panicked");
    drop(receiving);
    for pool in [Pool::Bodies, Pool::Answers, Pool::Connections] {
        assert_eq!(budget.bytes_of(pool), 0, "{pool:?} is not given back");
    }
    answer
}

async fn talk(mut sending: tokio::io::WriteHalf<tokio::io::DuplexStream>, input: &[u8]) {
    for (selector, chunk) in steps(input) {
        let written = match selector % 4 {
            0 | 1 => sending.write_all(chunk).await,
            2 => {
                let head = format!(
                    "POST /gate/postern/1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                    chunk.len()
                );
                match sending.write_all(head.as_bytes()).await {
                    Ok(()) => sending.write_all(chunk).await,
                    broken @ Err(_) => broken,
                }
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(u64::from(selector) * 100)).await;
                Ok(())
            }
        };
        if written.is_err() {
            return;
        }
    }
    // The selector of the last step may leave the connection open: its deadlines end it.
    if input.last().is_none_or(|last| last % 2 == 0) {
        let _ = sending.shutdown().await;
    } else {
        tokio::time::sleep(ENDS_WITHIN / 2).await;
    }
}

/// Reads the answers of a connection, one behind the other.
fn read_answers(mut rest: &[u8]) {
    while !rest.is_empty() {
        let end = rest.windows(4).position(|part| part == b"\r\n\r\n");
        let Some(end) = end else {
            panic!("half a head: {}", String::from_utf8_lossy(rest))
        };
        let (head, body) = rest.split_at(end + 4);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|code| code.parse::<u16>().ok());
        let Some(status) = status.filter(|_| head.starts_with("http/1.")) else {
            panic!("no answer: {head}")
        };
        if status == 100 {
            rest = body;
            continue;
        }
        assert!(STATUSES.contains(&status), "{head}");
        let length = head.lines().find_map(|line| {
            let length = line.strip_prefix("content-length: ")?;
            length.parse::<usize>().ok()
        });
        // Nobody has a session, so nobody is served a stream.
        let Some(length) = length else {
            panic!("no length: {head}")
        };
        // The answer to HEAD names the length of what it leaves out.
        let is_left_out = body.is_empty() || body.starts_with(b"HTTP/1.");
        let length = if is_left_out { 0 } else { length };
        let Some((body, behind)) = body.split_at_checked(length) else {
            panic!("half a body: {head}")
        };
        if !body.is_empty() {
            read_body(status, &head, body);
        }
        rest = behind;
    }
}

fn read_body(status: u16, head: &str, body: &[u8]) {
    if head.contains("content-type: application/problem+json") {
        let text = String::from_utf8_lossy(body);
        assert!(text.contains(&format!("\"status\":{status}")), "{text}");
        assert!(status != 200, "{text}");
        return;
    }
    assert!(
        head.contains("content-type: application/octet-stream"),
        "{head}"
    );
    assert_eq!(status, 200, "{head}");
    let frame = PlainFrame::decode(body, Direction::Down);
    assert!(frame.is_ok(), "{frame:?}");
}

/// A header is read to its end and not beyond, whole or in pieces, and names an address that somebody can have.
pub(crate) fn proxy_header(input: &[u8]) {
    let front = SocketAddr::from(([10, 0, 0, 9], 40_000));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        unreachable!("a runtime without sockets is memory only")
    };
    let mut rest = input;
    let Ok(address) = runtime.block_on(fronts::read(&mut rest, front)) else {
        return;
    };
    let taken = input.len() - rest.len();
    assert!(!address.is_unspecified(), "{address}");
    assert!(!address.is_multicast(), "{address}");
    let header = input.get(..taken).unwrap_or_default();
    let alone = runtime.block_on(fronts::read(&mut &*header, front));
    assert_eq!(alone.ok(), Some(address), "what follows changes the header");
    let cut = header.get(..taken.saturating_sub(1)).unwrap_or_default();
    let cut = runtime.block_on(fronts::read(&mut &*cut, front));
    assert!(cut.is_err(), "a header without its end");
}
