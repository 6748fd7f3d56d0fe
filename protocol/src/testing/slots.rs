//! What the test mailbox keeps of one channel: one chain, one slot for each other kind, one heartbeat.
//!
//! Also what it holds back from the device, and what it told before, to be told again.
//! Refuses to read a payload, except a heartbeat's and an enrol-answer's, to know whether somebody waits for it.

use super::hop::Held;
use crate::controller::Post;
use crate::enrol::is_settled;
use crate::envelope::ReceivedEnvelope;
use crate::frame::{BodyChunk, PlainFrame, Poll, Wanted};
use crate::id::{Channel, ChannelId, Digest, Incarnation, Plane, SessionId};
use crate::key::PublicKey;
use crate::limits::{BODY_CHUNK_BYTES_MAX, CHAIN_DELTAS_MAX};
use crate::message::Heartbeat;
use crate::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use crate::session::NeedLimiter;
use crate::trust::{BundleStep, steps_above};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Bytes of items in one answer: leaves room for what surrounds them.
const ITEMS_BYTES_MAX: usize = 48_000;
/// Envelopes that are remembered to be told again.
const MEMORY: usize = 64;
/// Milliseconds between two questions for a snapshot of the actual plane, doubled a few times.
const ASK_MS: u64 = 5_000;
/// Milliseconds after which an idle answer wants a newer heartbeat.
const BEAT_AGE_MS: u64 = 300_000;

/// One channel of the mailbox.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) channel: Channel,
    pub(super) incarnation: Incarnation,
    /// The keys that may open a session: the present one and the next.
    pub(super) keys: Vec<PublicKey>,
    pub(super) need: NeedLimiter,
    pub(super) beat: Option<Beat>,
    generation: Generation,
    chain: Vec<Link>,
    bodies: BTreeMap<Digest, Vec<u8>>,
    ack: Option<(Epoch, Seq, Vec<u8>)>,
    evidence: Option<Vec<u8>>,
    enrol_answer: Option<Vec<u8>>,
    plane_key: Option<Vec<u8>>,
    reported: Epoch,
    actual: Revision,
    asked: Option<(Revision, u64, u32)>,
    beat_asked_ms: Option<u64>,
    withheld: Option<Withheld>,
    told: Vec<Entry>,
    again: Vec<Entry>,
}

/// The newest heartbeat of the writer.
#[derive(Debug)]
pub(super) struct Beat {
    envelope: Vec<u8>,
    is_awaited: bool,
    put_ms: u64,
    given: Option<SessionId>,
}

/// What a channel is not shown.
#[derive(Debug)]
struct Withheld {
    bundles: usize,
    posts: Vec<(Generation, Post)>,
    /// The newest of these.
    newest: Held,
    drip_ms: Option<u64>,
    dripped_ms: u64,
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
    pub(super) fn new(channel: Channel, incarnation: Incarnation, keys: Vec<PublicKey>) -> Self {
        Self {
            channel,
            incarnation,
            keys,
            need: NeedLimiter::default(),
            beat: None,
            generation: Generation::new(0),
            chain: Vec::new(),
            bodies: BTreeMap::new(),
            ack: None,
            evidence: None,
            enrol_answer: None,
            plane_key: None,
            reported: Epoch::new(0),
            actual: Revision::NONE,
            asked: None,
            beat_asked_ms: None,
            withheld: None,
            told: Vec::new(),
            again: Vec::new(),
        }
    }

    /// Takes a post of the controller. Returns true when the chain has a gap now.
    pub(super) fn take(&mut self, generation: Generation, post: Post, now_ms: u64) -> bool {
        let Some(withheld) = &mut self.withheld else {
            return self.show(generation, post, now_ms);
        };
        let is_dripped = withheld.drip_ms.is_some_and(|drip_ms| {
            matches!(post, Post::Heartbeat { .. })
                && now_ms.saturating_sub(withheld.dripped_ms) >= drip_ms
        });
        if is_dripped {
            withheld.dripped_ms = now_ms;
            return self.show(generation, post, now_ms);
        }
        let (head, ack) = place_of(generation, &post);
        let newest = withheld.newest;
        withheld.newest = (newest.0.max(head), newest.1.max(ack));
        withheld.posts.push((generation, post));
        false
    }

    /// Forgets everything that it took.
    pub(super) fn lose(&mut self) {
        self.chain.clear();
        self.ack = None;
    }

    /// The newest head and acknowledgement, also of what is held back.
    pub(super) fn held(&self) -> Held {
        let shown = self.chain.last();
        let shown = shown.map(|link| (self.generation, link.revision));
        let ack = self.ack.as_ref().map(|(epoch, seq, _)| (*epoch, *seq));
        let held_back = self.withheld.as_ref().map(|withheld| withheld.newest);
        let (head, newest) = held_back.unwrap_or_default();
        (shown.max(head), ack.max(newest))
    }

    /// The device uses its next key.
    pub(super) fn drop_enrol_answer(&mut self) {
        self.enrol_answer = None;
    }

    /// The frames of a file with all that is shown of this channel.
    pub(super) fn file(&self, channel: ChannelId, bundles: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let posted = |plane, envelope| PlainFrame::Posted {
            channel,
            plane,
            envelope,
        };
        let bundles = bundles.iter().map(|bundle| posted(None, bundle));
        let links = self.chain.iter();
        let links = links.map(|link| posted(Some(Plane::Desired), &link.envelope));
        let pieces = self.bodies.iter().flat_map(|(digest, body)| {
            let pieces = body.chunks(BODY_CHUNK_BYTES_MAX).enumerate();
            pieces.map(move |(place, bytes)| PlainFrame::FiledBody {
                channel,
                plane: Plane::Desired,
                chunk: BodyChunk {
                    digest: *digest,
                    size: body.len() as u64,
                    offset: (place * BODY_CHUNK_BYTES_MAX) as u64,
                    bytes,
                },
            })
        });
        // The bodies belong to the snapshot, which is the first of the chain.
        let first = links.clone().take(1);
        let keys = self.plane_key.iter().map(|keys| posted(None, keys));
        let frames = bundles
            .chain(keys)
            .chain(first)
            .chain(pieces)
            .chain(links.skip(1));
        frames.filter_map(|frame| frame.encode().ok()).collect()
    }

    /// Shows nothing new from now on.
    pub(super) fn freeze(&mut self, bundles: usize, drip_ms: Option<u64>) {
        self.withheld.get_or_insert(Withheld {
            bundles,
            posts: Vec::new(),
            newest: (None, None),
            drip_ms,
            dripped_ms: 0,
        });
    }

    /// Shows everything that was held back, in order. Returns true when the chain has a gap now.
    pub(super) fn thaw(&mut self, now_ms: u64) -> bool {
        let posts = self.withheld.take().map(|withheld| withheld.posts);
        let mut has_gap = false;
        for (generation, post) in posts.into_iter().flatten() {
            has_gap |= self.show(generation, post, now_ms);
        }
        has_gap
    }

    /// Remembers one of the older things to be told again.
    pub(super) fn tell_again(&mut self, which: u64) {
        let length = self.told.len() as u64;
        let place = which.checked_rem(length).unwrap_or(0);
        let place = usize::try_from(place).unwrap_or(0);
        self.again.extend(self.told.get(place).cloned());
    }

    /// What is told again.
    pub(super) fn give_old(&mut self) -> Vec<Entry> {
        core::mem::take(&mut self.again)
    }

    fn show(&mut self, generation: Generation, post: Post, now_ms: u64) -> bool {
        let (plane, envelope) = entry_of(&post);
        if self.told.len() >= MEMORY {
            self.told.remove(0);
        }
        self.told.push((plane, envelope.to_vec()));
        match post {
            Post::Delta { envelope } => {
                let Some(link) = Link::read(envelope) else {
                    return false;
                };
                let head = self.chain.last().map(|link| link.revision);
                let is_next = head
                    .is_some_and(|head| head.epoch == link.revision.epoch && head.seq == link.base);
                // A chain that is long enough wants a snapshot, as a gap does.
                let is_taken = is_next && self.chain.len() <= CHAIN_DELTAS_MAX;
                if is_taken {
                    self.chain.push(link);
                }
                return !is_taken;
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
            }
            Post::Heartbeat { envelope } => self.put_beat(envelope, now_ms),
            Post::Evidence { envelope } => self.evidence = Some(envelope),
            Post::EnrolAnswer { envelope } => {
                let received = ReceivedEnvelope::parse(&envelope);
                let is_news = received.is_ok_and(|answer| !is_settled(&answer, &self.keys));
                self.enrol_answer = Some(envelope).filter(|_| is_news);
            }
            Post::Admission { .. } => {}
            Post::PlaneKey { envelope } => self.plane_key = Some(envelope),
            Post::ReportAck { envelope } => {
                if let Ok(received) = ReceivedEnvelope::parse(&envelope) {
                    let header = *received.unverified_header();
                    let ack = (header.epoch, header.seq, envelope);
                    // A controller that was restored may go back behind what it acknowledged.
                    if self
                        .ack
                        .as_ref()
                        .is_none_or(|held| (held.0, held.1) <= (ack.0, ack.1))
                    {
                        self.ack = Some(ack);
                    }
                }
            }
        }
        false
    }

    fn put_beat(&mut self, envelope: Vec<u8>, now_ms: u64) {
        let Ok(received) = ReceivedEnvelope::parse(&envelope) else {
            return;
        };
        let payload = Heartbeat::decode(received.unverified_payload());
        let is_awaited = payload.is_ok_and(|beat| {
            beat.echo.is_some() || beat.ask.is_some() || beat.other != Revision::NONE
        });
        self.beat = Some(Beat {
            envelope,
            is_awaited,
            put_ms: now_ms,
            given: None,
        });
    }

    /// Tells whether a held poll of this session waits for the heartbeat.
    pub(super) fn is_beat_awaited(&self, session: SessionId) -> bool {
        self.beat
            .as_ref()
            .is_some_and(|beat| beat.is_awaited && beat.given.is_none() && !beat.was_given(session))
    }

    /// Gives the heartbeat to a session, once.
    pub(super) fn give_beat(&mut self, session: SessionId) -> Option<Entry> {
        let beat = self.beat.as_mut().filter(|beat| !beat.was_given(session))?;
        beat.given = Some(session);
        Some((Some(Plane::Desired), beat.envelope.clone()))
    }

    /// Tells whether an idle answer wants a newer heartbeat; a yes is remembered for a while.
    pub(super) fn wants_heartbeat(&mut self, now_ms: u64) -> bool {
        let is_old = |ms: u64| now_ms.saturating_sub(ms) >= BEAT_AGE_MS;
        let put_ms = self.beat.as_ref().map(|beat| beat.put_ms);
        let is_wanted = [put_ms, self.beat_asked_ms]
            .into_iter()
            .flatten()
            .all(is_old);
        if is_wanted {
            self.beat_asked_ms = Some(now_ms);
        }
        is_wanted
    }

    /// Takes what the controller holds of the actual plane; evidence about another head has served.
    pub(super) fn set_actual_held(&mut self, revision: Revision) {
        if self.actual != revision {
            self.actual = revision;
            self.evidence = None;
            self.asked = None;
        }
    }

    /// Envelopes of the chain.
    pub(super) const fn entries(&self) -> usize {
        self.chain.len()
    }

    /// Tells whether the device shows another head of its plane than the controller holds.
    pub(super) fn differs(&self, shown: Option<Revision>) -> bool {
        shown.is_some_and(|shown| shown != self.actual)
    }

    /// Tells whether the device is to be asked for a snapshot of its plane, ever more rarely.
    pub(super) fn ask_actual(&mut self, shown: Option<Revision>, now_ms: u64) -> bool {
        let Some(shown) = shown.filter(|shown| *shown != self.actual) else {
            return false;
        };
        let (at_ms, times) = match self.asked {
            Some((revision, last_ms, times)) if revision == shown => {
                (last_ms.saturating_add(ASK_MS << times.min(6)), times + 1)
            }
            Some((_, last_ms, _)) => (last_ms.saturating_add(ASK_MS), 0),
            None => (0, 0),
        };
        if now_ms < at_ms {
            return false;
        }
        self.asked = Some((shown, now_ms, times));
        true
    }

    /// Notes the epoch in which the device numbers its reports.
    pub(super) fn note_report(&mut self, envelope: &[u8]) {
        if let Ok(received) = ReceivedEnvelope::parse(envelope)
            && received.unverified_header().kind == crate::kind::MessageKind::Report
        {
            self.reported = received.unverified_header().epoch;
        }
    }

    /// Collects the steps to the newest bundle where they are known, else every bundle above the one held.
    fn newer_bundles(
        &self,
        held: BundleNumber,
        bundles: &[Vec<u8>],
        steps: &[BundleStep],
    ) -> Vec<Entry> {
        let newest = steps.last().map(|step| step.number.number());
        let shown = self.withheld.as_ref().map(|withheld| withheld.bundles);
        if shown.is_none() && newest == Some(bundles.len() as u64) {
            let above = steps_above(steps, held).iter();
            return above.map(|step| (None, step.envelope.to_vec())).collect();
        }
        let held = usize::try_from(held.number()).unwrap_or(usize::MAX);
        let shown = bundles.iter().take(shown.unwrap_or(usize::MAX));
        shown
            .skip(held)
            .map(|bundle| (None, bundle.clone()))
            .collect()
    }

    /// Collects what is newer than the heads of a poll.
    pub(super) fn newer(
        &self,
        poll: &Poll,
        bundles: &[Vec<u8>],
        steps: &[BundleStep],
    ) -> Vec<Entry> {
        let mut entries = self.newer_bundles(poll.bundle, bundles, steps);
        entries.extend(self.enrol_answer.iter().map(|one| (None, one.clone())));
        if let (Some(acked), Some((epoch, rseq, envelope))) = (poll.acked, &self.ack)
            && (*epoch > self.reported || (*epoch == self.reported && *rseq > acked))
        {
            entries.push((Some(Plane::Desired), envelope.clone()));
        }
        let first = self.first_after(poll.desired);
        if first == 0 && !self.chain.is_empty() {
            entries.extend(self.plane_key.iter().map(|one| (None, one.clone())));
        }
        let links = self.chain.iter().skip(first);
        entries.extend(links.map(|link| (Some(Plane::Desired), link.envelope.clone())));
        entries.extend(
            self.evidence
                .iter()
                .map(|one| (Some(Plane::Actual), one.clone())),
        );
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

impl Beat {
    fn was_given(&self, session: SessionId) -> bool {
        self.given == Some(session)
    }
}

fn entry_of(post: &Post) -> (Option<Plane>, &[u8]) {
    match post {
        Post::Delta { envelope }
        | Post::Snapshot { envelope, .. }
        | Post::ReportAck { envelope }
        | Post::Heartbeat { envelope } => (Some(Plane::Desired), envelope),
        Post::Evidence { envelope } => (Some(Plane::Actual), envelope),
        Post::EnrolAnswer { envelope }
        | Post::PlaneKey { envelope }
        | Post::Admission { envelope } => (None, envelope),
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

/// The head or the acknowledgement that a post brings.
fn place_of(generation: Generation, post: &Post) -> Held {
    let (_, envelope) = entry_of(post);
    let Ok(received) = ReceivedEnvelope::parse(envelope) else {
        return (None, None);
    };
    let header = received.unverified_header();
    let revision = Revision::new(header.epoch, header.seq);
    match post {
        Post::Delta { .. } | Post::Snapshot { .. } => (Some((generation, revision)), None),
        Post::ReportAck { .. } => (None, Some((header.epoch, header.seq))),
        Post::Heartbeat { .. }
        | Post::Evidence { .. }
        | Post::EnrolAnswer { .. }
        | Post::PlaneKey { .. }
        | Post::Admission { .. } => (None, None),
    }
}
