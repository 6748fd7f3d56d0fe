//! Who this device is, at rest: written once by `join`, read at every start.
//!
//! Both stages are records of the device's store. Refuses to hold secrets: keys lie in files of their own.

use postern_protocol::cbor::{Reader, Writer};
use postern_protocol::device::Identity;
use postern_protocol::id::{
    Channel, DeviceName, Incarnation, MessageId, Tenant, Thumbprint, TokenId,
};
use postern_protocol::record::{RecordError, Table, Write, read};
use postern_protocol::reject::Reject;

const IDENTITY_KEY: &[u8] = b"device";
const PENDING_KEY: &[u8] = b"device-pending";
const REQUEST_KEY: &[u8] = b"device-request";

/// What a device keeps of its join line, and the incarnation it made. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIdentity {
    /// Names and life.
    pub identity: Identity,
    /// Thumbprint of the first recovery key.
    pub recovery: Thumbprint,
    /// Base URLs of mailboxes.
    pub urls: Vec<String>,
    /// A TLS anchor for the hop, DER.
    pub tls_ca: Option<Vec<u8>>,
}

/// Whether the controller has answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The request may have been sent; the same key asks again with the same incarnation.
    Pending,
    /// The controller confirmed this identity.
    Confirmed,
}

impl Stage {
    const fn key(self) -> &'static [u8] {
        match self {
            Self::Pending => PENDING_KEY,
            Self::Confirmed => IDENTITY_KEY,
        }
    }
}

impl StoredIdentity {
    /// Encodes the record.
    #[must_use]
    pub fn to_write(&self, stage: Stage) -> Write {
        let channel = &self.identity.channel;
        let mut writer = Writer::new();
        writer
            .array(7)
            .bytes(channel.root.as_bytes())
            .bytes(self.recovery.as_bytes());
        writer
            .text(channel.tenant.as_str())
            .text(channel.device.as_str());
        writer
            .bytes(self.identity.incarnation.as_bytes())
            .array(self.urls.len());
        for url in &self.urls {
            writer.text(url);
        }
        match &self.tls_ca {
            Some(der) => writer.bytes(der),
            None => writer.null(),
        };
        Write {
            table: Table::Identity,
            key: stage.key().into(),
            value: Some(writer.into_bytes()),
        }
    }

    /// Finds and reads the record of a stage.
    ///
    /// # Errors
    /// [`RecordError`] when it cannot be read.
    pub fn find<'a>(
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
        stage: Stage,
    ) -> Result<Option<Self>, RecordError> {
        let mut records = records.into_iter();
        let found =
            records.find(|(table, key, _)| *table == Table::Identity && *key == stage.key());
        found
            .map(|(table, key, value)| read(table, key, value, decode))
            .transpose()
    }
}

fn decode(reader: &mut Reader<'_>) -> Result<StoredIdentity, Reject> {
    reader.array_of(7)?;
    let root = Thumbprint::from_bytes(reader.bytes_of()?);
    let recovery = Thumbprint::from_bytes(reader.bytes_of()?);
    let tenant = Tenant::parse(reader.text()?)?;
    let device = DeviceName::parse(reader.text()?)?;
    let incarnation = Incarnation::from_bytes(reader.bytes_of()?);
    let count = reader.array()?;
    let urls = (0..count)
        .map(|_| reader.text().map(str::to_owned))
        .collect::<Result<_, _>>()?;
    let tls_ca = reader.optional(|reader| reader.bytes().map(<[u8]>::to_vec))?;
    let identity = Identity {
        channel: Channel {
            root,
            tenant,
            device,
        },
        incarnation,
    };
    Ok(StoredIdentity {
        identity,
        recovery,
        urls,
        tls_ca,
    })
}

/// The request that a file took along, until its answer is read. Holds a proof of the join line's secret, not the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// The invitation.
    pub token: TokenId,
    /// The frame, to be written again.
    pub frame: Vec<u8>,
    /// What the answer must name.
    pub message_id: MessageId,
    /// The mailbox key that the bundles must name, if the join line says so.
    pub mailbox: Option<Thumbprint>,
}

impl StoredRequest {
    /// Encodes the record.
    #[must_use]
    pub fn to_write(&self) -> Write {
        let mut writer = Writer::new();
        writer
            .array(4)
            .bytes(self.token.as_bytes())
            .bytes(&self.frame)
            .bytes(self.message_id.as_bytes());
        match &self.mailbox {
            Some(mailbox) => writer.bytes(mailbox.as_bytes()),
            None => writer.null(),
        };
        Write {
            table: Table::Identity,
            key: REQUEST_KEY.into(),
            value: Some(writer.into_bytes()),
        }
    }

    /// Removes the record.
    #[must_use]
    pub fn no_write() -> Write {
        Write {
            table: Table::Identity,
            key: REQUEST_KEY.into(),
            value: None,
        }
    }

    /// Finds and reads the record.
    ///
    /// # Errors
    /// [`RecordError`] when it cannot be read.
    pub fn find<'a>(
        records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
    ) -> Result<Option<Self>, RecordError> {
        let mut records = records.into_iter();
        let found =
            records.find(|(table, key, _)| *table == Table::Identity && *key == REQUEST_KEY);
        let decode = |reader: &mut Reader<'_>| {
            reader.array_of(4)?;
            Ok(Self {
                token: TokenId::from_bytes(reader.bytes_of()?),
                frame: reader.bytes()?.to_vec(),
                message_id: MessageId::from_bytes(reader.bytes_of()?),
                mailbox: reader.optional(|reader| reader.bytes_of().map(Thumbprint::from_bytes))?,
            })
        };
        found
            .map(|(table, key, value)| read(table, key, value, decode))
            .transpose()
    }
}
