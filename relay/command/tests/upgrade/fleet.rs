//! Devices and a controller of one tenant around a relay that is a process, and what they counted.
//!
//! Each device posts deltas of its plane one after the other, as fast as they are acknowledged; some
//! also hold a poll. A connection that ends is made anew, and what was not acknowledged is sent
//! again. Refuses to greet twice: a session that does not go on is an error.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use postern_protocol::admission::{Admission, AdmissionStatus};
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::frame::{
    Answer, Collect, Delivery, Direction, DownFrame, Entry, Item, PlainFrame, Poll, UpFrame,
};
use postern_protocol::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint,
};
use postern_protocol::key::{MemorySigner, PublicKey, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{ArrivalNumber, BundleNumber, Epoch, Revision, Seq, StoreEpoch};
use postern_protocol::session::{Asking, ClientSession, Identity, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const LIFE: Incarnation = Incarnation::from_bytes([7; 16]);
const TENANT: &str = "plant-1";

/// What everybody counted together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that the kernel refused.
    pub(crate) refused: AtomicU64,
    /// Connections made.
    pub(crate) connected: AtomicU64,
    /// Exchanges that were sent again because their connection ended.
    pub(crate) again: AtomicU64,
    /// Hellos.
    pub(crate) hellos: AtomicU64,
    /// Deltas that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Held polls that were answered.
    pub(crate) polls: AtomicU64,
}

/// The relay as its clients know it.
pub(crate) struct Site {
    address: SocketAddr,
    tls: TlsConnector,
    mailbox: PublicKey,
    root: MemorySigner,
    writer: MemorySigner,
    pub(crate) counts: Counts,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Site {
    /// `seed` is the one of the trust line.
    pub(crate) fn new(dir: &Path, address: SocketAddr, seed: u8) -> Self {
        let key = postern_console::keys::read(
            &dir.join("mailbox.key"),
            postern_console::keys::KeyRole::Mailbox,
        );
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(dir.join("tls/ca.crt")).expect("a CA");
        let ca = CertificateDer::from_pem_slice(&pem).expect("a certificate");
        roots.add(ca).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            tls: TlsConnector::from(Arc::new(config)),
            mailbox: key.expect("a key").public_key().clone(),
            root: MemorySigner::from_seed(&[seed; 32]),
            writer: MemorySigner::from_seed(&[seed + 2; 32]),
            counts: Counts::default(),
        }
    }

    fn genesis(&self) -> Thumbprint {
        self.root.public_key().thumbprint()
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = match TcpStream::connect(self.address).await {
            Ok(stream) => stream,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
                add(&self.counts.refused);
                return None;
            }
        };
        add(&self.counts.connected);
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.tls.connect(name, stream).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    /// One exchange; sent again over a new connection until it is answered.
    async fn exchange(&self, link: &mut Link, frame: &[u8]) -> Vec<u8> {
        loop {
            if let Some(answer) = self.try_exchange(link, frame).await {
                return answer;
            }
            link.0 = None;
            add(&self.counts.again);
            tokio::task::yield_now().await;
        }
    }

    async fn try_exchange(&self, link: &mut Link, frame: &[u8]) -> Option<Vec<u8>> {
        if link.0.is_none() {
            link.0 = self.connect().await;
        }
        let sender = link.0.as_mut()?;
        sender.ready().await.ok()?;
        let request = HttpRequest::post("/postern/1")
            .header("host", "localhost")
            .body(Full::new(Bytes::copy_from_slice(frame)))
            .expect("a request");
        let response = sender.send_request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = response.into_body().collect().await.ok()?;
        Some(body.to_bytes().to_vec())
    }

    async fn open(&self, link: &mut Link, identity: Identity<'_>, seed: u8) -> ClientSession {
        add(&self.counts.hellos);
        let (asking, ask) = Asking::start(BundleNumber::new(1)).expect("an ask");
        let challenge = self.exchange(link, &ask).await;
        let greeted = asking.handle_challenge(&challenge, [&self.mailbox], identity, &[seed; 32]);
        let (greeting, hello) = greeted.expect("a hello");
        let welcome = self.exchange(link, &hello).await;
        greeting.handle_welcome(&welcome, 0).expect("a session")
    }

    /// Asks in a session. A frame whose connection ended was perhaps taken: it goes out anew, under
    /// a counter of its own.
    async fn ask(&self, line: &mut Line, frame: &UpFrame<'_>) -> (u16, Vec<u8>) {
        loop {
            let sealed = line.session.seal_request(frame);
            let Request { counter, bytes } = sealed.expect("a frame");
            let answered = self.try_exchange(&mut line.link, &bytes).await;
            let Some(answer) = answered else {
                line.link.0 = None;
                add(&self.counts.again);
                tokio::task::yield_now().await;
                continue;
            };
            if let Ok(PlainFrame::Refused { code, .. }) =
                PlainFrame::decode(&answer, Direction::Down)
            {
                panic!("refused with {code}");
            }
            return (counter, answer);
        }
    }
}

/// A connection, if there is one.
#[derive(Default)]
struct Link(Option<SendRequest<Full<Bytes>>>);

/// A session and its connection.
pub(crate) struct Line {
    session: ClientSession,
    link: Link,
}

impl Line {
    fn open_answer<'a>(&self, counter: u16, frame: &'a [u8]) -> Answer<'a> {
        match self.session.open_answer(counter, frame).expect("an answer") {
            DownFrame::Answer(answer) => answer,
            other @ (DownFrame::Bodies(_)
            | DownFrame::Collected(_)
            | DownFrame::StreamAnswer(_)) => panic!("{other:?}"),
        }
    }
}

fn tenant() -> Tenant {
    Tenant::parse(TENANT).expect("a tenant")
}

fn device_key() -> MemorySigner {
    MemorySigner::from_seed(&[77; 32])
}

/// The controller of the tenant.
pub(crate) struct Controller {
    line: Line,
    store: u64,
    cursor: u64,
    /// What was collected: deltas and snapshots by channel and number.
    pub(crate) collected: BTreeMap<ChannelId, BTreeSet<u64>>,
}

impl Controller {
    pub(crate) async fn greet(site: &Site) -> Self {
        let mut link = Link::default();
        let tenant = tenant();
        let identity = Identity::writer(site.genesis(), &tenant, &site.writer);
        let session = site.open(&mut link, identity, 1).await;
        Self {
            line: Line { session, link },
            store: 0,
            cursor: 0,
            collected: BTreeMap::new(),
        }
    }

    /// Admits a device.
    pub(crate) async fn admit(&mut self, site: &Site, device: &Device) {
        let admission = Admission {
            device: device.channel.device.clone(),
            status: AdmissionStatus::Admitted,
            incarnation: LIFE,
            keys: vec![device_key().public_key().clone()],
            quota_bytes: 1 << 20,
            bundle: BundleNumber::new(1),
        };
        let revision = Revision::new(Epoch::new(1), Seq::new(1));
        let sealed = admission.seal(revision, site.genesis(), &tenant(), &site.writer);
        let envelope = sealed.expect("an admission").into_bytes();
        let delivery = Delivery {
            channel: Some(device.channel.id()),
            item: Item {
                plane: None,
                envelope: &envelope,
            },
        };
        let frame = UpFrame::Deliver(vec![delivery]);
        let (counter, answer) = site.ask(&mut self.line, &frame).await;
        let refused = self.line.open_answer(counter, &answer).hints.refused;
        assert!(refused.is_empty(), "{refused:?}");
    }

    /// Collects once, acknowledging what it has. Returns how many entries came.
    pub(crate) async fn collect(&mut self, site: &Site, hold_s: u16) -> usize {
        let collect = Collect {
            hold_s,
            store: StoreEpoch::new(self.store),
            cursor: ArrivalNumber::new(self.cursor),
        };
        let (counter, answer) = site.ask(&mut self.line, &UpFrame::Collect(collect)).await;
        let opened = self.line.session.open_answer(counter, &answer);
        let DownFrame::Collected(collected) = opened.expect("an answer") else {
            panic!("another answer");
        };
        self.store = collected.store.number();
        for entry in &collected.entries {
            self.cursor = entry.arrival().number();
            if let Entry::Envelope { delivery, .. } = entry {
                let envelope =
                    postern_protocol::envelope::ReceivedEnvelope::parse(delivery.item.envelope);
                let seq = envelope.expect("an envelope").unverified_header().seq;
                let channel = delivery.channel.expect("a channel");
                self.collected
                    .entry(channel)
                    .or_default()
                    .insert(seq.number());
            }
        }
        collected.entries.len()
    }
}

/// A device, its session, and how far it is.
pub(crate) struct Device {
    pub(crate) channel: Channel,
    /// The last number that the relay acknowledged.
    pub(crate) acknowledged: u64,
    line: Option<Line>,
}

impl Device {
    pub(crate) fn new(site: &Site, number: usize) -> Self {
        let device = DeviceName::parse(&format!("press-{number}")).expect("a name");
        Self {
            channel: Channel {
                root: site.genesis(),
                tenant: tenant(),
                device,
            },
            acknowledged: 0,
            line: None,
        }
    }

    pub(crate) async fn greet(&mut self, site: &Site, seed: u8) {
        let mut link = Link::default();
        let key = device_key();
        let identity = Identity::device(&self.channel, LIFE, &key);
        let session = site.open(&mut link, identity, seed).await;
        self.line = Some(Line { session, link });
    }

    /// Posts the next delta, the first time a snapshot, and waits for its acknowledgement.
    pub(crate) async fn post(&mut self, site: &Site) {
        let seq = self.acknowledged + 1;
        let envelope = if seq == 1 {
            self.seal(MessageKind::Snapshot, seq, 0)
        } else {
            self.seal(MessageKind::Delta, seq, seq - 1)
        };
        let item = Item {
            plane: Some(Plane::Actual),
            envelope: &envelope,
        };
        let frame = UpFrame::Post(vec![item]);
        let line = self.line.as_mut().expect("a session");
        let (counter, answer) = site.ask(line, &frame).await;
        let hints = line.open_answer(counter, &answer).hints;
        assert!(hints.refused.is_empty(), "{:?}", hints.refused);
        self.acknowledged = seq;
        add(&site.counts.acknowledged);
    }

    /// Holds a poll and returns the hint of its answer, in milliseconds.
    pub(crate) async fn poll(&mut self, site: &Site) -> u64 {
        let poll = Poll {
            hold_s: 60,
            bundle: BundleNumber::new(1),
            acked: Some(Seq::new(0)),
            desired: Revision::NONE,
            actual: None,
            receipt: None,
        };
        let line = self.line.as_mut().expect("a session");
        let (counter, answer) = site.ask(line, &UpFrame::Poll(poll)).await;
        add(&site.counts.polls);
        let hints = line.open_answer(counter, &answer).hints;
        hints.retry_ms.unwrap_or_default()
    }

    fn seal(&self, kind: MessageKind, seq: u64, base: u64) -> Vec<u8> {
        let mut payload = Writer::new();
        // A relay reads the table of a snapshot, and nothing of a delta.
        if kind == MessageKind::Snapshot {
            payload.array(2).map(0).array(0);
        } else {
            payload.array(0);
        }
        let header = Header {
            kind,
            epoch: Epoch::new(1),
            seq: Seq::new(seq),
            base: Seq::new(base),
            digest: Some(Digest::of(&seq.to_be_bytes())),
        };
        let binding = Binding::Device {
            channel: &self.channel,
            incarnation: LIFE,
        };
        let payload = payload.into_bytes();
        let sealed = Draft { header, payload }.seal(Role::Device, binding, &device_key());
        sealed.expect("an envelope").into_bytes()
    }
}
