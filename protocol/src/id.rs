//! Names and numbers that identify: one newtype each, so that none can stand for another.
//!
//! Names are parsed once, where they enter. Refuses to compare secrets: those are not identifiers.

use crate::cbor::Writer;
use crate::limits::NAME_BYTES_MAX;
use crate::reject::Reject;
use alloc::string::String;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Writes bytes as lower-case hexadecimal.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! byte_ids {
    ($( $(#[$meta:meta])* $name:ident($length:literal); )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Wraps bytes that are known to be this.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self { Self(bytes) }

            /// Returns the bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write_hex(&self.0, f) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                write_hex(&self.0, f)?;
                f.write_str(")")
            }
        }
    )* };
}

byte_ids! {
    /// SHA-256 of something that a message signs or names (spec: #digest).
    Digest(32);
    /// SHA-256 of a COSE_Key's required members: a key's identity (RFC 9679).
    Thumbprint(32);
    /// First 8 bytes of a thumbprint: selects candidates, never identifies (spec: #keys).
    KeyId(8);
    /// SHA-256 of a Sig_structure: a message's identity (spec: #message-id).
    MessageId(32);
    /// First 16 bytes of a channel's hash: selects candidates, never identifies (spec: #channel).
    ChannelId(16);
    /// First 16 bytes of a tenant's hash: selects candidates, never identifies (spec: #writer-sessions).
    TenantId(16);
    /// First 16 bytes of a mailbox's hash: selects candidates, never identifies (spec: #writer-sessions).
    MailboxId(16);
    /// One life of a device's store, made at enrolment (spec: #channel).
    Incarnation(16);
    /// Public name of an invitation (spec: #enrolment).
    TokenId(8);
    /// Names a session between a device and a mailbox (spec: #sessions).
    SessionId(4);
    /// What a mailbox asks a device to sign (spec: #hello).
    Challenge(16);
    /// One running of a writer's process, drawn anew at each start (spec: #heartbeat).
    StartId(8);
    /// What a reader asks a writer to repeat under its signature (spec: #heartbeat).
    Nonce(16);
}

impl Digest {
    /// Hashes bytes with SHA-256 (FIPS 180-4).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl Thumbprint {
    /// Returns the key id that stands in headers.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        KeyId([a, b, c, d, e, f, g, h])
    }
}

macro_rules! names {
    ($( $(#[$meta:meta])* $name:ident; )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes 1..=63 characters of `a-z 0-9 . _ -` that begin with a letter or digit.
            /// # Errors: `name-invalid`.
            pub fn parse(text: &str) -> Result<Self, Reject> {
                check_name(text).map(|()| Self(text.into()))
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )* };
}

names! {
    /// A tenant: the owner of a set of devices and of one writer key (spec: #names).
    Tenant;
    /// A device's name within its tenant (spec: #names).
    DeviceName;
}

//= spec/postern.md#names
//# A tenant name and a device name MUST be 1 to 63 bytes of `a-z 0-9 . _ -` that begin with a
//# letter or a digit, else `name-invalid`.
fn check_name(text: &str) -> Result<(), Reject> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let first_is_allowed = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if first_is_allowed && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_allowed) {
        Ok(())
    } else {
        Err(Reject::NameInvalid)
    }
}

/// Who a message is about: names that survive every key rotation (spec: #channel).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    /// Thumbprint of the genesis root key: the trust domain.
    pub root: Thumbprint,
    /// The tenant.
    pub tenant: Tenant,
    /// The device.
    pub device: DeviceName,
}

impl Channel {
    /// Returns the 16 bytes that select this channel on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        let mut writer = Writer::new();
        writer
            .array(4)
            .text("postern-channel")
            .bytes(self.root.as_bytes());
        writer.text(self.tenant.as_str()).text(self.device.as_str());
        ChannelId(first_half(&writer))
    }
}

impl TenantId {
    /// Returns the 16 bytes that select a tenant's writer on the wire.
    #[must_use]
    pub fn of(root: Thumbprint, tenant: &Tenant) -> Self {
        let mut writer = Writer::new();
        writer.array(3).text("postern-tenant");
        writer.bytes(root.as_bytes()).text(tenant.as_str());
        Self(first_half(&writer))
    }
}

impl MailboxId {
    /// Returns the 16 bytes that select a mailbox on the wire, by the key that it greets with.
    #[must_use]
    pub fn of(root: Thumbprint, key: Thumbprint) -> Self {
        let mut writer = Writer::new();
        writer.array(3).text("postern-mailbox");
        writer.bytes(root.as_bytes()).bytes(key.as_bytes());
        Self(first_half(&writer))
    }
}

/// The first 16 bytes of the hash of what was written.
fn first_half(writer: &Writer) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(writer.as_bytes()).into();
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    half
}

/// A single-writer state of one device (spec: #planes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// Written by the controller.
    Desired,
    /// Written by the device.
    Actual,
}

impl Plane {
    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Desired => 0,
            Self::Actual => 1,
        }
    }

    /// Reads the number on the wire. # Errors: `shape` for a number that is no plane.
    pub const fn from_number(number: u64) -> Result<Self, Reject> {
        match number {
            0 => Ok(Self::Desired),
            1 => Ok(Self::Actual),
            _ => Err(Reject::Shape),
        }
    }

    /// Returns the one word for this plane.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desired => "desired",
            Self::Actual => "actual",
        }
    }
}
