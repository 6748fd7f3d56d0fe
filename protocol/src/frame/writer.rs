//! What session frames say between a writer and a mailbox that serves many devices.
//!
//! A collect asks for what devices posted since an arrival number, a deliver brings what the writer
//! signed. Refuses arrivals that do not ascend and a cursor without the store that it counts in.

use super::UpFrame;
use super::body::Item;
use super::chunk::{BodyChunk, Wanted, read_chunks, read_fetch_list, write_chunks};
use super::hints::Hints;
use super::plain::{read_plane, write_plane};
use crate::cbor::{Kind, Reader, Writer};
use crate::envelope::skip_envelope;
use crate::id::{ChannelId, Plane};
use crate::limits::HOLD_S_MAX;
use crate::reject::Reject;
use crate::revision::{ArrivalNumber, Knock, StoreEpoch};
use alloc::vec::Vec;

/// Asks for what arrived behind a cursor (spec: #collect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collect {
    /// Seconds that the mailbox may hold the answer, 0..=300.
    pub hold_s: u16,
    /// The store in which the cursor counts; 0 when none is known.
    pub store: StoreEpoch,
    /// What arrived up to here is held durably by the sender; 0 for nothing.
    pub cursor: ArrivalNumber,
}

/// The answer to a collect (spec: #collect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected<'a> {
    /// What the mailbox asks.
    pub hints: Hints,
    /// The store that counts the arrivals, at least 1.
    pub store: StoreEpoch,
    /// What arrived, ascending.
    pub entries: Vec<Entry<'a>>,
}

/// One thing that arrived at a mailbox (spec: #collect). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An envelope.
    Envelope {
        /// Its place in the order of arrival, from 1.
        arrival: ArrivalNumber,
        /// The envelope, and what selects whom it is about.
        delivery: Delivery<'a>,
    },
    /// A frame of an enrolment: who asks to be enrolled, or going down the answer to it.
    Knock {
        /// Its place in the order of arrival, from 1.
        arrival: ArrivalNumber,
        /// What the mailbox calls it.
        knock: Knock,
        /// The enrol or enrolled frame, type byte included.
        frame: &'a [u8],
    },
}

impl Entry<'_> {
    /// Its place in the order of arrival.
    #[must_use]
    pub const fn arrival(&self) -> ArrivalNumber {
        match self {
            Self::Envelope { arrival, .. } | Self::Knock { arrival, .. } => *arrival,
        }
    }
}

/// One envelope for one of many channels (spec: #deliver). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Selects the channel; `None` for a bundle, which is about all of them.
    pub channel: Option<ChannelId>,
    /// The envelope, and the plane that it is about.
    pub item: Item<'a>,
}

pub(super) fn read_collect(reader: &mut Reader<'_>) -> Result<Collect, Reject> {
    let hold_s = reader.uint()?;
    if hold_s > HOLD_S_MAX {
        return Err(Reject::HoldRange);
    }
    let collect = Collect {
        hold_s: u16::try_from(hold_s).map_err(|_| Reject::HoldRange)?,
        store: StoreEpoch::new(reader.uint()?),
        cursor: ArrivalNumber::new(reader.uint()?),
    };
    check_collect(&collect).map(|()| collect)
}

/// Refuses a collect that no mailbox would take. # Errors: `hold-range`, `shape`.
pub(super) fn check_collect(collect: &Collect) -> Result<(), Reject> {
    //= spec/relays.md#collect
    //# A hold above 300 s in a collect MUST be refused with `hold-range`.
    if u64::from(collect.hold_s) > HOLD_S_MAX {
        return Err(Reject::HoldRange);
    }
    //= spec/relays.md#collect
    //# A collect MUST NOT name a cursor without a store epoch, else `shape`.
    if collect.store.number() == 0 && collect.cursor.number() != 0 {
        return Err(Reject::Shape);
    }
    Ok(())
}

pub(super) fn write_collect(writer: &mut Writer, collect: &Collect) {
    writer
        .uint(u64::from(collect.hold_s))
        .uint(collect.store.number())
        .uint(collect.cursor.number());
}

pub(super) fn read_collected<'a>(
    reader: &mut Reader<'a>,
    hints: Hints,
) -> Result<Collected<'a>, Reject> {
    let store = StoreEpoch::new(reader.uint()?);
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut last = ArrivalNumber::new(0);
    while !reader.is_at_end() {
        let entry = read_entry(reader)?;
        //= spec/relays.md#collect
        //# Arrival numbers in a collected frame MUST be at least 1 and ascend strictly, else `shape`.
        if entry.arrival() <= last {
            return Err(Reject::Shape);
        }
        last = entry.arrival();
        entries.push(entry);
    }
    //= spec/relays.md#collect
    //# The store epoch in a collected frame MUST be at least 1, else `shape`.
    if store.number() == 0 {
        return Err(Reject::Shape);
    }
    Ok(Collected {
        hints,
        store,
        entries,
    })
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Reject> {
    let members = reader.array()?;
    let arrival = ArrivalNumber::new(reader.uint()?);
    match members {
        3 => Ok(Entry::Knock {
            arrival,
            knock: Knock::new(reader.uint()?),
            frame: reader.bytes()?,
        }),
        4 => Ok(Entry::Envelope {
            arrival,
            delivery: read_members(reader)?,
        }),
        _ => Err(Reject::Shape),
    }
}

/// Writes what follows the hints of a collected frame.
pub(super) fn write_collected(writer: &mut Writer, collected: &Collected<'_>) {
    writer.uint(collected.store.number());
    for entry in &collected.entries {
        match entry {
            Entry::Envelope { arrival, delivery } => {
                writer.array(4).uint(arrival.number());
                write_members(writer, delivery);
            }
            Entry::Knock {
                arrival,
                knock,
                frame,
            } => {
                writer.array(3).uint(arrival.number());
                writer.uint(knock.number()).bytes(frame);
            }
        }
    }
}

pub(super) fn read_deliver<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let mut deliveries = Vec::new();
    while !reader.is_at_end() {
        reader.array_of(3)?;
        deliveries.push(read_members(reader)?);
    }
    //= spec/relays.md#deliver
    //# A deliver, and a deliver-bodies, MUST bring at least one member of its list, else `shape`.
    if deliveries.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::Deliver(deliveries))
}

pub(super) fn write_deliver(writer: &mut Writer, deliveries: &[Delivery<'_>]) {
    for delivery in deliveries {
        writer.array(3);
        write_members(writer, delivery);
    }
}

fn read_members<'a>(reader: &mut Reader<'a>) -> Result<Delivery<'a>, Reject> {
    let channel = if reader.peek()? == Kind::Null {
        reader.null().map(|()| None)?
    } else {
        Some(ChannelId::from_bytes(reader.bytes_of()?))
    };
    let plane = read_plane(reader)?;
    //= spec/relays.md#deliver
    //# An envelope without a channel MUST NOT have a plane, else `shape`.
    if channel.is_none() && plane.is_some() {
        return Err(Reject::Shape);
    }
    let envelope = skip_envelope(reader)?;
    let item = Item { plane, envelope };
    Ok(Delivery { channel, item })
}

fn write_members(writer: &mut Writer, delivery: &Delivery<'_>) {
    match delivery.channel {
        Some(channel) => writer.bytes(channel.as_bytes()),
        None => writer.null(),
    };
    write_plane(writer, delivery.item.plane);
    writer.raw(delivery.item.envelope);
}

pub(super) fn read_deliver_bodies<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let (channel, plane) = read_place(reader)?;
    let chunks: Vec<BodyChunk<'a>> = read_chunks(reader)?;
    if chunks.is_empty() {
        return Err(Reject::Shape);
    }
    Ok(UpFrame::DeliverBodies {
        channel,
        plane,
        chunks,
    })
}

pub(super) fn write_deliver_bodies(
    writer: &mut Writer,
    channel: ChannelId,
    plane: Plane,
    chunks: &[BodyChunk<'_>],
) {
    write_place(writer, channel, plane);
    write_chunks(writer, chunks);
}

pub(super) fn read_fetch_bodies<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    let (channel, plane) = read_place(reader)?;
    let wanted: Vec<Wanted> = read_fetch_list(reader)?;
    Ok(UpFrame::FetchBodies {
        channel,
        plane,
        wanted,
    })
}

pub(super) fn read_deliver_enrolled<'a>(reader: &mut Reader<'a>) -> Result<UpFrame<'a>, Reject> {
    Ok(UpFrame::DeliverEnrolled {
        knock: Knock::new(reader.uint()?),
        enrolled: reader.bytes()?,
    })
}

/// Reads which plane of which channel is meant.
pub(super) fn read_place(reader: &mut Reader<'_>) -> Result<(ChannelId, Plane), Reject> {
    let channel = ChannelId::from_bytes(reader.bytes_of()?);
    Ok((channel, Plane::from_number(reader.uint()?)?))
}

/// Writes which plane of which channel is meant.
pub(super) fn write_place(writer: &mut Writer, channel: ChannelId, plane: Plane) {
    writer.bytes(channel.as_bytes()).uint(plane.number());
}
