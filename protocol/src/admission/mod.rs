//! Admissions: the writer tells mailboxes which devices they serve, with which keys and how much room.
//!
//! ```text
//!  Admission --seal--> envelope --Admission::verify--> (AdmissionHead, Admission) --AdmissionHead::judge--> keep or refuse
//! ```
//!
//! One stands for each channel: the highest number wins, and a withdrawal is only ever overruled by a
//! later admission. Refuses to let a clock close a mailbox: age only takes room away.

use crate::cbor::{Reader, Writer, decode_all};
use crate::envelope::{
    Binding, Draft, Expected, Header, ReceivedEnvelope, SealedEnvelope, Verified,
};
use crate::id::{Channel, DeviceName, Digest, Incarnation, Tenant, Thumbprint};
use crate::key::{PublicKey, Signer};
use crate::kind::{MessageKind, Role};
use crate::limits::{ADMISSION_KEYS_MAX, ADMISSION_SILENCE_MS_MAX, ADMISSION_SILENT_SHARE};
use crate::reject::Reject;
use crate::revision::{BundleNumber, Generation, Revision, Seq};
use crate::trust::Trust;
use alloc::vec::Vec;

#[cfg(test)]
mod tests;

/// Whether a channel is served (spec: #admission).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdmissionStatus {
    /// The mailbox serves the device.
    Admitted,
    /// The mailbox ends the device's sessions and drops what it keeps for it.
    Withdrawn,
}

impl AdmissionStatus {
    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Admitted => 0,
            Self::Withdrawn => 1,
        }
    }

    /// Returns the one word for this status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads the number on the wire. # Errors: `shape`.
    const fn from_number(number: u64) -> Result<Self, Reject> {
        match number {
            0 => Ok(Self::Admitted),
            1 => Ok(Self::Withdrawn),
            _ => Err(Reject::Shape),
        }
    }
}

/// What a writer tells mailboxes about one device (spec: #admission).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The device's name within the tenant of the signature.
    pub device: DeviceName,
    /// Whether it is served.
    pub status: AdmissionStatus,
    /// Its current life.
    pub incarnation: Incarnation,
    /// Its key, and the one that takes its place during a rotation: 1..=2, no two alike.
    pub keys: Vec<PublicKey>,
    /// Bytes that a mailbox may keep for it.
    pub quota_bytes: u64,
    /// The bundle that its writer held, at least 1.
    pub bundle: BundleNumber,
}

/// Where an admission stands among all of its channel: what a mailbox never forgets (spec: #admission).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionHead {
    /// Generation of the writer key that signed it.
    pub generation: Generation,
    /// The writer's epoch and the number in it.
    pub revision: Revision,
    /// Hash of its payload.
    pub digest: Digest,
}

/// What an admission is to a mailbox that holds one (spec: #admission).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It takes the place of what is held.
    Newer,
    /// It is what is held.
    Same,
}

impl AdmissionHead {
    /// Compares an offered admission with the one that is held of the same channel.
    ///
    /// # Errors
    /// `admission-stale` for a lower one; `equivocation` for another content under the same number.
    pub fn judge(&self, held: Option<&Self>) -> Result<Offered, Reject> {
        let Some(held) = held else {
            return Ok(Offered::Newer);
        };
        let place = |head: &Self| (head.generation, head.revision);
        match place(self).cmp(&place(held)) {
            core::cmp::Ordering::Greater => Ok(Offered::Newer),
            //= spec/relays.md#admission
            //# A mailbox MUST refuse an admission that compares lower than the one held with
            //# `admission-stale`.
            core::cmp::Ordering::Less => Err(Reject::AdmissionStale),
            core::cmp::Ordering::Equal if self.digest == held.digest => Ok(Offered::Same),
            //= spec/relays.md#admission
            //# A mailbox MUST refuse an admission that compares equal and has another digest with
            //# `equivocation`.
            core::cmp::Ordering::Equal => Err(Reject::Equivocation),
        }
    }
}

impl Admission {
    /// Signs the admission with the tenant's writer key, as this number of this epoch.
    ///
    /// # Errors
    /// `epoch-zero`, `seq-zero`; `shape` for keys or a bundle that no mailbox would take.
    pub fn seal(
        &self,
        revision: Revision,
        root: Thumbprint,
        tenant: &Tenant,
        writer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let payload = self.encode();
        decode_all(&payload, read_admission)?;
        let header = Header {
            kind: MessageKind::Admission,
            epoch: revision.epoch,
            seq: revision.seq,
            base: Seq::new(0),
            digest: Some(Digest::of(&payload)),
        };
        header
            .kind
            .check_numbers(header.epoch, header.seq, header.base)?;
        Draft { header, payload }.seal(Role::Writer, Binding::Tenant { root, tenant }, writer)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(6).text(self.device.as_str());
        writer.uint(self.status.number());
        writer.bytes(self.incarnation.as_bytes());
        writer.array(self.keys.len());
        self.keys.iter().for_each(|key| key.encode(&mut writer));
        writer.uint(self.quota_bytes).uint(self.bundle.number());
        writer.into_bytes()
    }

    /// Reads the payload of a verified admission.
    ///
    /// # Errors
    /// `signer-role` for another kind; a CBOR reject, `shape`, `name-invalid`, `key-refused`; `digest-mismatch`.
    pub fn decode(verified: &Verified<'_>) -> Result<Self, Reject> {
        if verified.header().kind != MessageKind::Admission {
            return Err(Reject::SignerRole);
        }
        let admission = decode_all(verified.payload(), read_admission)?;
        //= spec/relays.md#admission
        //# The digest of an admission MUST be `h(payload)`, else `digest-mismatch`.
        if verified.header().digest != Some(Digest::of(verified.payload())) {
            return Err(Reject::DigestMismatch);
        }
        Ok(admission)
    }

    /// Verifies an admission with the writer key that the bundle names for the tenant.
    ///
    /// # Errors
    /// `key-unknown` for a tenant that the bundle does not name; an envelope reject; those of [`Self::decode`].
    pub fn verify(
        received: &ReceivedEnvelope<'_>,
        trust: &Trust,
        tenant: &Tenant,
    ) -> Result<(AdmissionHead, Self), Reject> {
        let (generation, writer) = trust.writer(tenant).ok_or(Reject::KeyUnknown)?;
        let expected = Expected {
            role: Role::Writer,
            plane: None,
        };
        let binding = Binding::Tenant {
            root: trust.root(),
            tenant,
        };
        let verified = received.verify(expected, binding, [writer], |key| trust.is_revoked(key))?;
        let admission = Self::decode(&verified)?;
        let header = verified.header();
        let head = AdmissionHead {
            generation,
            revision: Revision::new(header.epoch, header.seq),
            digest: header.digest.ok_or(Reject::DigestLength)?,
        };
        Ok((head, admission))
    }

    /// The channel that it is about.
    #[must_use]
    pub fn channel(&self, root: Thumbprint, tenant: &Tenant) -> Channel {
        Channel {
            root,
            tenant: tenant.clone(),
            device: self.device.clone(),
        }
    }

    /// Bytes that a mailbox may keep, when it last heard from the writer so many milliseconds ago.
    #[must_use]
    pub const fn quota_bytes_after(&self, silent_ms: u64) -> u64 {
        //= spec/relays.md#admission
        //# The time since the last contact with a writer MUST NOT close a mailbox; after 604800 s the quota
        //# is a quarter of the one that the admission names.
        if silent_ms >= ADMISSION_SILENCE_MS_MAX {
            self.quota_bytes / ADMISSION_SILENT_SHARE
        } else {
            self.quota_bytes
        }
    }
}

fn read_admission(reader: &mut Reader<'_>) -> Result<Admission, Reject> {
    reader.array_of(6)?;
    let device = DeviceName::parse(reader.text()?)?;
    let status = AdmissionStatus::from_number(reader.uint()?)?;
    let incarnation = Incarnation::from_bytes(reader.bytes_of()?);
    let count = reader.array()?;
    //= spec/relays.md#admission
    //# An admission MUST name 1 or 2 keys, no two alike, else `shape`.
    if !(1..=ADMISSION_KEYS_MAX).contains(&count) {
        return Err(Reject::Shape);
    }
    let keys = (0..count)
        .map(|_| PublicKey::decode(reader))
        .collect::<Result<Vec<_>, _>>()?;
    let is_twice = matches!(keys.as_slice(), [first, second] if first == second);
    let quota_bytes = reader.uint()?;
    let bundle = BundleNumber::new(reader.uint()?);
    //= spec/relays.md#admission
    //# The bundle number of an admission MUST be at least 1, else `shape`.
    if is_twice || bundle.number() == 0 {
        return Err(Reject::Shape);
    }
    Ok(Admission {
        device,
        status,
        incarnation,
        keys,
        quota_bytes,
        bundle,
    })
}
