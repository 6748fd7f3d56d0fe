//! How the members of a request are written in JSON: names and paths as text, changes as objects.
//!
//! Every text passes the parser of its type, so that no request holds a name that could not be
//! one. Refuses what these parsers refuse, with the text that was refused.

use super::value;
use postern_protocol::Reject;
use postern_protocol::id::{DeviceName, Tenant, TokenId};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Change, Path};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use std::borrow::Cow;

/// A type that is written as one text.
pub(super) trait Named: Sized {
    const WHAT: &'static str;
    fn read(text: &str) -> Result<Self, Reject>;
    fn write(&self) -> Cow<'_, str>;
}

macro_rules! named {
    ($type:ty, $what:literal) => {
        impl Named for $type {
            const WHAT: &'static str = $what;
            fn read(text: &str) -> Result<Self, Reject> {
                <$type>::parse(text)
            }
            fn write(&self) -> Cow<'_, str> {
                Cow::Borrowed(self.as_str())
            }
        }
    };
}

named!(Tenant, "tenant");
named!(DeviceName, "device");
named!(Path, "path");

impl Named for TokenId {
    const WHAT: &'static str = "token";

    fn read(text: &str) -> Result<Self, Reject> {
        let mut bytes = [0; 8];
        if text.len() != 16 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Reject::TokenUnknown);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| Reject::TokenUnknown)?;
        bytes.copy_from_slice(&number.to_be_bytes());
        Ok(Self::from_bytes(bytes))
    }

    fn write(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{:016x}", u64::from_be_bytes(*self.as_bytes())))
    }
}

fn read<T: Named, E: serde::de::Error>(text: &str) -> Result<T, E> {
    T::read(text)
        .map_err(|reject| E::custom(format!("{} \"{text}\": {}", T::WHAT, reject.sentence())))
}

/// One text.
pub(super) mod text {
    use super::{Deserialize, Deserializer, Named, Serializer, read};

    pub(in super::super) fn serialize<T: Named, S: Serializer>(
        named: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&named.write())
    }

    pub(in super::super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        read(&String::deserialize(deserializer)?)
    }
}

/// One text or none.
pub(super) mod maybe {
    use super::{Deserialize, Deserializer, Named, Serialize, Serializer, read};

    pub(in super::super) fn serialize<T: Named, S: Serializer>(
        named: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = named.as_ref().map(Named::write);
        text.as_deref().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.as_deref().map(read).transpose()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevisionText {
    epoch: u64,
    seq: u64,
}

impl From<RevisionText> for Revision {
    fn from(text: RevisionText) -> Self {
        Self::new(Epoch::new(text.epoch), Seq::new(text.seq))
    }
}

impl From<&Revision> for RevisionText {
    fn from(revision: &Revision) -> Self {
        Self {
            epoch: revision.epoch.number(),
            seq: revision.seq.number(),
        }
    }
}

/// A revision or none.
pub(super) mod maybe_revision {
    use super::{Deserialize, Deserializer, Revision, RevisionText, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        revision: &Option<Revision>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text: Option<RevisionText> = revision.as_ref().map(Into::into);
        text.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Revision>, D::Error> {
        let text: Option<RevisionText> = Option::deserialize(deserializer)?;
        Ok(text.map(Into::into))
    }
}

/// A revision.
pub(super) mod revision {
    use super::{Deserialize, Deserializer, Revision, RevisionText, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        revision: &Revision,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        RevisionText::from(revision).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Revision, D::Error> {
        RevisionText::deserialize(deserializer).map(Into::into)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum ChangeText {
    Set(String, Json),
    Remove(String),
}

/// Changes, in their order.
pub(super) mod changes {
    use super::{
        Change, ChangeText, Deserialize, Deserializer, Path, Serialize, Serializer, read, value,
    };
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(
        changes: &[Change],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts = changes.iter().map(|change| match change {
            Change::Set(path, set) => ChangeText::Set(path.to_string(), value::to_json(set)),
            Change::Remove(path) => ChangeText::Remove(path.to_string()),
        });
        texts.collect::<Vec<_>>().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Change>, D::Error> {
        let texts: Vec<ChangeText> = Vec::deserialize(deserializer)?;
        let changes = texts.into_iter().map(|text| match text {
            ChangeText::Set(path, json) => {
                let set = value::from_json(&json)
                    .map_err(|reason| D::Error::custom(format!("{path}: {reason}")))?;
                Ok(Change::Set(read::<Path, _>(&path)?, set))
            }
            ChangeText::Remove(path) => read(&path).map(Change::Remove),
        });
        changes.collect()
    }
}
