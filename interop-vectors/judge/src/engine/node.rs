//! One device engine with its store, its clock and what it draws.
//!
//! Refuses to wait and to draw by itself: time and random bytes come out of the request.

use crate::limits::WAKES_MAX;
use crate::request::{Fault, wrong};
use postern_protocol::context::{Now, Random};
use postern_protocol::device::{
    Context, Device, Event, Exchange, Identity, Input, Output, Settings,
};
use postern_protocol::id::Digest;
use postern_protocol::key::MemorySigner;
use postern_protocol::record::{Table, Write};
use postern_protocol::revision::Revision;
use postern_protocol::state::Path;
use postern_protocol::trust::Trust;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of the secret of a handshake.
const EPHEMERAL_BYTES: usize = 32;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// What a device draws: secrets and nonces in the order in which they are given, all else counted up.
#[derive(Debug)]
pub(crate) struct Draws {
    ephemerals: VecDeque<[u8; EPHEMERAL_BYTES]>,
    nonces: VecDeque<[u8; NONCE_BYTES]>,
    count: u64,
}

impl Draws {
    /// Takes what is to be drawn.
    pub(crate) fn new(
        ephemerals: Vec<[u8; EPHEMERAL_BYTES]>,
        nonces: Vec<[u8; NONCE_BYTES]>,
    ) -> Self {
        Self {
            ephemerals: ephemerals.into(),
            nonces: nonces.into(),
            count: 0,
        }
    }
}

impl Random for Draws {
    fn fill(&mut self, bytes: &mut [u8]) {
        let given: Option<Vec<u8>> = match bytes.len() {
            EPHEMERAL_BYTES => self.ephemerals.pop_front().map(Vec::from),
            NONCE_BYTES => self.nonces.pop_front().map(Vec::from),
            _ => None,
        };
        self.count += 1;
        let counted = self.count.to_be_bytes();
        let counted = counted
            .iter()
            .rev()
            .chain(std::iter::repeat(&0xa5))
            .copied();
        let drawn: Vec<u8> = given.unwrap_or_else(|| counted.take(bytes.len()).collect());
        bytes.copy_from_slice(&drawn);
    }
}

/// What came out of the engine since the last look.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Frames to carry.
    pub(crate) exchanges: Vec<Exchange>,
    /// Events.
    pub(crate) events: Vec<Event>,
    /// Revisions to apply.
    pub(crate) applies: Vec<Revision>,
    /// Actions to run.
    pub(crate) acts: Vec<(Path, u64)>,
    /// True when a session was given up.
    pub(crate) is_reconnect: bool,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Node {
    /// Milliseconds of its clock.
    pub(crate) now_ms: u64,
    /// Seconds since 1970 at moment 0, where it has a clock.
    pub(crate) unix_s: Option<u64>,
    /// Milliseconds of silence of the writer that still count as fresh.
    settings: Settings,
    /// The engine.
    pub(crate) engine: Device,
    /// Digests of what it accepted.
    pub(crate) digests: BTreeMap<Revision, Digest>,
    /// What came out.
    pub(crate) outbox: Outbox,
    identity: Identity,
    signer: MemorySigner,
    joined: Trust,
    store: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    draws: Draws,
}

impl Node {
    /// Makes a device that holds nothing and is not started. # Errors: [`Fault::Unsupported`].
    pub(crate) fn new(
        identity: Identity,
        signer: MemorySigner,
        joined: Trust,
        draws: Draws,
    ) -> Result<Self, Fault> {
        let store = BTreeMap::new();
        Ok(Self {
            now_ms: 0,
            unix_s: None,
            settings: Settings::default(),
            engine: restored(&identity, &joined, Settings::default(), &store)?,
            digests: BTreeMap::new(),
            outbox: Outbox::default(),
            identity,
            signer,
            joined,
            store,
            draws,
        })
    }

    /// Chooses how long a writer may be silent, before the start. # Errors: [`Fault::Unsupported`].
    pub(crate) fn set_max_age(&mut self, max_age_ms: u64) -> Result<(), Fault> {
        self.settings = Settings { max_age_ms };
        self.engine = restored(&self.identity, &self.joined, self.settings, &self.store)?;
        Ok(())
    }

    /// Drops the engine and starts it from what it made durable. # Errors: [`Fault::Unsupported`].
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        let bundles = self
            .store
            .iter()
            .filter(|((table, _), _)| *table == Table::Bundles);
        let trust = bundles.fold(self.joined.clone(), |trust, (_, bundle)| {
            trust.offer(bundle).unwrap_or(trust)
        });
        self.engine = restored(&self.identity, &trust, self.settings, &self.store)?;
        self.outbox = Outbox::default();
        self.input(Input::Start);
        Ok(())
    }

    /// Who it is.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its key.
    pub(crate) const fn signer(&self) -> &MemorySigner {
        &self.signer
    }

    /// Gives one input and drains. What is to be persisted is durable at once.
    pub(crate) fn input(&mut self, input: Input<'_>) {
        let elapsed_s = self.now_ms / 1_000;
        let mut context = Context {
            now: Now {
                mono_ms: self.now_ms,
                unix_s: self.unix_s.map(|unix_s| unix_s.saturating_add(elapsed_s)),
            },
            random: &mut self.draws,
            signer: &self.signer,
        };
        self.engine.handle_input(&mut context, input);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(writes) => self.persist(writes),
                Output::Exchange(exchange) => self.outbox.exchanges.push(exchange),
                Output::Apply { revision } => self.outbox.applies.push(revision),
                Output::Act { path, value, .. } => self.outbox.acts.push((path, value)),
                Output::Reconnect => self.outbox.is_reconnect = true,
                Output::Event(event) => self.outbox.events.push(event),
            }
        }
        if let Some(head) = self.engine.head() {
            self.digests.insert(head.revision, head.digest);
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.table, write.key);
            match write.value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }

    /// Lets time pass and wakes the engine whenever it asks for it. # Errors: [`Fault::Unsupported`]
    /// for a time that goes back or an engine that never sleeps.
    pub(crate) fn run_until(&mut self, end_ms: u64) -> Result<(), Fault> {
        if end_ms < self.now_ms {
            return Err(wrong("at_ms goes back"));
        }
        for _ in 0..WAKES_MAX {
            match self
                .engine
                .poll_timeout()
                .filter(|due_ms| *due_ms <= end_ms)
            {
                Some(due_ms) => self.now_ms = self.now_ms.max(due_ms),
                None => {
                    self.now_ms = end_ms;
                    return Ok(());
                }
            }
            self.input(Input::Timeout);
        }
        Err(wrong("the engine never sleeps"))
    }

    /// The moment, for what depends on it.
    pub(crate) const fn now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_s: None,
        }
    }
}

fn restored(
    identity: &Identity,
    trust: &Trust,
    settings: Settings,
    store: &BTreeMap<(Table, Vec<u8>), Vec<u8>>,
) -> Result<Device, Fault> {
    let rows = store
        .iter()
        .map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()));
    Device::restore(identity.clone(), trust.clone(), settings, rows)
        .map_err(|error| Fault::Unsupported(format!("the store does not read back: {error:?}")))
}
