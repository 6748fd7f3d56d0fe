//! The key to which plane keys are encrypted: made by `join`, bound by the enrolment, kept in the store.
//!
//! It lies beside the keys that it opens, in a file that only its owner reads. Refuses to leave it.

use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::records::{self, Loaded};
use postern_protocol::cbor::{Reader, Writer};
use postern_protocol::context::draw;
use postern_protocol::device::Device;
use postern_protocol::encryption::AgreementSecret;
use postern_protocol::record::{RecordError, Table, Write, read};

const AGREEMENT_KEY: &[u8] = b"agreement";

/// Makes a fresh one.
pub fn make() -> AgreementSecret {
    AgreementSecret::from_bytes(draw(&mut OsRandom))
}

/// Encodes the record. The value is secret.
pub fn to_write(secret: &AgreementSecret) -> Write {
    let mut writer = Writer::new();
    writer.bytes(secret.danger_bytes());
    Write {
        table: Table::PlaneKeys,
        key: AGREEMENT_KEY.into(),
        value: Some(writer.into_bytes()),
    }
}

/// Gives an engine the key of its device, where there is one.
///
/// # Errors
/// A record that cannot be read.
pub fn give(
    config: &DeviceConfig,
    engine: Device,
    records: &[Loaded],
) -> Result<Device, CommandError> {
    let secret = find(records::lend(records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    Ok(match secret {
        Some(secret) => engine.with_agreement(secret),
        None => engine,
    })
}

/// Finds the key of this device; `None` on one that joined with an earlier version.
///
/// # Errors
/// [`RecordError`] when it cannot be read.
pub fn find<'a>(
    records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
) -> Result<Option<AgreementSecret>, RecordError> {
    let mut records = records.into_iter();
    let found = records.find(|(table, key, _)| *table == Table::PlaneKeys && *key == AGREEMENT_KEY);
    found
        .map(|(table, key, value)| {
            let bytes = |reader: &mut Reader<'_>| reader.bytes_of();
            read(table, key, value, bytes).map(AgreementSecret::from_bytes)
        })
        .transpose()
}
