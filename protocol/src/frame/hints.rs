//! What a mailbox asks of its client beside the items of an answer.
//!
//! A hint never makes a client do more than its own limits allow: retry and hold are clamped.
//! Refuses empty forms that would give one meaning two encodings.

use super::chunk::{Wanted, read_wanted, write_wanted};
use super::writer::{read_place, write_place};
use crate::cbor::{KeyOrder, Reader, Writer};
use crate::id::{ChannelId, Digest, Plane};
use crate::limits::{
    FETCH_DIGESTS_MAX, HOLD_S_MAX, RETRY_MS_MAX, SNAPSHOTS_WANTED_MAX, URL_BYTES_MAX,
};
use crate::reject::Reject;
use alloc::string::String;
use alloc::vec::Vec;

/// The refusal of one posted item (spec: #answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Place of the item in the post, from 0.
    pub index: u32,
    /// A reject's code, 1..=65535, perhaps of a newer registry than ours.
    pub code: u16,
}

/// What a mailbox asks of its client; clamped, never trusted beyond slowing down (spec: #answer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Milliseconds to wait before the next exchange, at most `RETRY_MS_MAX`.
    pub retry_ms: Option<u64>,
    /// Longest hold that is welcome, in seconds, at most `HOLD_S_MAX`.
    pub hold_s_max: Option<u64>,
    /// A URL of a mailbox of the bundle to go to.
    pub move_url: Option<String>,
    /// Items of the post that were refused.
    pub refused: Vec<Refusal>,
    /// Bodies of a posted snapshot or of evidence that are to be put, at most 16.
    pub wanted: Vec<Wanted>,
    /// Planes of which a snapshot is wanted, ascending, each once.
    pub need: Vec<Plane>,
    /// Planes of which a mailbox wants a snapshot from this writer, ascending, each once, at most 64.
    pub snapshots_wanted: Vec<(ChannelId, Plane)>,
    /// Bodies that a mailbox lacks of snapshots that this writer delivered, at most 16.
    pub bodies_wanted: Vec<WantedBody>,
}

/// One body asked for in a writer session (spec: #deliver).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedBody {
    /// Selects the channel.
    pub channel: ChannelId,
    /// The plane.
    pub plane: Plane,
    /// The body, and the first byte wanted.
    pub wanted: Wanted,
}

pub(super) fn read_hints(reader: &mut Reader<'_>) -> Result<Hints, Reject> {
    let entries = reader.map()?;
    //= spec/postern.md#answer
    //# An empty hints map, an unknown hint, a URL outside 1 to 512 bytes or a code outside 1..65535
    //# MUST be refused with `shape`.
    if entries == 0 {
        return Err(Reject::Shape);
    }
    let mut hints = Hints::default();
    let mut order = KeyOrder::new();
    for _ in 0..entries {
        match reader.int_key(&mut order)? {
            //= spec/postern.md#answer
            //# A device MUST treat retry_ms above 3600000 as 3600000 and hold_s_max above 300 as
            //# 300.
            1 => hints.retry_ms = Some(reader.uint()?.min(RETRY_MS_MAX)),
            2 => hints.hold_s_max = Some(reader.uint()?.min(HOLD_S_MAX)),
            3 => {
                let url = reader.text()?;
                if url.is_empty() || url.len() > URL_BYTES_MAX {
                    return Err(Reject::Shape);
                }
                hints.move_url = Some(url.into());
            }
            4 => hints.refused = read_refusals(reader)?,
            5 => hints.wanted = read_wanted_list(reader)?,
            6 => hints.need = read_planes(reader)?,
            7 => hints.snapshots_wanted = read_snapshots_wanted(reader)?,
            8 => hints.bodies_wanted = read_bodies_wanted(reader)?,
            _ => return Err(Reject::Shape),
        }
    }
    Ok(hints)
}

fn read_refusals(reader: &mut Reader<'_>) -> Result<Vec<Refusal>, Reject> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let mut refusals = Vec::new();
    for _ in 0..count {
        reader.array_of(2)?;
        let index = u32::try_from(reader.uint()?).map_err(|_| Reject::Shape)?;
        let code = u16::try_from(reader.uint()?).map_err(|_| Reject::Shape)?;
        if code == 0 {
            return Err(Reject::Shape);
        }
        refusals.push(Refusal { index, code });
    }
    Ok(refusals)
}

pub(super) fn write_hints(writer: &mut Writer, hints: &Hints) {
    let entries = usize::from(hints.retry_ms.is_some())
        + usize::from(hints.hold_s_max.is_some())
        + usize::from(hints.move_url.is_some())
        + usize::from(!hints.refused.is_empty())
        + usize::from(!hints.wanted.is_empty())
        + usize::from(!hints.need.is_empty())
        + usize::from(!hints.snapshots_wanted.is_empty())
        + usize::from(!hints.bodies_wanted.is_empty());
    if entries == 0 {
        return;
    }
    writer.map(entries);
    if let Some(retry_ms) = hints.retry_ms {
        writer.uint(1).uint(retry_ms);
    }
    if let Some(hold_s_max) = hints.hold_s_max {
        writer.uint(2).uint(hold_s_max);
    }
    if let Some(url) = &hints.move_url {
        writer.uint(3).text(url);
    }
    if !hints.refused.is_empty() {
        writer.uint(4).array(hints.refused.len());
        for refusal in &hints.refused {
            writer.array(2).uint(u64::from(refusal.index));
            writer.uint(u64::from(refusal.code));
        }
    }
    if !hints.wanted.is_empty() {
        writer.uint(5).array(hints.wanted.len());
        hints
            .wanted
            .iter()
            .for_each(|one| write_wanted(writer, one));
    }
    if !hints.need.is_empty() {
        writer.uint(6).array(hints.need.len());
        for plane in &hints.need {
            writer.uint(plane.number());
        }
    }
    write_writer_hints(writer, hints);
}

/// Writes the hints that only writers get.
fn write_writer_hints(writer: &mut Writer, hints: &Hints) {
    if !hints.snapshots_wanted.is_empty() {
        writer.uint(7).array(hints.snapshots_wanted.len());
        for (channel, plane) in &hints.snapshots_wanted {
            writer.array(2);
            write_place(writer, *channel, *plane);
        }
    }
    if !hints.bodies_wanted.is_empty() {
        writer.uint(8).array(hints.bodies_wanted.len());
        for one in &hints.bodies_wanted {
            writer.array(4);
            write_place(writer, one.channel, one.plane);
            writer.bytes(one.wanted.digest.as_bytes());
            writer.uint(one.wanted.offset);
        }
    }
}

fn read_wanted_list(reader: &mut Reader<'_>) -> Result<Vec<Wanted>, Reject> {
    let count = reader.array()?;
    if !(1..=FETCH_DIGESTS_MAX).contains(&count) {
        return Err(Reject::Shape);
    }
    (0..count).map(|_| read_wanted(reader)).collect()
}

fn read_planes(reader: &mut Reader<'_>) -> Result<Vec<Plane>, Reject> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let mut planes = Vec::new();
    for _ in 0..count {
        let plane = Plane::from_number(reader.uint()?)?;
        // Ascending and each once: there are only two.
        if planes.last().is_some_and(|last| *last >= plane) {
            return Err(Reject::Shape);
        }
        planes.push(plane);
    }
    Ok(planes)
}

fn read_snapshots_wanted(reader: &mut Reader<'_>) -> Result<Vec<(ChannelId, Plane)>, Reject> {
    let count = reader.array()?;
    //= spec/relays.md#deliver
    //# Hint 7 MUST name 1 to 64 planes, ascending by channel id and plane and each once, else
    //# `shape`.
    if !(1..=SNAPSHOTS_WANTED_MAX).contains(&count) {
        return Err(Reject::Shape);
    }
    let mut places: Vec<(ChannelId, Plane)> = Vec::new();
    for _ in 0..count {
        reader.array_of(2)?;
        let place = read_place(reader)?;
        if places.last().is_some_and(|last| *last >= place) {
            return Err(Reject::Shape);
        }
        places.push(place);
    }
    Ok(places)
}

fn read_bodies_wanted(reader: &mut Reader<'_>) -> Result<Vec<WantedBody>, Reject> {
    let count = reader.array()?;
    //= spec/relays.md#deliver
    //# Hint 8 MUST name 1 to 16 bodies, else `shape`.
    if !(1..=FETCH_DIGESTS_MAX).contains(&count) {
        return Err(Reject::Shape);
    }
    let read_one = |reader: &mut Reader<'_>| {
        reader.array_of(4)?;
        let (channel, plane) = read_place(reader)?;
        let wanted = Wanted {
            digest: Digest::from_bytes(reader.bytes_of()?),
            offset: reader.uint()?,
        };
        Ok(WantedBody {
            channel,
            plane,
            wanted,
        })
    };
    (0..count).map(|_| read_one(reader)).collect()
}
