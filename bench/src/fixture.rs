//! A fleet of one, with the numbers that published figures are stated for.
//!
//! Everything is fixed: the same bytes on every machine. Refuses to be small by accident: the
//! epoch is that of a writer with a clock, the sequence is 2^20, paths have 13 characters.

use crate::error::BenchError;
use postern_protocol::Reject;
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::{Binding, Draft, Expected, Header, SealedEnvelope};
use postern_protocol::id::{Channel, DeviceName, Digest, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, PublicKey, Signer};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Delta, Finite, Path, State, Value};

/// Who may sign a delta of the desired plane.
pub const WRITER: Expected = Expected {
    role: Role::Writer,
    plane: Some(Plane::Desired),
};

/// The sequence that figures are stated for: 5 bytes on the wire.
pub const SEQ: Seq = Seq::new(1 << 20);

/// An epoch as a writer opens it in 2026: 9 bytes on the wire.
pub const EPOCH: Epoch = Epoch::new(1_790_000_000 << 20 | 0x5_a5a5);

/// The revision that figures are stated for.
pub const REVISION: Revision = Revision::new(EPOCH, SEQ);

/// One device, its channel and every key that speaks on it.
#[derive(Debug)]
pub struct Fleet {
    /// The device's channel.
    pub channel: Channel,
    /// Its life.
    pub incarnation: Incarnation,
    /// The tenant's writer.
    pub writer: MemorySigner,
    /// The device.
    pub device: MemorySigner,
}

impl Fleet {
    /// Makes the fleet. # Errors: none that can occur; the names are fixed.
    pub fn new() -> Result<Self, Reject> {
        Ok(Self {
            channel: Channel {
                root: Thumbprint::from_bytes([3; 32]),
                tenant: Tenant::parse("acme")?,
                device: DeviceName::parse("press-7")?,
            },
            incarnation: Incarnation::from_bytes([4; 16]),
            writer: MemorySigner::from_seed(&[1; 32]),
            device: MemorySigner::from_seed(&[2; 32]),
        })
    }

    /// What the fleet's signatures are bound to.
    pub const fn binding(&self) -> Binding<'_> {
        Binding::Device {
            channel: &self.channel,
            incarnation: self.incarnation,
        }
    }

    /// Signs a message of [`REVISION`]; a delta starts from the sequence before.
    pub fn seal(
        &self,
        kind: MessageKind,
        digest: Digest,
        payload: Vec<u8>,
    ) -> Result<SealedEnvelope, Reject> {
        let base = match kind {
            MessageKind::Delta => SEQ.number() - 1,
            MessageKind::Snapshot
            | MessageKind::Report
            | MessageKind::ReportAck
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Heartbeat
            | MessageKind::Evidence
            | MessageKind::Lost => 0,
        };
        let header = Header {
            kind,
            epoch: EPOCH,
            seq: SEQ,
            base: Seq::new(base),
            digest: Some(digest),
        };
        let (role, signer) = match kind {
            MessageKind::Report => (Role::Device, &self.device),
            MessageKind::Delta
            | MessageKind::Snapshot
            | MessageKind::ReportAck
            | MessageKind::Heartbeat
            | MessageKind::EnrolRequest
            | MessageKind::EnrolAnswer
            | MessageKind::Bundle
            | MessageKind::Admission
            | MessageKind::SessionHello
            | MessageKind::SessionWelcome
            | MessageKind::Receipt
            | MessageKind::PlaneKey
            | MessageKind::Evidence
            | MessageKind::Lost => (Role::Writer, &self.writer),
        };
        Draft { header, payload }.seal(role, self.binding(), signer)
    }
}

/// How large a delta is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 300 bytes: 5 keys.
    Small,
    /// About 2 KB: 60 keys.
    Middle,
    /// About 16 KB: 500 keys.
    Large,
}

/// An envelope as it arrives, and what the bare check of its signature needs.
#[derive(Debug)]
pub struct Delivery {
    /// Who it is for.
    pub fleet: Fleet,
    /// The writer's key.
    pub key: PublicKey,
    /// The COSE_Sign1.
    pub envelope: Vec<u8>,
    /// What is signed (RFC 9052 section 4.4), built without the engine.
    pub to_be_signed: Vec<u8>,
    /// The 64 bytes at the end of the envelope.
    pub signature: [u8; 64],
}

impl Size {
    /// Every size, ascending.
    pub const ALL: [Self; 3] = [Self::Small, Self::Middle, Self::Large];

    /// How many keys the delta sets.
    pub const fn keys_count(self) -> usize {
        match self {
            Self::Small => 5,
            Self::Middle => 60,
            Self::Large => 500,
        }
    }

    /// How much receiving may cost, in bare signature checks.
    pub const fn ratio_max(self) -> f64 {
        match self {
            Self::Small => 1.05,
            Self::Middle => 1.10,
            Self::Large => 1.30,
        }
    }

    /// Makes a delta of this size. # Errors: none that can occur; the content is fixed.
    pub fn build(self) -> Result<Delivery, BenchError> {
        let fleet = Fleet::new()?;
        let entries = settings(self.keys_count(), 10)?;
        let root = *State::from_entries(entries.clone())?.root();
        let payload = Delta::new(entries, Vec::new())?.encode();
        let sealed = fleet.seal(MessageKind::Delta, root, payload.clone())?;
        let envelope = sealed.into_bytes();
        let signature = envelope
            .last_chunk::<64>()
            .copied()
            .ok_or(BenchError::Signature)?;
        let aad = fleet
            .binding()
            .aad(MessageKind::Delta, Role::Writer, Some(Plane::Desired))
            .ok_or(BenchError::Signature)?;
        let mut reader = postern_protocol::cbor::Reader::new(&envelope);
        reader.array()?;
        let mut writer = Writer::new();
        writer.array(4).text("Signature1").bytes(reader.bytes()?);
        writer.bytes(&aad).bytes(&payload);
        Ok(Delivery {
            key: fleet.writer.public_key().clone(),
            to_be_signed: writer.into_bytes(),
            signature,
            envelope,
            fleet,
        })
    }
}

/// Makes `count` settings in `sections` sections, as 13-character paths like `line-3/sp-042`.
///
/// Three of five are text of 24 characters, one is an integer, one a float: 32 bytes a setting.
pub fn settings(count: usize, sections: usize) -> Result<Vec<(Path, Value)>, Reject> {
    (0..count)
        .map(|index| {
            let path = format!("line-{}/sp-{index:03}", index % sections);
            let number = u64::try_from(index).unwrap_or_default();
            let value = match index % 5 {
                0..=2 => Value::Text(format!("recipe-{index:05}-revision-b2")),
                3 => Value::Int((70_000 + number).into()),
                _ => Value::Float(Finite::new(
                    f64::from(u32::try_from(index).unwrap_or(0)) / 7.0,
                )?),
            };
            Ok((Path::parse(&path)?, value))
        })
        .collect()
}

/// One setting of many changes.
#[derive(Debug)]
pub struct OneChange {
    /// The state before.
    pub before: State,
    /// The state after.
    pub after: State,
    /// The delta's payload.
    pub payload: Vec<u8>,
}

/// Changes one of 500 settings in 10 sections. # Errors: none that can occur; the content is fixed.
pub fn one_change() -> Result<OneChange, BenchError> {
    let before = State::from_entries(settings(500, 10)?)?;
    let path = Path::parse("line-3/sp-253")?;
    let change = Change::Set(path, Value::Text("recipe-00253-revision-b3".to_owned()));
    let (after, delta) = before
        .change(&[change])?
        .ok_or(BenchError::Refused(Reject::DeltaEmpty))?;
    Ok(OneChange {
        before,
        after,
        payload: delta.encode(),
    })
}
