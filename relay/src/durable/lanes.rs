//! The records of lanes: what a commit writes is exactly the difference of what they were and are.
//!
//! ```text
//!   channel 16 | plane 1 | 0                 base of the chain: snapshot or mark
//!                        | 1 | seq 8         delta
//!                        | 2 | digest 32     section body, of the chain or the pending snapshot
//!                        | 3                 pending snapshot
//!                        | 4 | slot 1        highest envelope of a kind, or its mark
//! ```
//!
//! Refuses to rebuild a chain of which anything is missing.

use super::fields::{Fields, Malformed, Reading};
use crate::mailbox::chain::{Bodies, Chain, Link};
use crate::mailbox::lane::{Lane, Letter, Slot};
use crate::mailbox::pending::Pending;
use crate::mailbox::{Lanes, Stamp};
use crate::store::{Batch, Record, Table};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{ChannelId, Digest, Plane};
use postern_protocol::revision::{Epoch, Generation, Revision, Seq};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where lanes are stored.
pub(super) const LANES: Table = Table::new("relay-lanes");

const BASE: u8 = 0;
const DELTA: u8 = 1;
const BODY: u8 = 2;
const PENDING: u8 = 3;
const LETTER: u8 = 4;
/// Bytes of a key before its tag.
const PLACE_BYTES: usize = 17;

/// One record, not written yet.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Base(Generation, Epoch, &'a Link),
    Delta(&'a Link),
    Body(&'a Arc<[u8]>),
    Pending(Generation, Stamp, &'a Arc<[u8]>),
    Letter(&'a Letter),
}

impl Part<'_> {
    fn encode(&self) -> Vec<u8> {
        let fields = Fields::default();
        let fields = match self {
            Self::Base(generation, epoch, link) => {
                let fields = fields.number(generation.number()).number(epoch.number());
                write_link(fields, link)
            }
            Self::Delta(link) => write_link(fields, link),
            Self::Body(body) => fields.fixed(body),
            Self::Pending(generation, stamp, envelope) => {
                let fields = fields.number(generation.number());
                write_stamp(fields, *stamp).counted(envelope)
            }
            Self::Letter(letter) => {
                let Revision { epoch, seq } = letter.revision;
                let fields = fields.number(epoch.number()).number(seq.number());
                let fields = fields.fixed(letter.content.as_bytes());
                write_stamp(fields, letter.stamp).optional(letter.envelope.as_deref())
            }
        };
        fields.into_bytes()
    }
}

fn write_stamp(fields: Fields, stamp: Stamp) -> Fields {
    fields.number(stamp.arrival).number(stamp.at_s)
}

fn write_link(fields: Fields, link: &Link) -> Fields {
    let fields = fields
        .number(link.seq.number())
        .fixed(link.digest.as_bytes());
    write_stamp(fields, link.stamp).optional(link.envelope.as_deref())
}

/// Adds to a batch what makes the stored lanes of a channel those of `now`.
pub(super) fn difference(channel: ChannelId, before: &Lanes, now: &Lanes, batch: &mut Batch) {
    for plane in [Plane::Desired, Plane::Actual] {
        let place = place(channel, plane);
        let (before, now) = (before.of(plane), now.of(plane));
        let has_same_states = is_same(before.chain.as_ref(), now.chain.as_ref())
            && is_same(before.pending.as_ref(), now.pending.as_ref());
        let [before, now] = [before, now].map(|lane| parts(&place, lane, !has_same_states));
        for (key, part) in &now {
            if before.get(key) != Some(part) {
                batch.insert(LANES, key.clone(), part.encode());
            }
        }
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            batch.remove(LANES, key.clone());
        }
    }
}

fn is_same<T>(before: Option<&Arc<T>>, now: Option<&Arc<T>>) -> bool {
    match (before, now) {
        (None, None) => true,
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn place(channel: ChannelId, plane: Plane) -> Vec<u8> {
    let mut place = channel.as_bytes().to_vec();
    place.push(match plane {
        Plane::Desired => 0,
        Plane::Actual => 1,
    });
    place
}

fn key(place: &[u8], tag: u8, rest: &[u8]) -> Vec<u8> {
    [place, &[tag], rest].concat()
}

fn parts<'a>(place: &[u8], lane: &'a Lane, has_states: bool) -> BTreeMap<Vec<u8>, Part<'a>> {
    let mut parts = BTreeMap::new();
    if has_states {
        if let Some(chain) = &lane.chain {
            let base = Part::Base(chain.generation, chain.epoch, &chain.base);
            parts.insert(key(place, BASE, &[]), base);
            for link in &chain.deltas {
                let seq = link.seq.number().to_be_bytes();
                parts.insert(key(place, DELTA, &seq), Part::Delta(link));
            }
            insert_bodies(&mut parts, place, &chain.bodies);
        }
        if let Some(pending) = &lane.pending {
            let part = Part::Pending(pending.generation, pending.stamp, &pending.envelope);
            parts.insert(key(place, PENDING, &[]), part);
            insert_bodies(&mut parts, place, &pending.bodies);
        }
    }
    for (slot, letter) in &lane.letters {
        parts.insert(key(place, LETTER, &[slot.number()]), Part::Letter(letter));
    }
    parts
}

fn insert_bodies<'a>(parts: &mut BTreeMap<Vec<u8>, Part<'a>>, place: &[u8], bodies: &'a Bodies) {
    for (digest, body) in bodies {
        parts.insert(key(place, BODY, digest.as_bytes()), Part::Body(body));
    }
}

/// What was read of one lane, before it is put together.
#[derive(Debug, Default)]
struct Pieces {
    base: Option<(Generation, Epoch, Link)>,
    deltas: Vec<Link>,
    bodies: Bodies,
    pending: Option<(Generation, Stamp, Arc<[u8]>)>,
    letters: BTreeMap<Slot, Letter>,
}

/// Puts the lanes of every channel together from their records, in ascending order of key.
///
/// # Errors
/// [`Malformed`] for a record that was not written here, or a chain without one of its bodies.
pub(super) fn load(
    records: impl IntoIterator<Item = Record>,
) -> Result<BTreeMap<ChannelId, Lanes>, Malformed> {
    let mut pieces: BTreeMap<(ChannelId, Plane), Pieces> = BTreeMap::new();
    for Record { key, value } in records {
        let (place, rest) = key.split_at_checked(PLACE_BYTES).ok_or(Malformed)?;
        let mut reading = Reading::new(place);
        let channel = ChannelId::from_bytes(reading.array()?);
        let plane = match reading.array()? {
            [0] => Plane::Desired,
            [1] => Plane::Actual,
            [_] => return Err(Malformed),
        };
        let (tag, rest) = rest.split_first().ok_or(Malformed)?;
        let piece = pieces.entry((channel, plane)).or_default();
        read_piece(piece, *tag, rest, &value)?;
    }
    let mut all: BTreeMap<ChannelId, Lanes> = BTreeMap::new();
    for ((channel, plane), piece) in pieces {
        *all.entry(channel).or_default().of_mut(plane) = piece.into_lane()?;
    }
    Ok(all)
}

fn read_piece(piece: &mut Pieces, tag: u8, rest: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let mut reading = Reading::new(value);
    match (tag, rest) {
        (BASE, []) => {
            let generation = Generation::new(reading.number()?);
            let epoch = Epoch::new(reading.number()?);
            piece.base = Some((generation, epoch, read_link(&mut reading)?));
        }
        (DELTA, _) => piece.deltas.push(read_link(&mut reading)?),
        (BODY, digest) => {
            let digest = Digest::from_bytes(digest.try_into().map_err(|_| Malformed)?);
            piece.bodies.insert(digest, Arc::from(value));
            return Ok(());
        }
        (PENDING, []) => {
            let generation = Generation::new(reading.number()?);
            let stamp = read_stamp(&mut reading)?;
            piece.pending = Some((generation, stamp, Arc::from(reading.counted()?)));
        }
        (LETTER, [number]) => {
            let slot = Slot::ALL.into_iter().find(|slot| slot.number() == *number);
            let letter = read_letter(&mut reading)?;
            piece.letters.insert(slot.ok_or(Malformed)?, letter);
        }
        (_, _) => return Err(Malformed),
    }
    reading.finish()
}

fn read_stamp(reading: &mut Reading<'_>) -> Result<Stamp, Malformed> {
    Ok(Stamp {
        arrival: reading.number()?,
        at_s: reading.number()?,
    })
}

fn read_link(reading: &mut Reading<'_>) -> Result<Link, Malformed> {
    Ok(Link {
        seq: Seq::new(reading.number()?),
        digest: Digest::from_bytes(reading.array()?),
        stamp: read_stamp(reading)?,
        envelope: reading.optional()?.map(Arc::from),
    })
}

fn read_letter(reading: &mut Reading<'_>) -> Result<Letter, Malformed> {
    Ok(Letter {
        revision: Revision::new(Epoch::new(reading.number()?), Seq::new(reading.number()?)),
        content: Digest::from_bytes(reading.array()?),
        stamp: read_stamp(reading)?,
        envelope: reading.optional()?.map(Arc::from),
    })
}

impl Pieces {
    fn into_lane(self) -> Result<Lane, Malformed> {
        let Self {
            base,
            deltas,
            bodies,
            pending,
            letters,
        } = self;
        let find = |digest: &Digest| bodies.get(digest).map(Arc::clone);
        let pending = match pending {
            Some((generation, stamp, envelope)) => {
                let received = ReceivedEnvelope::parse(&envelope).map_err(|_| Malformed)?;
                let pending = Pending::begin(generation, &received, stamp, find);
                Some(Arc::new(pending.map_err(|_| Malformed)?))
            }
            None => None,
        };
        let chain = match base {
            Some((generation, epoch, base)) => {
                let named = named_bodies(&base, find)?;
                let chain = Chain::restore(generation, epoch, base, named, deltas);
                Some(Arc::new(chain))
            }
            None if deltas.is_empty() => None,
            None => return Err(Malformed),
        };
        Ok(Lane {
            chain,
            pending,
            letters,
            has_gap: false,
        })
    }
}

/// The bodies that the snapshot of a chain names; a mark names none.
fn named_bodies(
    base: &Link,
    find: impl Fn(&Digest) -> Option<Arc<[u8]>>,
) -> Result<Bodies, Malformed> {
    let Some(envelope) = &base.envelope else {
        return Ok(Bodies::new());
    };
    let received = ReceivedEnvelope::parse(envelope).map_err(|_| Malformed)?;
    let whole = Pending::begin(Generation::new(0), &received, base.stamp, find);
    match whole {
        Ok(whole) if whole.is_complete() => Ok(whole.bodies),
        Ok(_) | Err(_) => Err(Malformed),
    }
}
