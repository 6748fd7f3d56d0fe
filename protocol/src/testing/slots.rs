//! What the test mailbox keeps of one channel: one chain, one acknowledgement, one report number.

use crate::controller::Post;
use crate::envelope::ReceivedEnvelope;
use crate::frame::{Poll, Wanted};
use crate::id::{Channel, Digest, Incarnation, Plane};
use crate::key::PublicKey;
use crate::kind::MessageKind;
use crate::limits::{BODY_CHUNK_BYTES_MAX, NEED_INTERVAL_MS};
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::session::NeedLimiter;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Bytes of items in one answer: leaves room for what surrounds them.
const ITEMS_BYTES_MAX: usize = 48_500;

/// One channel of the mailbox.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) channel: Channel,
    pub(super) incarnation: Incarnation,
    pub(super) key: PublicKey,
    pub(super) need: NeedLimiter,
    generation: Generation,
    chain: Vec<Link>,
    bodies: BTreeMap<Digest, Vec<u8>>,
    ack: Option<(Epoch, Seq, Vec<u8>)>,
    reported: Epoch,
    /// The actual head that the controller holds, where it said so.
    pub(super) actual_held: Option<Revision>,
    /// No hint about it before this moment.
    hint_allowed_ms: u64,
    /// What is handed out a few times and then forgotten: heartbeat, evidence, enrol-answer.
    passing: BTreeMap<u64, (Option<Plane>, Vec<u8>, u32)>,
}

/// One envelope of the chain; the first is a snapshot.
#[derive(Debug)]
struct Link {
    base: Seq,
    revision: Revision,
    envelope: Vec<u8>,
}

/// An envelope of an answer.
pub(super) type Entry = (Option<Plane>, Vec<u8>);

impl Slots {
    pub(super) fn new(channel: Channel, incarnation: Incarnation, key: PublicKey) -> Self {
        Self {
            channel,
            incarnation,
            key,
            need: NeedLimiter::default(),
            generation: Generation::new(0),
            chain: Vec::new(),
            bodies: BTreeMap::new(),
            ack: None,
            reported: Epoch::new(0),
            actual_held: None,
            hint_allowed_ms: 0,
            passing: BTreeMap::new(),
        }
    }

    /// Takes a post of the controller. Returns true when the chain has a gap now.
    pub(super) fn take(&mut self, generation: Generation, post: Post) -> bool {
        match post {
            Post::Delta { envelope } => {
                let Some(link) = Link::read(envelope) else {
                    return false;
                };
                let head = self.chain.last().map(|link| link.revision);
                let is_next = head
                    .is_some_and(|head| head.epoch == link.revision.epoch && head.seq == link.base);
                if is_next {
                    self.chain.push(link);
                }
                !is_next
            }
            Post::Snapshot { envelope, bodies } => {
                let head = self
                    .chain
                    .last()
                    .map(|link| (self.generation, link.revision));
                if let Some(link) = Link::read(envelope)
                    && head.is_none_or(|head| head <= (generation, link.revision))
                {
                    self.generation = generation;
                    self.chain = Vec::from([link]);
                    self.bodies = bodies.into_iter().collect();
                }
                false
            }
            Post::Heartbeat { envelope } => self.pass(4, Some(Plane::Desired), envelope, 1),
            Post::Evidence { envelope } => self.pass(12, Some(Plane::Actual), envelope, 3),
            Post::EnrolAnswer { envelope } => self.pass(6, None, envelope, 3),
            Post::ReportAck { envelope } => {
                if let Ok(received) = ReceivedEnvelope::parse(&envelope) {
                    let header = *received.unverified_header();
                    self.ack = Some((header.epoch, header.seq, envelope));
                }
                false
            }
        }
    }

    /// Keeps an envelope of a kind for the next polls; the newest wins.
    fn pass(&mut self, kind: u64, plane: Option<Plane>, envelope: Vec<u8>, times: u32) -> bool {
        self.passing.insert(kind, (plane, envelope, times));
        false
    }

    /// Takes what passes through.
    pub(super) fn passing(&mut self) -> Vec<Entry> {
        let slots = self.passing.values_mut();
        let entries = slots.map(|(plane, envelope, times)| {
            *times = times.saturating_sub(1);
            (*plane, envelope.clone())
        });
        let entries = entries.collect();
        self.passing.retain(|_, (_, _, times)| *times > 0);
        entries
    }

    /// Tells whether a poll names another actual head than the controller holds, at most every 5 s.
    pub(super) fn is_actual_wanted(&mut self, poll: &Poll, now_ms: u64) -> bool {
        let is_other = poll.actual.is_some() && poll.actual != self.actual_held;
        if !is_other || self.actual_held.is_none() || self.hint_allowed_ms > now_ms {
            return false;
        }
        self.hint_allowed_ms = now_ms.saturating_add(NEED_INTERVAL_MS);
        true
    }

    /// Notes the epoch in which the device numbers its reports.
    pub(super) fn note_report(&mut self, envelope: &[u8]) {
        if let Ok(received) = ReceivedEnvelope::parse(envelope)
            && received.unverified_header().kind == MessageKind::Report
        {
            self.reported = received.unverified_header().epoch;
        }
    }

    /// Collects what is newer than the heads of a poll.
    pub(super) fn newer(&self, poll: &Poll, bundles: &[Vec<u8>]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let held = usize::try_from(poll.bundle.number()).unwrap_or(usize::MAX);
        entries.extend(
            bundles
                .iter()
                .skip(held)
                .map(|bundle| (None, bundle.clone())),
        );
        if let (Some(acked), Some((epoch, rseq, envelope))) = (poll.acked, &self.ack)
            && *epoch == self.reported
            && *rseq > acked
        {
            entries.push((Some(Plane::Desired), envelope.clone()));
        }
        let links = self.chain.iter().skip(self.first_after(poll.desired));
        entries.extend(links.map(|link| (Some(Plane::Desired), link.envelope.clone())));
        let mut bytes = 0;
        entries.retain(|(_, envelope)| {
            bytes += envelope.len() + 4;
            bytes <= ITEMS_BYTES_MAX
        });
        entries
    }

    fn first_after(&self, held: Revision) -> usize {
        let position = self.chain.iter().position(|link| {
            link.revision.epoch == held.epoch && link.base == held.seq && held.seq != Seq::new(0)
        });
        let is_served = self
            .chain
            .last()
            .is_none_or(|link| link.revision.epoch == held.epoch && link.revision.seq <= held.seq);
        match position {
            Some(first) => first,
            None if is_served => self.chain.len(),
            None => 0,
        }
    }

    /// Returns one chunk: the first of what is wanted and held.
    pub(super) fn chunk(&self, wanted: &[Wanted]) -> Option<(Digest, usize, u64, &[u8])> {
        wanted.iter().find_map(|wanted| {
            let body = self.bodies.get(&wanted.digest)?;
            let start = usize::try_from(wanted.offset).ok()?;
            let end = body.len().min(start.saturating_add(BODY_CHUNK_BYTES_MAX));
            let bytes = body.get(start..end).filter(|bytes| !bytes.is_empty())?;
            Some((wanted.digest, body.len(), wanted.offset, bytes))
        })
    }
}

impl Link {
    fn read(envelope: Vec<u8>) -> Option<Self> {
        let header = *ReceivedEnvelope::parse(&envelope).ok()?.unverified_header();
        Some(Self {
            base: header.base,
            revision: Revision::new(header.epoch, header.seq),
            envelope,
        })
    }
}
