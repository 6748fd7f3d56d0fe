//! One trust domain: tenants, their writers and devices, and what they sign.
//!
//! Everything is made from fixed seeds, so that each process of a benchmark knows all of it. All
//! devices have one key and differ by name. Payloads are zeros: no relay reads them.

use postern_protocol::Reject;
use postern_protocol::admission::{Admission, AdmissionStatus};
use postern_protocol::cbor::Writer;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Tenant, Thumbprint};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use postern_protocol::trust::{BundleContent, Mailbox, Writership};
use std::collections::BTreeSet;

/// The life of every device.
pub const LIFE: Incarnation = Incarnation::from_bytes([7; 16]);
/// Bytes that each device may have kept: as its admission says.
const QUOTA_BYTES: u64 = 1 << 20;
/// Bytes of an envelope beside its payload, at the numbers used here.
const ENVELOPE_BYTES: usize = 110;
/// Bytes of a message: 1 KB with its signature.
pub const MESSAGE_BYTES: usize = 1_024;

fn signer(seed: u8) -> MemorySigner {
    MemorySigner::from_seed(&[seed; 32])
}

/// The relay's key.
pub fn mailbox() -> MemorySigner {
    signer(3)
}

/// The key of every device.
pub fn device() -> MemorySigner {
    signer(6)
}

/// The key of a tenant's writer.
pub fn writer(tenant: usize) -> MemorySigner {
    MemorySigner::from_seed(&seed_of(&[9, tenant]))
}

/// A seed that no other numbers give.
pub fn seed_of(numbers: &[usize]) -> [u8; 32] {
    let mut seed = [0; 32];
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
    seed.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    seed
}

/// The root of trust.
pub fn genesis() -> Thumbprint {
    signer(1).public_key().thumbprint()
}

/// The first recovery key.
pub fn recovery() -> Thumbprint {
    signer(2).public_key().thumbprint()
}

/// The name of a tenant. # Errors: none that can occur; the names are good.
pub fn tenant(number: usize) -> Result<Tenant, Reject> {
    Tenant::parse(&format!("plant-{number}"))
}

/// The channel of a device. # Errors: as [`tenant`].
pub fn channel(tenant_number: usize, number: usize) -> Result<Channel, Reject> {
    Ok(Channel {
        root: genesis(),
        tenant: tenant(tenant_number)?,
        device: DeviceName::parse(&format!("press-{number}"))?,
    })
}

/// The bundle that names so many tenants. # Errors: as [`tenant`].
pub fn bundle(tenants: usize) -> Result<Vec<u8>, Reject> {
    let written_by = |number: usize| {
        let writership = Writership {
            generation: Generation::new(1),
            key: writer(number).public_key().clone(),
        };
        Ok((tenant(number)?, writership))
    };
    let content = BundleContent {
        root: signer(1).public_key().clone(),
        recovery: signer(2).public_key().clone(),
        writers: (0..tenants)
            .map(written_by)
            .collect::<Result<_, Reject>>()?,
        mailboxes: vec![Mailbox {
            key: mailbox().public_key().clone(),
            urls: vec!["https://localhost/".into()],
        }],
        revoked: BTreeSet::new(),
    };
    Ok(content.seal(None, genesis(), &signer(1))?.into_bytes())
}

/// Admits a device. # Errors: as [`tenant`].
pub fn admission(tenant_number: usize, number: usize) -> Result<Vec<u8>, Reject> {
    let admission = Admission {
        device: channel(tenant_number, number)?.device,
        status: AdmissionStatus::Admitted,
        incarnation: LIFE,
        keys: vec![device().public_key().clone()],
        quota_bytes: QUOTA_BYTES,
        bundle: BundleNumber::new(1),
    };
    let revision = Revision::new(Epoch::new(1), Seq::new(1));
    let name = tenant(tenant_number)?;
    let sealed = admission.seal(revision, genesis(), &name, &writer(tenant_number))?;
    Ok(sealed.into_bytes())
}

/// The report of a device with this number: 1 KB. # Errors: none that can occur.
pub fn report(channel: &Channel, number: u64) -> Result<Vec<u8>, Reject> {
    letter(channel, MessageKind::Report, number, &device())
}

/// What a writer tells a device under this number: 1 KB. # Errors: none that can occur.
pub fn word(tenant: usize, channel: &Channel, number: u64) -> Result<Vec<u8>, Reject> {
    letter(channel, MessageKind::ReportAck, number, &writer(tenant))
}

fn letter(
    channel: &Channel,
    kind: MessageKind,
    number: u64,
    signer: &MemorySigner,
) -> Result<Vec<u8>, Reject> {
    let header = Header {
        kind,
        epoch: Epoch::new(1),
        seq: Seq::new(number),
        base: Seq::new(0),
        digest: None,
    };
    let mut payload = Writer::new();
    payload.bytes(&[0; MESSAGE_BYTES - ENVELOPE_BYTES]);
    let draft = Draft {
        header,
        payload: payload.into_bytes(),
    };
    let binding = Binding::Device {
        channel,
        incarnation: LIFE,
    };
    let role = if kind == MessageKind::Report {
        Role::Device
    } else {
        Role::Writer
    };
    Ok(draft.seal(role, binding, signer)?.into_bytes())
}
