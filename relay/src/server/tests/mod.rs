//! The server over real TLS on loopback.

mod armour;
mod behind;
mod carried;
mod client;
mod drain;
mod fronts;
mod holds;
mod limits;
mod posts;
mod queue;
mod quic;
mod quic_client;
mod quic_floods;
mod refused_meanwhile;
mod streams;
mod wire;

use super::{
    Fronts, Host, HostAnswer, Mailbox, Server, ServerConfig, ServerLimits, Sockets, Taken,
};
use crate::exchange::{AdmittedDevice, ExchangeLimits};
use crate::fixtures::{admitted, channel_id, digest, mailbox_signer};
use crate::mailbox::{Chunk, MailboxLimits};
use client::Site;
use postern_protocol::Reject;
use postern_protocol::frame::Wanted;
use postern_protocol::id::{ChannelId, Plane};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc};

/// A host that takes reports when told to.
struct TestHost {
    /// Each permit lets one post be answered.
    durable: Arc<Semaphore>,
    /// Told of every post before it is durable.
    seen: mpsc::UnboundedSender<Vec<u8>>,
    /// What posts and enrolments are refused with.
    refusal: Option<Reject>,
    /// Set while its store takes nothing: milliseconds.
    unavailable_ms: Arc<AtomicU64>,
}

impl Host for TestHost {
    fn unavailable_ms(&self) -> Option<u64> {
        Some(self.unavailable_ms.load(Ordering::SeqCst)).filter(|ms| *ms > 0)
    }

    fn admitted(&self, channel: ChannelId) -> Vec<AdmittedDevice> {
        if channel == channel_id() {
            vec![admitted()]
        } else {
            Vec::new()
        }
    }

    fn enrol(&self, frame: Vec<u8>) -> HostAnswer<Vec<u8>> {
        let refusal = self.refusal;
        Box::pin(async move { refusal.map_or(Ok(frame), Err) })
    }

    fn posted(&self, _: ChannelId, _: Option<Plane>, envelope: Vec<u8>) -> HostAnswer<Taken> {
        self.answer(envelope, Taken::default())
    }

    fn put(&self, _: ChannelId, _: Plane, chunks: Vec<Chunk>) -> HostAnswer<Taken> {
        let wanted = vec![missing()];
        let taken = Taken {
            wanted,
            ..Taken::default()
        };
        self.answer(chunks[0].bytes.clone(), taken)
    }

    fn heartbeat_wanted(&self, _: ChannelId) -> HostAnswer<()> {
        self.answer(Vec::new(), ())
    }
}

impl TestHost {
    fn answer<T: Send + 'static>(&self, seen: Vec<u8>, answer: T) -> HostAnswer<T> {
        let (durable, refusal) = (Arc::clone(&self.durable), self.refusal);
        self.seen.send(seen).unwrap();
        Box::pin(async move {
            durable.acquire().await.unwrap().forget();
            refusal.map_or(Ok(answer), Err)
        })
    }
}

/// What the host still lacks after any put.
fn missing() -> Wanted {
    Wanted {
        digest: digest(7),
        offset: 3,
    }
}

/// A mailbox of this many bytes a device.
fn quota_of(bytes_max: usize) -> Mailbox {
    let limits = ExchangeLimits {
        mailbox: MailboxLimits {
            bytes_max,
            ..MailboxLimits::default()
        },
        ..ExchangeLimits::default()
    };
    Mailbox::new(mailbox_signer(), limits).unwrap()
}

/// A server, its mailbox, and what its host sees.
struct Running {
    server: Server,
    mailbox: Mailbox,
    site: Site,
    durable: Arc<Semaphore>,
    seen: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Milliseconds for which the host says that its store takes nothing; 0 while it does.
    unavailable_ms: Arc<AtomicU64>,
}

struct Certificate {
    certificate_pem: String,
    key_pem: String,
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Certificate {
        certificate_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

fn config(certificate: &Certificate, limits: ServerLimits) -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        prefix: "/gate".to_owned(),
        certificate_pem: certificate.certificate_pem.clone().into_bytes(),
        key_pem: certificate.key_pem.clone().into_bytes(),
        quic: None,
        limits,
    }
}

fn start_with(limits: ServerLimits, refusal: Option<Reject>) -> Running {
    let certificate = certificate();
    start_configured(&config(&certificate, limits), &certificate, refusal)
}

fn start_configured(
    config: &ServerConfig,
    certificate: &Certificate,
    refusal: Option<Reject>,
) -> Running {
    start_behind(config, certificate, refusal, Fronts::default())
}

fn start_behind(
    config: &ServerConfig,
    certificate: &Certificate,
    refusal: Option<Reject>,
    fronts: Fronts,
) -> Running {
    let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
    let durable = Arc::new(Semaphore::new(0));
    let (seen_sender, seen) = mpsc::unbounded_channel();
    let host = TestHost {
        durable: Arc::clone(&durable),
        seen: seen_sender,
        refusal,
        unavailable_ms: Arc::default(),
    };
    let unavailable_ms = Arc::clone(&host.unavailable_ms);
    let sockets = Sockets::bind(config).unwrap().behind(fronts);
    let host = Arc::new(host);
    let server = Server::start_on(config, sockets, mailbox.clone(), host, Vec::new()).unwrap();
    let site = Site::new(server.local_address(), &certificate.certificate_pem);
    Running {
        server,
        mailbox,
        site,
        durable,
        seen,
        unavailable_ms,
    }
}

fn start() -> Running {
    start_with(ServerLimits::default(), None)
}
