//! Mailboxes beside a model that keeps lists and counts nothing twice.
//!
//! ```text
//!  step --> Mailboxes::post_* --Kept--> model takes it too, and says whether it may have been kept
//!                             --else--> nothing may have changed
//!       --> every reader gets exactly what the model has beyond its heads, as far as one answer goes
//! ```
//!
//! What must hold: bytes are counted exactly and stay within their bounds, the chain is contiguous, nothing that a reader
//! could use is lost, and a head never goes back within its generation.

use super::make::{channel, filler, sealed, steps, table};
use crate::limits::{ANSWER_ITEMS_BYTES_MAX, ITEM_OVERHEAD_BYTES};
use crate::mailbox::{Entry, Heads, MailboxLimits, Mailboxes, Posted};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Digest, Plane};
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::NEED_INTERVAL_MS;
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use postern_protocol::trust::BundleStep;
use std::collections::BTreeMap;

/// Small, so that a script of a few steps reaches each of them.
const LIMITS: MailboxLimits = MailboxLimits {
    bytes_max: 6_000,
    total_bytes_max: 9_000,
    bundles_bytes_max: 2_000,
    deltas_max: 6,
    delta_bytes_max: 3_000,
};

/// What is kept is counted, bounded, contiguous, and reaches every reader.
pub fn mailbox(input: &[u8]) {
    let mut pair = Pair::new();
    for (selector, chunk) in steps(input) {
        pair.step(selector, chunk);
        pair.compare();
    }
    for id in pair.channels {
        pair.mailboxes.remove(id);
    }
    assert_eq!(pair.mailboxes.bytes(), 0, "bytes of nothing");
}

/// A snapshot with its bodies, and what follows it.
#[derive(Debug, Clone)]
struct Chain {
    generation: u64,
    epoch: u64,
    bodies: Vec<Vec<u8>>,
    /// Sequence and envelope, the snapshot first.
    links: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    chain: Option<Chain>,
    /// Epoch, number and envelope of the acknowledgement.
    ack: Option<(u64, u64, Vec<u8>)>,
    needed_ms: Option<u64>,
    /// A need of no chain: the mailbox may remember it, unless there was none.
    asked_ms: Option<u64>,
}

impl Kept {
    fn bytes(&self) -> usize {
        let chain = self.chain.iter().flat_map(|chain| {
            let links = chain.links.iter().map(|(_, envelope)| envelope.len());
            // Bodies are kept by digest: the same one twice is one.
            let bodies: BTreeMap<Digest, usize> = chain
                .bodies
                .iter()
                .map(|body| (Digest::of(body), body.len()))
                .collect();
            links.chain(bodies.into_values())
        });
        let ack = self.ack.iter().map(|(_, _, envelope)| envelope.len());
        chain.chain(ack).sum()
    }
}

struct Pair {
    mailboxes: Mailboxes,
    channels: [ChannelId; 2],
    model: [Kept; 2],
    bundles: Vec<BundleStep>,
    now_ms: u64,
}

/// The numbers of a step, out of its bytes: small, so that they meet.
struct Numbers {
    generation: u64,
    epoch: u64,
    seq: u64,
    base: u64,
    mark: u8,
    size: u16,
}

impl Numbers {
    fn read(chunk: &[u8]) -> Self {
        let byte = |place: usize| chunk.get(place).copied().unwrap_or_default();
        Self {
            generation: u64::from(byte(0) % 4),
            epoch: u64::from(byte(1) % 4),
            seq: u64::from(byte(2) % 16),
            base: u64::from(byte(3) % 16),
            mark: byte(4) % 4,
            size: u16::from(byte(5)) * 12,
        }
    }
}

impl Pair {
    fn new() -> Self {
        Self {
            mailboxes: Mailboxes::new(LIMITS),
            channels: ["press-1", "press-2"].map(|name| channel(name).id()),
            model: [Kept::default(), Kept::default()],
            bundles: Vec::new(),
            now_ms: 1_000,
        }
    }

    fn step(&mut self, selector: u8, chunk: &[u8]) {
        let place = usize::from(selector >> 7);
        let numbers = Numbers::read(chunk);
        match selector % 8 {
            0 | 1 => self.post_snapshot(place, &numbers),
            2 | 3 => self.post_delta(place, &numbers),
            4 => self.post_ack(place, &numbers),
            5 => self.show_bundles(&numbers),
            6 => self.need(place, &numbers),
            _ => self.other(place, chunk),
        }
    }

    fn post_snapshot(&mut self, place: usize, numbers: &Numbers) {
        let bodies = match numbers.mark {
            0 => Vec::new(),
            mark => vec![vec![mark; usize::from(numbers.size) + 1], vec![mark; 3]],
        };
        let kind = MessageKind::Snapshot;
        let revision = [numbers.epoch, numbers.seq, 0];
        let Some(envelope) = sealed(kind, revision, Some(numbers.mark), table(&bodies)) else {
            return;
        };
        let (Some(id), Some(kept)) = (self.channels.get(place), self.model.get_mut(place)) else {
            return;
        };
        let generation = Generation::new(numbers.generation);
        let posted = self
            .mailboxes
            .post_snapshot(*id, generation, &envelope, bodies.clone());
        if posted != Ok(Posted::Kept) {
            return;
        }
        let rank = (numbers.generation, numbers.epoch, numbers.seq);
        let held = kept.chain.as_ref().map(|chain| {
            let last = chain.links.last().map_or(0, |(seq, _)| *seq);
            (chain.generation, chain.epoch, last)
        });
        assert!(held.is_none_or(|held| rank >= held), "{rank:?} {held:?}");
        kept.chain = Some(Chain {
            generation: numbers.generation,
            epoch: numbers.epoch,
            bodies,
            links: vec![(numbers.seq, envelope)],
        });
    }

    fn post_delta(&mut self, place: usize, numbers: &Numbers) {
        let kind = MessageKind::Delta;
        let revision = [numbers.epoch, numbers.seq, numbers.base];
        let Some(envelope) = sealed(kind, revision, Some(numbers.mark), filler(numbers.size))
        else {
            return;
        };
        let (Some(id), Some(kept)) = (self.channels.get(place), self.model.get_mut(place)) else {
            return;
        };
        let generation = Generation::new(numbers.generation);
        let posted = self.mailboxes.post_delta(*id, generation, &envelope);
        if posted != Ok(Posted::Kept) {
            return;
        }
        let Some(chain) = &mut kept.chain else {
            panic!("a delta of nothing")
        };
        assert_eq!(chain.generation, numbers.generation);
        assert_eq!(chain.epoch, numbers.epoch);
        assert_eq!(chain.links.last().map(|(seq, _)| *seq), Some(numbers.base));
        chain.links.push((numbers.seq, envelope));
        assert!(chain.links.len() <= LIMITS.deltas_max + 1, "too long");
        let deltas = chain.links.iter().skip(1);
        let bytes: usize = deltas.map(|(_, envelope)| envelope.len()).sum();
        assert!(bytes <= LIMITS.delta_bytes_max, "too large");
    }

    fn post_ack(&mut self, place: usize, numbers: &Numbers) {
        let kind = MessageKind::ReportAck;
        let Some(envelope) = sealed(kind, [numbers.epoch, numbers.seq, 0], None, vec![0x80]) else {
            return;
        };
        let (Some(id), Some(kept)) = (self.channels.get(place), self.model.get_mut(place)) else {
            return;
        };
        let posted = self.mailboxes.post_report_ack(*id, &envelope);
        if posted != Ok(Posted::Kept) {
            return;
        }
        let rank = (numbers.epoch, numbers.seq);
        let held = kept.ack.as_ref().map(|(epoch, seq, _)| (*epoch, *seq));
        assert!(held.is_none_or(|held| rank > held), "{rank:?} {held:?}");
        kept.ack = Some((numbers.epoch, numbers.seq, envelope));
    }

    /// Shows a bundle after those that it leaves standing.
    fn show_bundles(&mut self, numbers: &Numbers) {
        let standing = self.bundles.len().saturating_sub(numbers.mark.into());
        let mut steps: Vec<BundleStep> = self.bundles.iter().take(standing).cloned().collect();
        let from = steps
            .last()
            .map(|step| step.number.number())
            .unwrap_or_default();
        let number = numbers.seq.max(from + 1);
        let revision = [0, number, number.saturating_sub(1)];
        let mark = (number > 1).then_some(0);
        let payload = filler(numbers.size);
        let Some(envelope) = sealed(MessageKind::Bundle, revision, mark, payload) else {
            return;
        };
        steps.push(BundleStep {
            number: BundleNumber::new(number),
            from: BundleNumber::new(from),
            envelope: envelope.into(),
        });
        let highest = self.mailboxes.bundle_number().number();
        let bytes: usize = steps.iter().map(|step| step.envelope.len()).sum();
        match self.mailboxes.show_bundles(&steps) {
            Ok(Posted::Older) => assert!(number < highest, "a higher bundle is older"),
            Ok(Posted::Held) => assert!(steps == self.bundles, "another bundle is held"),
            Ok(Posted::Kept) => {
                assert!(number >= highest, "a lower bundle is shown");
                assert!(bytes <= LIMITS.bundles_bytes_max, "too many bundles");
                self.bundles = steps;
            }
            Err(_) => assert!(
                bytes > LIMITS.bundles_bytes_max,
                "bundles that fit are refused"
            ),
        }
    }

    fn need(&mut self, place: usize, numbers: &Numbers) {
        self.now_ms += u64::from(numbers.mark) * 2_000;
        let (Some(id), Some(kept)) = (self.channels.get(place), self.model.get_mut(place)) else {
            return;
        };
        let served = self.mailboxes.need(*id, Plane::Desired, self.now_ms);
        let is_soon = |served: u64| self.now_ms < served + NEED_INTERVAL_MS;
        let is_early = kept.needed_ms.is_some_and(is_soon);
        let Some(chain) = &kept.chain else {
            if served.is_ok() {
                kept.asked_ms = Some(self.now_ms);
            }
            return;
        };
        if is_early || (served.is_err() && kept.asked_ms.is_some_and(is_soon)) {
            assert_eq!(served, Err(Reject::NeedLimited));
            return;
        }
        kept.needed_ms = Some(self.now_ms);
        let expected: Vec<&[u8]> = chain.links.iter().map(|(_, it)| it.as_slice()).collect();
        assert_same(&served.unwrap_or_default(), &expected);
    }

    /// Removes a channel, or posts any bytes as anything.
    fn other(&mut self, place: usize, chunk: &[u8]) {
        let (Some(id), Some(kept)) = (self.channels.get(place), self.model.get_mut(place)) else {
            return;
        };
        let [first, rest @ ..] = chunk else {
            self.mailboxes.remove(*id);
            *kept = Kept::default();
            return;
        };
        let before = self.mailboxes.bytes();
        let generation = Generation::new(9);
        let posted = match first % 3 {
            0 => self
                .mailboxes
                .post_snapshot(*id, generation, rest, [rest.to_vec()]),
            1 => self.mailboxes.post_delta(*id, generation, rest),
            _ => self.mailboxes.post_report_ack(*id, rest),
        };
        if posted == Ok(Posted::Kept) {
            // Bytes that are an envelope of their own: the model knows none of their numbers.
            self.mailboxes = Mailboxes::new(LIMITS);
            self.model = [Kept::default(), Kept::default()];
            self.bundles.clear();
        } else {
            assert_eq!(self.mailboxes.bytes(), before, "what is refused is kept");
        }
    }

    /// Every reader gets what the model has, and nothing is counted wrong.
    fn compare(&self) {
        let mut total = 0;
        for (id, kept) in self.channels.iter().zip(&self.model) {
            total += kept.bytes();
            assert!(kept.bytes() <= LIMITS.bytes_max, "a mailbox is too large");
            self.compare_reader(*id, kept, Revision::NONE);
            let Some(chain) = &kept.chain else {
                assert_eq!(self.mailboxes.head(*id), None);
                continue;
            };
            for (seq, _) in &chain.links {
                let held = Revision::new(Epoch::new(chain.epoch), Seq::new(*seq));
                self.compare_reader(*id, kept, held);
            }
            for body in chain.bodies.iter().filter(|body| body.len() < 32_000) {
                let wanted = [(Digest::of(body), 0)];
                let chunks = self.mailboxes.bodies(*id, Plane::Desired, &wanted);
                let bytes: Vec<&[u8]> = chunks.iter().map(|it| it.bytes.as_slice()).collect();
                assert_eq!(bytes, [body.as_slice()], "a body is lost");
            }
        }
        assert_eq!(self.mailboxes.bytes(), total, "bytes are counted wrong");
        assert!(total <= LIMITS.total_bytes_max, "all are too large");
    }

    fn compare_reader(&self, id: ChannelId, kept: &Kept, held: Revision) {
        let heads = Heads {
            desired: held,
            acked: Some(Seq::new(0)),
            bundle: BundleNumber::new(0),
            actual: None,
        };
        let entries = self.mailboxes.collect(id, &heads);
        let bundles = self.bundles.iter().map(|step| step.envelope.as_ref());
        let links = kept.chain.iter().flat_map(|chain| {
            let is_held = |seq: u64| Revision::new(Epoch::new(chain.epoch), Seq::new(seq)) == held;
            let place = chain.links.iter().position(|(seq, _)| is_held(*seq));
            let after = place.map_or(0, |place| place + 1);
            chain.links.iter().skip(after)
        });
        let links = links.map(|(_, envelope)| envelope.as_slice());
        let ack = kept.ack.iter().filter(|(_, seq, _)| *seq > 0);
        let ack = ack.map(|(_, _, envelope)| envelope.as_slice());
        assert_same(
            &entries,
            &bundles.chain(links).chain(ack).collect::<Vec<_>>(),
        );
    }
}

/// Tells that entries are these, as far as one answer goes.
fn assert_same(entries: &[Entry], expected: &[&[u8]]) {
    let mut room = ANSWER_ITEMS_BYTES_MAX;
    let fits = expected.iter().take_while(|envelope| {
        let left = room.checked_sub(envelope.len() + ITEM_OVERHEAD_BYTES);
        room = left.unwrap_or_default();
        left.is_some()
    });
    let fits: Vec<&[u8]> = fits.copied().collect();
    let found: Vec<&[u8]> = entries
        .iter()
        .map(|entry| entry.envelope.as_ref())
        .collect();
    assert_eq!(found, fits, "a reader gets something else");
}
