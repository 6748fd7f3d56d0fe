//! What session frames say, once their tag has verified.
//!
//! Bodies travel in pieces, unsigned: down when they were fetched, up when they are wanted.
//! Refuses empty forms that would give one meaning two encodings.

use super::hints::{Hints, read_hints, write_hints};
use super::plain::{read_plane, write_plane};
use super::{FrameType, decode_sequence};
use crate::cbor::{Kind, Reader, Writer};
use crate::envelope::skip_envelope;
use crate::id::{Digest, Plane};
use crate::limits::{BODY_CHUNK_BYTES_MAX, FETCH_DIGESTS_MAX, HOLD_S_MAX, SECTION_BYTES_MAX};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Revision, Seq};
use alloc::vec::Vec;

/// Asks what is newer than what is held (spec: #poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Seconds that the mailbox may hold the answer, 0..=300.
    pub hold_s: u16,
    /// The bundle held.
    pub bundle: BundleNumber,
    /// The newest report that is acknowledged; `None` when no report is outstanding.
    pub acked: Option<Seq>,
    /// The desired revision held, or [`Revision::NONE`].
    pub desired: Revision,
    /// The actual revision held, where that plane is followed.
    pub actual: Option<Revision>,
}

/// One envelope on its way (spec: #frames). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The plane that it is about, if it is about one.
    pub plane: Option<Plane>,
    /// The COSE_Sign1.
    pub envelope: &'a [u8],
}

/// One body asked for, from an offset (spec: #bodies).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Digest of the section body.
    pub digest: Digest,
    /// First byte wanted.
    pub offset: u64,
}

/// A piece of a section body (spec: #bodies). Not verified against its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyChunk<'a> {
    /// Digest of the whole body.
    pub digest: Digest,
    /// Bytes of the whole body.
    pub size: u64,
    /// Where this piece begins.
    pub offset: u64,
    /// The piece, 1..=32768 bytes.
    pub bytes: &'a [u8],
}

/// The answer to a poll, post, need or put (spec: #answer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer<'a> {
    /// What the mailbox asks.
    pub hints: Hints,
    /// What is newer.
    pub items: Vec<Item<'a>>,
}

/// A request within a session (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpFrame<'a> {
    /// Asks what is newer.
    Poll(Poll),
    /// Brings envelopes, at least one.
    Post(Vec<Item<'a>>),
    /// Asks for a snapshot of a plane.
    Need {
        /// The plane.
        plane: Plane,
        /// What is held of it.
        held: Revision,
    },
    /// Asks for 1..=16 section bodies.
    Fetch {
        /// The plane.
        plane: Plane,
        /// The bodies.
        wanted: Vec<Wanted>,
    },
    /// Brings pieces of section bodies that the other side wants, at least one.
    Put {
        /// The plane.
        plane: Plane,
        /// The pieces.
        chunks: Vec<BodyChunk<'a>>,
    },
}

/// An answer within a session (spec: #frames).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownFrame<'a> {
    /// To a poll, post, need or put.
    Answer(Answer<'a>),
    /// To a fetch; a digest that is not held is absent.
    Bodies(Vec<BodyChunk<'a>>),
}

impl<'a> UpFrame<'a> {
    /// Returns the type byte's meaning.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Poll(_) => FrameType::Poll,
            Self::Post(_) => FrameType::Post,
            Self::Need { .. } => FrameType::Need,
            Self::Fetch { .. } => FrameType::Fetch,
            Self::Put { .. } => FrameType::Put,
        }
    }

    /// Reads what follows the counter. # Errors: CBOR rejects, `shape`, `hold-range`.
    pub(super) fn decode(frame_type: FrameType, body: &'a [u8]) -> Result<Self, Reject> {
        match frame_type {
            FrameType::Poll => decode_sequence(body, read_poll).map(Self::Poll),
            FrameType::Post => decode_sequence(body, |reader| {
                let items = read_items(reader)?;
                if items.is_empty() {
                    return Err(Reject::Shape);
                }
                Ok(Self::Post(items))
            }),
            FrameType::Need => decode_sequence(body, |reader| {
                Ok(Self::Need {
                    plane: Plane::from_number(reader.uint()?)?,
                    held: read_revision(reader)?,
                })
            }),
            FrameType::Fetch => decode_sequence(body, read_fetch),
            FrameType::Put => decode_sequence(body, read_put),
            FrameType::Answer
            | FrameType::Bodies
            | FrameType::FiledBody
            | FrameType::Enrol
            | FrameType::Enrolled
            | FrameType::Ask
            | FrameType::Challenge
            | FrameType::Hello
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    /// Refuses what no peer would take. # Errors: `shape`, `hold-range`.
    pub(super) fn check(&self) -> Result<(), Reject> {
        let (is_right, reject) = match self {
            Self::Poll(poll) => (u64::from(poll.hold_s) <= HOLD_S_MAX, Reject::HoldRange),
            Self::Post(items) => (!items.is_empty(), Reject::Shape),
            Self::Need { .. } => (true, Reject::Shape),
            Self::Fetch { wanted, .. } => {
                let is_right = (1..=FETCH_DIGESTS_MAX).contains(&wanted.len());
                (is_right, Reject::Shape)
            }
            Self::Put { chunks, .. } => (!chunks.is_empty(), Reject::Shape),
        };
        if is_right { Ok(()) } else { Err(reject) }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Poll(poll) => write_poll(writer, poll),
            Self::Post(items) => write_items(writer, items),
            Self::Need { plane, held } => {
                writer.uint(plane.number());
                write_revision(writer, *held);
            }
            Self::Fetch { plane, wanted } => {
                writer.uint(plane.number());
                wanted.iter().for_each(|one| write_wanted(writer, one));
            }
            Self::Put { plane, chunks } => {
                writer.uint(plane.number());
                write_chunks(writer, chunks);
            }
        }
    }
}

impl<'a> DownFrame<'a> {
    /// Returns the type byte's meaning.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Answer(_) => FrameType::Answer,
            Self::Bodies(_) => FrameType::Bodies,
        }
    }

    /// Reads what follows the counter. # Errors: CBOR rejects, `shape`.
    pub(super) fn decode(frame_type: FrameType, body: &'a [u8]) -> Result<Self, Reject> {
        match frame_type {
            FrameType::Answer => decode_sequence(body, |reader| {
                let hints = if !reader.is_at_end() && reader.peek()? == Kind::Map {
                    read_hints(reader)?
                } else {
                    Hints::default()
                };
                let items = read_items(reader)?;
                Ok(Self::Answer(Answer { hints, items }))
            }),
            FrameType::Bodies => decode_sequence(body, read_chunks).map(Self::Bodies),
            FrameType::Poll
            | FrameType::Post
            | FrameType::Need
            | FrameType::Fetch
            | FrameType::Put
            | FrameType::FiledBody
            | FrameType::Enrol
            | FrameType::Enrolled
            | FrameType::Ask
            | FrameType::Challenge
            | FrameType::Hello
            | FrameType::Welcome
            | FrameType::Refused
            | FrameType::Posted => Err(Reject::FrameDirection),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Answer(answer) => {
                write_hints(writer, &answer.hints);
                write_items(writer, &answer.items);
            }
            Self::Bodies(chunks) => write_chunks(writer, chunks),
        }
    }
}

/// Epoch 0 and seq 0 together mean nothing; one without the other means no place at all.
fn read_revision(reader: &mut Reader<'_>) -> Result<Revision, Reject> {
    let (epoch, seq) = (reader.uint()?, reader.uint()?);
    //= spec/postern.md#frames
    //# A head in a frame MUST NOT have only one of epoch and seq 0, else `shape`.
    if (epoch == 0) != (seq == 0) {
        return Err(Reject::Shape);
    }
    Ok(Revision::new(Epoch::new(epoch), Seq::new(seq)))
}

fn write_revision(writer: &mut Writer, revision: Revision) {
    writer
        .uint(revision.epoch.number())
        .uint(revision.seq.number());
}

fn read_poll(reader: &mut Reader<'_>) -> Result<Poll, Reject> {
    let hold_s = reader.uint()?;
    //= spec/postern.md#poll
    //# A hold above 300 s MUST be refused with `hold-range`.
    if hold_s > HOLD_S_MAX {
        return Err(Reject::HoldRange);
    }
    let bundle = BundleNumber::new(reader.uint()?);
    let acked = if reader.peek()? == Kind::Null {
        reader.null().map(|()| None)?
    } else {
        Some(Seq::new(reader.uint()?))
    };
    let desired = read_revision(reader)?;
    let actual = if reader.is_at_end() {
        None
    } else {
        Some(read_revision(reader)?)
    };
    Ok(Poll {
        hold_s: u16::try_from(hold_s).map_err(|_| Reject::HoldRange)?,
        bundle,
        acked,
        desired,
        actual,
    })
}

fn write_poll(writer: &mut Writer, poll: &Poll) {
    writer
        .uint(u64::from(poll.hold_s))
        .uint(poll.bundle.number());
    match poll.acked {
        Some(acked) => writer.uint(acked.number()),
        None => writer.null(),
    };
    write_revision(writer, poll.desired);
    if let Some(actual) = poll.actual {
        write_revision(writer, actual);
    }
}

fn read_items<'a>(reader: &mut Reader<'a>) -> Result<Vec<Item<'a>>, Reject> {
    let mut items = Vec::new();
    while !reader.is_at_end() {
        reader.array_of(2)?;
        items.push(Item {
            plane: read_plane(reader)?,
            envelope: skip_envelope(reader)?,
        });
    }
    Ok(items)
}

fn write_items(writer: &mut Writer, items: &[Item<'_>]) {
    for item in items {
        writer.array(2);
        write_plane(writer, item.plane);
        writer.raw(item.envelope);
    }
}

fn read_fetch<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let plane = Plane::from_number(reader.uint()?)?;
    let mut wanted = Vec::new();
    while !reader.is_at_end() {
        let one = read_wanted(reader)?;
        //= spec/postern.md#fetch
        //# A fetch MUST ask for 1 to 16 section bodies by digest, each from a byte offset, else
        //# `shape`.
        if wanted.len() == FETCH_DIGESTS_MAX {
            return Err(Reject::Shape);
        }
        wanted.push(one);
    }
    if wanted.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::Fetch { plane, wanted })
}

pub(super) fn read_wanted(reader: &mut Reader<'_>) -> Result<Wanted, Reject> {
    reader.array_of(2)?;
    Ok(Wanted {
        digest: Digest::from_bytes(reader.bytes_of()?),
        offset: reader.uint()?,
    })
}

pub(super) fn write_wanted(writer: &mut Writer, wanted: &Wanted) {
    writer
        .array(2)
        .bytes(wanted.digest.as_bytes())
        .uint(wanted.offset);
}

fn read_put<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let plane = Plane::from_number(reader.uint()?)?;
    let chunks = read_chunks(reader)?;
    //= spec/postern.md#bodies
    //# A put MUST bring at least one chunk, else `shape`.
    if chunks.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::Put { plane, chunks })
}

fn read_chunks<'a>(reader: &mut Reader<'a>) -> Result<Vec<BodyChunk<'a>>, Reject> {
    let mut chunks = Vec::new();
    while !reader.is_at_end() {
        chunks.push(read_chunk(reader)?);
    }
    Ok(chunks)
}

fn write_chunks(writer: &mut Writer, chunks: &[BodyChunk<'_>]) {
    for chunk in chunks {
        write_chunk(writer, chunk);
    }
}

pub(super) fn read_chunk<'a>(reader: &mut Reader<'a>) -> Result<BodyChunk<'a>, Reject> {
    reader.array_of(4)?;
    let chunk = BodyChunk {
        digest: Digest::from_bytes(reader.bytes_of()?),
        size: reader.uint()?,
        offset: reader.uint()?,
        bytes: reader.bytes()?,
    };
    let end = chunk.offset.checked_add(chunk.bytes.len() as u64);
    //= spec/postern.md#bodies
    //# A device MUST refuse a size above 65536 with `section-oversize`.
    if chunk.size > SECTION_BYTES_MAX as u64 {
        return Err(Reject::SectionOversize);
    }
    //= spec/postern.md#bodies
    //# A chunk MUST hold 1 to 32768 bytes of the body from the offset that it names, else
    //# `shape`.
    //= spec/postern.md#bodies
    //# A device MUST refuse an offset plus chunk beyond the size with `shape`.
    let is_within = end.is_some_and(|end| end <= chunk.size)
        && (1..=BODY_CHUNK_BYTES_MAX).contains(&chunk.bytes.len());
    if is_within {
        Ok(chunk)
    } else {
        Err(Reject::Shape)
    }
}

pub(super) fn write_chunk<'w>(writer: &'w mut Writer, chunk: &BodyChunk<'_>) -> &'w mut Writer {
    writer.array(4).bytes(chunk.digest.as_bytes());
    writer
        .uint(chunk.size)
        .uint(chunk.offset)
        .bytes(chunk.bytes)
}
