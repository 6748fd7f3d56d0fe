//! Who greets a mailbox: a device, the writer of a tenant, or a mailbox that depends on this one.
//!
//! Each greets with a key and a binding of its own, so that a signature of one is worth nothing in
//! the place of another. Refuses to be built from what a hello says: each end names whom it means.

use crate::envelope::Binding;
use crate::id::{Channel, ChannelId, Incarnation, MailboxId, Tenant, TenantId, Thumbprint};
use crate::key::{PublicKey, Signer};
use crate::kind::Role;

/// Who greets a mailbox (spec: #writer-sessions).
#[derive(Debug, Clone, Copy)]
pub enum Greeter<'a> {
    /// An enrolled device.
    Device {
        /// Its channel.
        channel: &'a Channel,
        /// Its current life.
        incarnation: Incarnation,
    },
    /// The writer of a tenant.
    Writer {
        /// Thumbprint of the genesis root key.
        root: Thumbprint,
        /// The tenant.
        tenant: &'a Tenant,
    },
    /// A mailbox that keeps copies of what this one keeps.
    Mailbox {
        /// Thumbprint of the genesis root key.
        root: Thumbprint,
        /// Thumbprint of the key that greets.
        mailbox: Thumbprint,
    },
}

impl<'a> Greeter<'a> {
    /// The role that signs the hello.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Device { .. } => Role::Device,
            Self::Writer { .. } => Role::Writer,
            Self::Mailbox { .. } => Role::Mailbox,
        }
    }

    /// What hello and welcome are bound to.
    #[must_use]
    pub const fn binding(&self) -> Binding<'a> {
        match *self {
            Self::Device {
                channel,
                incarnation,
            } => Binding::Device {
                channel,
                incarnation,
            },
            Self::Writer { root, tenant } => Binding::Tenant { root, tenant },
            Self::Mailbox { root, .. } => Binding::Trust { root },
        }
    }

    /// What stands in the hello where a device has its channel id. It only selects.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        //= spec/relays.md#writer-sessions
        //# In a hello and in its transcript the tenant id of a writer, or the mailbox id of a mailbox, MUST
        //# stand in the place of the channel id.
        match *self {
            Self::Device { channel, .. } => channel.id(),
            Self::Writer { root, tenant } => {
                ChannelId::from_bytes(*TenantId::of(root, tenant).as_bytes())
            }
            Self::Mailbox { root, mailbox } => {
                ChannelId::from_bytes(*MailboxId::of(root, mailbox).as_bytes())
            }
        }
    }
}

/// The greeting end: who it is, and the key that proves it.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Who greets.
    pub greeter: Greeter<'a>,
    /// Its key.
    pub signer: &'a dyn Signer,
}

impl<'a> Identity<'a> {
    /// An enrolled device.
    #[must_use]
    pub const fn device(
        channel: &'a Channel,
        incarnation: Incarnation,
        signer: &'a dyn Signer,
    ) -> Self {
        let greeter = Greeter::Device {
            channel,
            incarnation,
        };
        Self { greeter, signer }
    }

    /// The writer of a tenant.
    #[must_use]
    pub const fn writer(root: Thumbprint, tenant: &'a Tenant, signer: &'a dyn Signer) -> Self {
        let greeter = Greeter::Writer { root, tenant };
        Self { greeter, signer }
    }

    /// A mailbox that greets another with its newest key.
    #[must_use]
    pub fn mailbox(root: Thumbprint, signer: &'a dyn Signer) -> Self {
        let mailbox = signer.public_key().thumbprint();
        let greeter = Greeter::Mailbox { root, mailbox };
        Self { greeter, signer }
    }
}

/// Who may greet a mailbox, and the key that must have signed.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'a> {
    /// Who greets.
    pub greeter: Greeter<'a>,
    /// Its key.
    pub key: &'a PublicKey,
}

impl<'a> Admitted<'a> {
    /// A device, in its current life, with its enrolled key.
    #[must_use]
    pub const fn device(
        channel: &'a Channel,
        incarnation: Incarnation,
        key: &'a PublicKey,
    ) -> Self {
        let greeter = Greeter::Device {
            channel,
            incarnation,
        };
        Self { greeter, key }
    }

    /// The writer of a tenant, with the key that the bundle names.
    #[must_use]
    pub const fn writer(root: Thumbprint, tenant: &'a Tenant, key: &'a PublicKey) -> Self {
        let greeter = Greeter::Writer { root, tenant };
        Self { greeter, key }
    }

    /// A mailbox that the bundle names.
    #[must_use]
    pub fn mailbox(root: Thumbprint, key: &'a PublicKey) -> Self {
        let mailbox = key.thumbprint();
        let greeter = Greeter::Mailbox { root, mailbox };
        Self { greeter, key }
    }
}
