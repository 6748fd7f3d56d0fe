//! The frame around every stored value, and the key under which it lies.
//!
//! ```text
//! key:    table name length (1) | table name | key
//! value:  version (1) | length (4, big-endian) | CRC32C (4, big-endian) | bytes
//! ```
//!
//! The check covers table, key, version, length and bytes, so a value that turns up under
//! another key fails as surely as one with a flipped bit: a CRC finds every single-bit error and
//! every burst up to 32 bits. It is no defence against someone who can write the file, and it
//! cannot see a record that has vanished; owners of numbered records keep the numbers contiguous.

use super::{KeyRange, Table};

#[cfg(test)]
mod tests;

const FRAME_VERSION: u8 = 1;
const HEADER_BYTES: usize = 9;

/// Returns the engine key of a record.
pub(super) fn engine_key(table: Table, key: &[u8]) -> Vec<u8> {
    let name = table.name().as_bytes();
    let mut out = Vec::with_capacity(1 + name.len() + key.len());
    out.push(name_length(name));
    out.extend_from_slice(name);
    out.extend_from_slice(key);
    out
}

/// Returns the engine keys that bound a range: first included, last excluded.
pub(super) fn engine_range(table: Table, keys: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let from = engine_key(table, keys.from());
    let to = keys.to().map_or_else(
        || {
            let mut beyond = engine_key(table, &[]);
            // A name is ASCII, so its last byte has a successor.
            if let Some(last) = beyond.last_mut() {
                *last = last.saturating_add(1);
            }
            beyond
        },
        |to| engine_key(table, to),
    );
    (from, to)
}

/// Returns the caller's key within an engine key, or `None` where it lies in another table.
pub(super) fn caller_key(table: Table, engine_key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = engine_key.split_first()?;
    let name = table.name().as_bytes();
    if *length != name_length(name) {
        return None;
    }
    rest.strip_prefix(name)
}

/// Frames a value for its engine key.
pub(super) fn seal(engine_key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::with_capacity(HEADER_BYTES + value.len());
    out.push(FRAME_VERSION);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(engine_key, length, value).to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// Returns the value of a frame, or `None` where anything about it does not match.
pub(super) fn unseal<'a>(engine_key: &[u8], frame: &'a [u8]) -> Option<&'a [u8]> {
    let (version, rest) = frame.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check, value) = rest.split_first_chunk::<4>()?;
    let intact = *version == FRAME_VERSION
        && usize::try_from(u32::from_be_bytes(*length)) == Ok(value.len())
        && u32::from_be_bytes(*check) == checksum(engine_key, *length, value);
    intact.then_some(value)
}

/// CRC32C over key length, key (which begins with the table), version, length and bytes.
fn checksum(engine_key: &[u8], length: [u8; 4], value: &[u8]) -> u32 {
    let key_length = u64::try_from(engine_key.len()).unwrap_or(u64::MAX);
    let check = crc32c::crc32c(&key_length.to_be_bytes());
    let check = crc32c::crc32c_append(check, engine_key);
    let check = crc32c::crc32c_append(check, &[FRAME_VERSION]);
    let check = crc32c::crc32c_append(check, &length);
    crc32c::crc32c_append(check, value)
}

fn name_length(name: &[u8]) -> u8 {
    u8::try_from(name.len()).unwrap_or(u8::MAX)
}
