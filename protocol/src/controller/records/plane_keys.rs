//! The keys of encrypted channels, read back into their members.
//!
//! Refuses a vault that does not read as a whole.

use super::super::Controller;
use super::super::encryption::Held;
use super::restore::fixed;
use crate::encryption::{AgreementKey, Life, Vault};
use crate::id::{ChannelId, Incarnation};
use crate::record::{RecordError, Table, read};

/// Reads the keys of a member's channel; those of a member that is gone say nothing.
pub(super) fn restore_keys(
    controller: &mut Controller,
    key: &[u8],
    value: &[u8],
) -> Result<(), RecordError> {
    let id = ChannelId::from_bytes(fixed(Table::PlaneKeys, key)?);
    let Some(member) = controller.members.get_mut(&id) else {
        return Ok(());
    };
    let channel = member.channel.clone();
    read(Table::PlaneKeys, key, value, |reader| {
        reader.array_of(3)?;
        member.encryption.agreement = Some(AgreementKey::from_bytes(reader.bytes_of()?)?);
        let incarnation =
            reader.optional(|reader| reader.bytes_of().map(Incarnation::from_bytes))?;
        let Some(incarnation) = incarnation else {
            return reader.null();
        };
        reader.array_of(2)?;
        let payload = reader.bytes()?.to_vec();
        let life = Life {
            channel,
            incarnation,
        };
        let vault = Vault::read(reader, life)?;
        member.encryption.held = Some(Held { vault, payload });
        Ok(())
    })
}
