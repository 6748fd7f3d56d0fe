//! What a signature is bound to beyond its bytes: the `external_aad` (spec: #aad).
//!
//! Refuses to be sent: each end builds it from what it knows, so that bytes from elsewhere do not verify.

use crate::cbor::Writer;
use crate::id::{Channel, Incarnation, Plane, Tenant, Thumbprint};
use crate::kind::{MessageKind, Role, Scope};
use alloc::vec::Vec;

/// How much of the channel the verifier knows.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// Only the trust domain.
    Trust {
        /// Thumbprint of the genesis root key.
        root: Thumbprint,
    },
    /// Trust domain and tenant.
    Tenant {
        /// Thumbprint of the genesis root key.
        root: Thumbprint,
        /// The tenant.
        tenant: &'a Tenant,
    },
    /// One life of one device.
    Device {
        /// The device's channel.
        channel: &'a Channel,
        /// Its incarnation.
        incarnation: Incarnation,
    },
}

/// Bytes of an aad whose names are of ordinary length, so that it is written in one piece. Arbitrary.
const AAD_BYTES: usize = 128;

impl Binding<'_> {
    /// How much is known here.
    const fn scope(&self) -> Scope {
        match self {
            Self::Trust { .. } => Scope::Trust,
            Self::Tenant { .. } => Scope::Tenant,
            Self::Device { .. } => Scope::Device,
        }
    }

    /// Encodes the aad of `kind` as `role` signs it, or returns `None` when it names more than is known here.
    #[must_use]
    pub fn aad(&self, kind: MessageKind, role: Role, plane: Option<Plane>) -> Option<Vec<u8>> {
        let scope = kind.scope_for(role, self.scope());
        let (root, tenant, device) = match *self {
            Self::Trust { root } => (root, None, None),
            Self::Tenant { root, tenant } => (root, Some(tenant), None),
            Self::Device {
                channel,
                incarnation,
            } => (
                channel.root,
                Some(&channel.tenant),
                Some((&channel.device, incarnation)),
            ),
        };
        let length = match scope {
            Scope::Trust => 3,
            Scope::Tenant => 4,
            Scope::Device => 6,
            Scope::Plane => 7,
        };
        let mut writer = Writer::with_capacity(AAD_BYTES);
        writer
            .array(length)
            .text("postern/1")
            .uint(kind.number())
            .bytes(root.as_bytes());
        if scope >= Scope::Tenant {
            writer.text(tenant?.as_str());
        }
        if scope >= Scope::Device {
            let (device, incarnation) = device?;
            writer.text(device.as_str()).bytes(incarnation.as_bytes());
        }
        if scope >= Scope::Plane {
            writer.uint(plane?.number());
        }
        Some(writer.into_bytes())
    }
}
