//! What a mailbox says under its own key: what it did with a message, and what it can no longer give.
//!
//! Both are facts about one mailbox and change no state of a plane. Refuses to be taken for an
//! acknowledgement: only a reader's own word says that something was accepted.

use crate::cbor::{Reader, Writer, decode_all};
use crate::envelope::{
    Binding, Draft, Expected, Header, ReceivedEnvelope, SealedEnvelope, Verified,
};
use crate::id::{Channel, ChannelId, Digest, Incarnation, MessageId, Plane, Tenant, Thumbprint};
use crate::key::{PublicKey, Signer};
use crate::kind::{MessageKind, Role};
use crate::reject::Reject;
use crate::revision::{Epoch, ReceiptNumber, Seq, StoreEpoch};
use crate::trust::Trust;

#[cfg(test)]
mod tests;

/// What a mailbox did with one message (spec: #receipt).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The life of the mailbox's store, at least 1.
    pub store: StoreEpoch,
    /// Ascends with each receipt of this store, from 1.
    pub number: Seq,
    /// The message.
    pub message: MessageId,
    /// Selects the channel that the message is about.
    pub channel: ChannelId,
    /// 0 when it is stored, else the number of the reject for which it was put aside, perhaps of a
    /// newer registry than ours.
    pub code: u16,
}

impl Receipt {
    /// Where it stands among the receipts of its mailbox.
    #[must_use]
    pub const fn place(&self) -> ReceiptNumber {
        ReceiptNumber {
            store: self.store,
            number: self.number,
        }
    }

    /// Signs the receipt with the mailbox's key.
    ///
    /// # Errors
    /// `epoch-zero`, `seq-zero` for numbers that no writer would take.
    pub fn seal(
        &self,
        root: Thumbprint,
        tenant: &Tenant,
        mailbox: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let header = Header {
            kind: MessageKind::Receipt,
            epoch: Epoch::new(self.store.number()),
            seq: self.number,
            base: Seq::new(0),
            digest: Some(Digest::from_bytes(*self.message.as_bytes())),
        };
        header
            .kind
            .check_numbers(header.epoch, header.seq, header.base)?;
        let mut payload = Writer::new();
        payload
            .array(2)
            .bytes(self.channel.as_bytes())
            .uint(u64::from(self.code));
        let payload = payload.into_bytes();
        Draft { header, payload }.seal(Role::Mailbox, Binding::Tenant { root, tenant }, mailbox)
    }

    /// Reads the payload of a verified receipt.
    ///
    /// # Errors
    /// `signer-role` for another kind; a CBOR reject, `shape`.
    pub fn decode(verified: &Verified<'_>) -> Result<Self, Reject> {
        let header = verified.header();
        if header.kind != MessageKind::Receipt {
            return Err(Reject::SignerRole);
        }
        let message = header.digest.ok_or(Reject::DigestLength)?;
        let (channel, code) = decode_all(verified.payload(), |reader| {
            reader.array_of(2)?;
            let channel = ChannelId::from_bytes(reader.bytes_of()?);
            Ok((channel, read_code(reader)?))
        })?;
        Ok(Self {
            store: StoreEpoch::new(header.epoch.number()),
            number: header.seq,
            message: MessageId::from_bytes(*message.as_bytes()),
            channel,
            code,
        })
    }

    /// Verifies a receipt with the mailbox keys that the bundle names, and tells which signed.
    ///
    /// # Errors
    /// An envelope reject; those of [`Self::decode`].
    pub fn verify(
        received: &ReceivedEnvelope<'_>,
        trust: &Trust,
        tenant: &Tenant,
    ) -> Result<(Thumbprint, Self), Reject> {
        let expected = Expected {
            role: Role::Mailbox,
            plane: None,
        };
        let binding = Binding::Tenant {
            root: trust.root(),
            tenant,
        };
        let verified = received.verify(expected, binding, mailbox_keys(trust), |key| {
            trust.is_revoked(key)
        })?;
        Ok((verified.signer(), Self::decode(&verified)?))
    }
}

/// What a mailbox took and can no longer hand over (spec: #lost).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The plane.
    pub plane: Plane,
    /// The epoch of its writer, at least 1.
    pub epoch: Epoch,
    /// The first number that is lost, at least 1.
    pub first: Seq,
    /// The last number that is lost.
    pub last: Seq,
    /// The number of the reject that says why, perhaps of a newer registry than ours.
    pub code: u16,
}

impl Lost {
    /// Signs the marker with the mailbox's key.
    ///
    /// # Errors
    /// `header-numbers` for a first number of 0; `epoch-zero`, `seq-zero`, `base-not-below`; `shape`
    /// for the code 0.
    pub fn seal(
        &self,
        channel: &Channel,
        incarnation: Incarnation,
        mailbox: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let before = self.first.number().checked_sub(1);
        let header = Header {
            kind: MessageKind::Lost,
            epoch: self.epoch,
            seq: self.last,
            base: Seq::new(before.ok_or(Reject::HeaderNumbers)?),
            digest: None,
        };
        header
            .kind
            .check_numbers(header.epoch, header.seq, header.base)?;
        if self.code == 0 {
            return Err(Reject::Shape);
        }
        let mut payload = Writer::new();
        payload.array(1).uint(u64::from(self.code));
        let payload = payload.into_bytes();
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        let draft = Draft { header, payload };
        draft.seal_about(Some(self.plane), Role::Mailbox, binding, mailbox)
    }

    /// Reads the payload of a verified marker about `plane`.
    ///
    /// # Errors
    /// `signer-role` for another kind; a CBOR reject, `shape`.
    pub fn decode_about(verified: &Verified<'_>, plane: Plane) -> Result<Self, Reject> {
        let header = verified.header();
        if header.kind != MessageKind::Lost {
            return Err(Reject::SignerRole);
        }
        let code = decode_all(verified.payload(), |reader| {
            reader.array_of(1)?;
            read_code(reader)
        })?;
        //= spec/relays.md#lost
        //# The code of a lost marker MUST be at least 1, else `shape`.
        if code == 0 {
            return Err(Reject::Shape);
        }
        Ok(Self {
            plane,
            epoch: header.epoch,
            first: header.base.next().ok_or(Reject::HeaderNumbers)?,
            last: header.seq,
            code,
        })
    }

    /// Verifies a marker about `plane` with the mailbox keys that the bundle names, and tells which signed.
    ///
    /// # Errors
    /// An envelope reject; those of [`Self::decode_about`].
    pub fn verify(
        received: &ReceivedEnvelope<'_>,
        trust: &Trust,
        channel: &Channel,
        incarnation: Incarnation,
        plane: Plane,
    ) -> Result<(Thumbprint, Self), Reject> {
        let expected = Expected {
            role: Role::Mailbox,
            plane: Some(plane),
        };
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        let verified = received.verify(expected, binding, mailbox_keys(trust), |key| {
            trust.is_revoked(key)
        })?;
        Ok((verified.signer(), Self::decode_about(&verified, plane)?))
    }
}

fn mailbox_keys(trust: &Trust) -> impl Iterator<Item = &PublicKey> {
    trust.mailboxes().iter().map(|mailbox| &mailbox.key)
}

/// Reads the number of a reject, or 0.
fn read_code(reader: &mut Reader<'_>) -> Result<u16, Reject> {
    u16::try_from(reader.uint()?).map_err(|_| Reject::Shape)
}
