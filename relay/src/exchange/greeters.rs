//! Who may open a session, and whose a session is: a device, a tenant's writer, or a mailbox that depends on
//! this one.
//!
//! A hello's id selects candidates of each sort; which of them greeted, only the signature tells.
//! Refuses to take the id for an identity.

use postern_protocol::id::{
    Channel, ChannelId, Incarnation, MailboxId, Tenant, TenantId, Thumbprint,
};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::Role;
use postern_protocol::session::{Admitted, ReceivedHello};

/// A device that may open a session, as its host knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedDevice {
    /// Its channel.
    pub channel: Channel,
    /// Its current life.
    pub incarnation: Incarnation,
    /// Its enrolled key.
    pub key: PublicKey,
}

/// A writer that may open a session, as the bundle names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedWriter {
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// The tenant that it writes for.
    pub tenant: Tenant,
    /// Its key.
    pub key: PublicKey,
}

/// A mailbox that may open a session, as the bundle names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedMailbox {
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// Its key.
    pub key: PublicKey,
}

/// Everybody whom the id of one hello selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Devices.
    pub devices: Vec<AdmittedDevice>,
    /// Writers.
    pub writers: Vec<AdmittedWriter>,
    /// Mailboxes.
    pub mailboxes: Vec<AdmittedMailbox>,
}

impl Selected {
    /// The candidates, in the order that [`Self::owner`] counts by.
    pub(super) fn candidates(&self) -> Vec<Admitted<'_>> {
        let devices = self.devices.iter();
        let devices = devices.map(|one| Admitted::device(&one.channel, one.incarnation, &one.key));
        let writers = self.writers.iter();
        let writers = writers.map(|one| Admitted::writer(one.root, &one.tenant, &one.key));
        let mailboxes = self.mailboxes.iter();
        let mailboxes = mailboxes.map(|one| Admitted::mailbox(one.root, &one.key));
        devices.chain(writers).chain(mailboxes).collect()
    }

    /// Whose session the candidate's is.
    pub(super) fn owner(&self, hello: &ReceivedHello<'_>, candidate: usize) -> Owner {
        let [device, writer, mailbox] = Owner::selected_by(hello);
        if candidate < self.devices.len() {
            device
        } else if candidate < self.devices.len().saturating_add(self.writers.len()) {
            writer
        } else {
            mailbox
        }
    }
}

/// Whose session it is. One of each has one confirmed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The device of a channel.
    Device(ChannelId),
    /// The writer of a tenant.
    Writer(TenantId),
    /// A mailbox that depends on this one.
    Mailbox(MailboxId),
}

impl Owner {
    pub(super) const fn selected_by(hello: &ReceivedHello<'_>) -> [Self; 3] {
        [
            Self::Device(hello.channel()),
            Self::Writer(hello.tenant()),
            Self::Mailbox(hello.mailbox()),
        ]
    }

    /// The channel of a device.
    #[must_use]
    pub const fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Device(channel) => Some(channel),
            Self::Writer(_) | Self::Mailbox(_) => None,
        }
    }

    /// Who collects in the session, unless it is a device's.
    #[must_use]
    pub const fn collector(self) -> Option<Collector> {
        match self {
            Self::Device(_) => None,
            Self::Writer(tenant) => Some(Collector::Writer(tenant)),
            Self::Mailbox(mailbox) => Some(Collector::Mailbox(mailbox)),
        }
    }

    pub(super) const fn role(self) -> Role {
        match self {
            Self::Device(_) => Role::Device,
            Self::Writer(_) => Role::Writer,
            Self::Mailbox(_) => Role::Mailbox,
        }
    }
}

/// Who collects by a cursor: what devices posted, or what writers brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collector {
    /// The writer of a tenant.
    Writer(TenantId),
    /// A mailbox that depends on this one.
    Mailbox(MailboxId),
}

impl Collector {
    /// The 16 bytes that its hello greets with.
    #[must_use]
    pub const fn id(self) -> [u8; 16] {
        match self {
            Self::Writer(tenant) => *tenant.as_bytes(),
            Self::Mailbox(mailbox) => *mailbox.as_bytes(),
        }
    }
}
