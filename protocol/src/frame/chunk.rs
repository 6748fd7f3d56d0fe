//! Section bodies on their way: what is asked for, and the pieces that come.
//!
//! Bodies are unsigned; the signed table names their digests. Refuses pieces that are empty or reach
//! beyond the body that they belong to.

use crate::cbor::{Reader, Writer};
use crate::id::Digest;
use crate::limits::{BODY_CHUNK_BYTES_MAX, FETCH_DIGESTS_MAX, SECTION_BYTES_MAX};
use crate::reject::Reject;
use alloc::vec::Vec;

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

/// Reads 1..=16 bodies that are asked for.
pub(super) fn read_fetch_list(reader: &mut Reader<'_>) -> Result<Vec<Wanted>, Reject> {
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
    Ok(wanted)
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

pub(super) fn read_chunks<'a>(reader: &mut Reader<'a>) -> Result<Vec<BodyChunk<'a>>, Reject> {
    let mut chunks = Vec::new();
    while !reader.is_at_end() {
        chunks.push(read_chunk(reader)?);
    }
    Ok(chunks)
}

pub(super) fn write_chunks(writer: &mut Writer, chunks: &[BodyChunk<'_>]) {
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
