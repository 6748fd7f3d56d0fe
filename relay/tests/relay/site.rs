//! One trust domain around a real relay: its keys, its envelopes, and clients of both its doors on
//! loopback.
//!
//! Envelopes are signed by whom they claim to be from; payloads that no relay reads hold a mark.
//! Refuses to be part of anything but tests.

pub use super::answers::{open_answer, open_bodies, open_collected, refusal, whole};
use super::quic;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use postern_protocol::admission::{Admission, AdmissionStatus};
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::frame::{Collect, Delivery, Item, Poll, UpFrame};
use postern_protocol::id::{
    Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint,
};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{
    ArrivalNumber, BundleNumber, Epoch, Generation, Revision, Seq, StoreEpoch,
};
use postern_protocol::session::{Asking, ClientSession, Identity, Request};
use postern_protocol::trust::{BundleContent, Mailbox, Trust, Writership};
use postern_relay::exchange::{ExchangeLimits, MailboxKeys};
use postern_relay::server::{ListenerSecret, QuicListener, ServerConfig, ServerLimits};
use postern_relay::{Handover, Relay, RelayConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

pub const LIFE: Incarnation = Incarnation::from_bytes([7; 16]);
pub const QUOTA: u64 = 1 << 20;
/// Seed of the key of the mailbox that the controller dials.
pub const MAILBOX: u8 = 3;
/// Seed of the key of the mailbox behind it.
pub const PLANT: u8 = 23;
/// Seed of the key of the mailbox behind that one.
pub const CELL: u8 = 33;

pub fn signer(seed: u8) -> MemorySigner {
    MemorySigner::from_seed(&[seed; 32])
}

pub fn root() -> MemorySigner {
    signer(1)
}

pub fn mailbox() -> MemorySigner {
    signer(MAILBOX)
}

/// The writer of `acme`.
pub fn writer() -> MemorySigner {
    signer(4)
}

/// The writer of `other`.
pub fn other_writer() -> MemorySigner {
    signer(5)
}

pub fn device() -> MemorySigner {
    signer(6)
}

pub fn genesis() -> Thumbprint {
    root().public_key().thumbprint()
}

pub fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

pub fn channel() -> Channel {
    Channel {
        root: genesis(),
        tenant: tenant("acme"),
        device: DeviceName::parse("press-1").unwrap(),
    }
}

pub fn content() -> BundleContent {
    let written_by = |signer: MemorySigner| Writership {
        generation: Generation::new(1),
        key: signer.public_key().clone(),
    };
    BundleContent {
        root: root().public_key().clone(),
        recovery: signer(2).public_key().clone(),
        writers: BTreeMap::from([
            (tenant("acme"), written_by(writer())),
            (tenant("other"), written_by(other_writer())),
        ]),
        mailboxes: [MAILBOX, PLANT, CELL].map(named).into(),
        revoked: BTreeSet::new(),
    }
}

pub fn pinned() -> Trust {
    Trust::new(genesis(), signer(2).public_key().thumbprint())
}

pub fn first_bundle() -> Vec<u8> {
    let sealed = content().seal(None, genesis(), &root()).unwrap();
    sealed.into_bytes()
}

fn named(seed: u8) -> Mailbox {
    Mailbox {
        key: signer(seed).public_key().clone(),
        urls: vec![format!("https://relay-{seed}.example/")],
    }
}

/// The bundle behind the first one.
pub fn next_bundle(content: &BundleContent) -> Vec<u8> {
    let trust = pinned().offer(&first_bundle()).unwrap();
    let sealed = content.seal(trust.held(), genesis(), &root()).unwrap();
    sealed.into_bytes()
}

/// An admission of the device, as this number.
pub fn admission(number: u64, change: impl FnOnce(&mut Admission)) -> Vec<u8> {
    let mut admission = Admission {
        device: channel().device,
        status: AdmissionStatus::Admitted,
        incarnation: LIFE,
        keys: vec![device().public_key().clone()],
        quota_bytes: QUOTA,
        bundle: BundleNumber::new(1),
    };
    change(&mut admission);
    let revision = Revision::new(Epoch::new(1), Seq::new(number));
    let sealed = admission.seal(revision, genesis(), &tenant("acme"), &writer());
    sealed.unwrap().into_bytes()
}

/// Signs a message of either end about the device.
pub fn seal(role: Role, kind: MessageKind, numbers: [u64; 3], payload: Vec<u8>) -> Vec<u8> {
    let key = if role == Role::Writer {
        writer()
    } else {
        device()
    };
    seal_by(&key, role, kind, numbers, payload)
}

pub fn seal_by(
    key: &MemorySigner,
    role: Role,
    kind: MessageKind,
    [epoch, seq, base]: [u64; 3],
    payload: Vec<u8>,
) -> Vec<u8> {
    let digest = kind.check_digest_presence(Seq::new(seq), true).is_ok();
    let header = Header {
        kind,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        base: Seq::new(base),
        digest: digest.then(|| Digest::of(&seq.to_be_bytes())),
    };
    let channel = channel();
    let binding = Binding::Device {
        channel: &channel,
        incarnation: LIFE,
    };
    let sealed = Draft { header, payload }.seal(role, binding, key);
    sealed.unwrap().into_bytes()
}

/// The payload of a snapshot that names these bodies.
pub fn table(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.array(2).map(bodies.len());
    for (name, body) in ["a", "b", "c"].iter().zip(bodies) {
        payload.text(name).bytes(Digest::of(body).as_bytes());
    }
    payload.array(0);
    payload.into_bytes()
}

pub fn report(rseq: u64) -> Vec<u8> {
    seal(Role::Device, MessageKind::Report, [1, rseq, 0], vec![0x80])
}

pub fn snapshot(role: Role, seq: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    seal(role, MessageKind::Snapshot, [1, seq, 0], table(bodies))
}

pub fn delta(role: Role, seq: u64) -> Vec<u8> {
    seal(role, MessageKind::Delta, [1, seq, seq - 1], vec![0x80])
}

/// By which door clients come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Https,
    Quic,
}

/// A folder with a store, and what a relay needs besides.
pub struct Place {
    door: Door,
    limits: ServerLimits,
    /// Seed of the mailbox key.
    key: u8,
    folder: tempfile::TempDir,
    certificate_pem: String,
    key_pem: String,
}

impl Place {
    pub fn new() -> Self {
        Self::with(Door::Https, ServerLimits::default())
    }

    pub fn with(door: Door, limits: ServerLimits) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self {
            door,
            limits,
            key: MAILBOX,
            folder: tempfile::tempdir().unwrap(),
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        }
    }

    /// A relay with another mailbox key of the bundle.
    pub fn keyed(key: u8) -> Self {
        Self { key, ..Self::new() }
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("relay.store")
    }

    pub fn start(&self) -> Running {
        self.running(Relay::start(self.config()).unwrap())
    }

    /// Goes on where another process stood, `gone_ms` ago; returns as well how many sessions go on.
    pub fn take_over(&self, handover: Handover, gone_ms: u64) -> (Running, usize) {
        let taken = Relay::take_over(self.config(), handover, &|| gone_ms);
        let (relay, sessions) = taken.unwrap();
        (self.running(relay), sessions)
    }

    fn config(&self) -> RelayConfig {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = || QuicListener {
            listen: any,
            secret: ListenerSecret::fresh().unwrap(),
        };
        RelayConfig {
            store: self.store(),
            genesis: genesis(),
            recovery: signer(2).public_key().thumbprint(),
            bundles: vec![first_bundle()],
            keys: MailboxKeys::one(Arc::new(signer(self.key))),
            limits: ExchangeLimits::default(),
            server: ServerConfig {
                listen: any,
                prefix: String::new(),
                certificate_pem: self.certificate_pem.clone().into_bytes(),
                key_pem: self.key_pem.clone().into_bytes(),
                quic: (self.door == Door::Quic).then(listener),
                limits: self.limits,
            },
        }
    }

    fn running(&self, relay: Relay) -> Running {
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        Running {
            key: self.key,
            address: relay.local_address(),
            quic: relay.quic_address(),
            certificate: certificate.unwrap(),
            relay,
        }
    }
}

/// A relay that serves.
pub struct Running {
    pub relay: Relay,
    key: u8,
    address: SocketAddr,
    quic: Option<SocketAddr>,
    certificate: CertificateDer<'static>,
}

impl Running {
    /// Ends, and leaves sockets and sessions.
    pub async fn hand_over(self) -> Handover {
        self.relay.hand_over(1_000).await.unwrap()
    }

    /// One exchange over a connection of its own, which is answered with a frame.
    pub async fn exchange(&self, frame: Vec<u8>) -> Vec<u8> {
        self.try_exchange(frame).await.unwrap()
    }

    /// One exchange over a connection of its own; the status where it is answered with none.
    ///
    /// # Errors
    /// A status other than 200, such as 429 for a source that asks too often.
    pub async fn try_exchange(&self, frame: Vec<u8>) -> Result<Vec<u8>, StatusCode> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        if let Some(address) = self.quic {
            return Ok(quic::exchange(address, roots, &frame).await);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = TokioIo::new(stream.await.unwrap());
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = HttpRequest::post("/postern/1")
            .header("host", "localhost")
            .header("content-length", frame.len())
            .body(Full::new(Bytes::from(frame)))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        match status {
            StatusCode::OK => Ok(body.to_vec()),
            refused => Err(refused),
        }
    }

    /// Opens a session. # Errors: the code of the refusal.
    pub async fn try_open(&self, identity: Identity<'_>, seed: u8) -> Result<ClientSession, u16> {
        let (asking, ask) = Asking::start(BundleNumber::new(1)).unwrap();
        let challenge = self.exchange(ask).await;
        let mailbox = signer(self.key);
        let keys = [mailbox.public_key()];
        let greeted = asking.handle_challenge(&challenge, keys, identity, &[seed; 32]);
        let (greeting, hello) = greeted.unwrap();
        let welcome = self.exchange(hello).await;
        match refusal(&welcome) {
            Some(code) => Err(code),
            None => Ok(greeting.handle_welcome(&welcome, 0).unwrap()),
        }
    }

    pub async fn writer(&self, seed: u8) -> ClientSession {
        let (tenant, writer) = (tenant("acme"), writer());
        let identity = Identity::writer(genesis(), &tenant, &writer);
        self.try_open(identity, seed).await.unwrap()
    }

    pub async fn other_writer(&self, seed: u8) -> ClientSession {
        let (tenant, writer) = (tenant("other"), other_writer());
        let identity = Identity::writer(genesis(), &tenant, &writer);
        self.try_open(identity, seed).await.unwrap()
    }

    pub async fn try_device(&self, seed: u8) -> Result<ClientSession, u16> {
        let (channel, device) = (channel(), device());
        let identity = Identity::device(&channel, LIFE, &device);
        self.try_open(identity, seed).await
    }

    pub async fn device(&self, seed: u8) -> ClientSession {
        self.try_device(seed).await.unwrap()
    }

    /// Sends a request; returns the answering frame, or the code of a refusal.
    pub async fn ask(
        &self,
        session: &mut ClientSession,
        frame: &UpFrame<'_>,
    ) -> Result<(u16, Vec<u8>), u16> {
        let Request { counter, bytes } = session.seal_request(frame).unwrap();
        let answer = self.exchange(bytes).await;
        match refusal(&answer) {
            Some(code) => Err(code),
            None => Ok((counter, answer)),
        }
    }

    /// Delivers envelopes; returns what was refused, and how many bodies are wanted.
    pub async fn deliver(
        &self,
        session: &mut ClientSession,
        items: &[(Option<ChannelId>, Option<Plane>, Vec<u8>)],
    ) -> (Vec<(u32, u16)>, usize) {
        let deliveries = items.iter().map(|(channel, plane, envelope)| Delivery {
            channel: *channel,
            item: Item {
                plane: *plane,
                envelope,
            },
        });
        let frame = UpFrame::Deliver(deliveries.collect());
        let (counter, answer) = self.ask(session, &frame).await.unwrap();
        let hints = open_answer(session, counter, &answer).hints;
        let refused = hints.refused.iter().map(|one| (one.index, one.code));
        (refused.collect(), hints.bodies_wanted.len())
    }

    /// Admits the device.
    pub async fn admit(&self, session: &mut ClientSession) {
        let item = (Some(channel().id()), None, admission(1, |_| {}));
        assert_eq!(self.deliver(session, &[item]).await, (Vec::new(), 0));
    }

    /// Posts envelopes of the device's plane; returns what was refused.
    pub async fn post(
        &self,
        session: &mut ClientSession,
        envelopes: &[Vec<u8>],
    ) -> Vec<(u32, u16)> {
        let items = envelopes.iter().map(|envelope| Item {
            plane: Some(Plane::Actual),
            envelope,
        });
        let frame = UpFrame::Post(items.collect());
        let (counter, answer) = self.ask(session, &frame).await.unwrap();
        let refused = open_answer(session, counter, &answer).hints.refused;
        refused.iter().map(|one| (one.index, one.code)).collect()
    }

    /// Collects; returns the store and (arrival, envelope or enrol frame).
    pub async fn collect(
        &self,
        session: &mut ClientSession,
        hold_s: u16,
        cursor: (u64, u64),
    ) -> (u64, Vec<(u64, Vec<u8>)>) {
        let collect = Collect {
            hold_s,
            store: StoreEpoch::new(cursor.0),
            cursor: ArrivalNumber::new(cursor.1),
        };
        let frame = UpFrame::Collect(collect);
        let (counter, answer) = self.ask(session, &frame).await.unwrap();
        let collected = open_collected(session, counter, &answer);
        let entries = collected.entries.iter().map(|entry| {
            let bytes = match entry {
                postern_protocol::frame::Entry::Envelope { delivery, .. } => delivery.item.envelope,
                postern_protocol::frame::Entry::Knock { frame, .. } => frame,
            };
            (entry.arrival().number(), bytes.to_vec())
        });
        (collected.store.number(), entries.collect())
    }

    /// Polls without a hold, holding nothing; returns the envelopes of the answer.
    pub async fn poll(&self, session: &mut ClientSession) -> Vec<Vec<u8>> {
        let poll = Poll {
            hold_s: 0,
            bundle: BundleNumber::new(1),
            acked: Some(Seq::new(0)),
            desired: Revision::NONE,
            actual: None,
            receipt: None,
        };
        let (counter, answer) = self.ask(session, &UpFrame::Poll(poll)).await.unwrap();
        let items = open_answer(session, counter, &answer).items;
        items.iter().map(|item| item.envelope.to_vec()).collect()
    }
}
