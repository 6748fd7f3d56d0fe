//! A JSON object from path to scalar: many values at once, each exactly once.
//!
//! Refuses a path that stands there twice: which of the two was meant cannot be known.

use super::value;
use postern_protocol::state::{Path, Value};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Members of a JSON object in their order, doubles included.
#[derive(Debug, Default)]
pub struct Entries(Vec<(String, Box<RawValue>)>);

impl Entries {
    /// Reads every member as path and value.
    ///
    /// # Errors
    /// Which member is wrong and why, for people.
    pub fn named(self) -> Result<BTreeMap<Path, Value>, String> {
        let mut named = BTreeMap::new();
        for (key, raw) in self.0 {
            let path =
                Path::parse(&key).map_err(|reject| format!("`{key}`: {}", reject.sentence()))?;
            let set =
                value::from_typed(raw.get()).map_err(|reason| format!("`{key}`: {reason}"))?;
            if named.insert(path, set).is_some() {
                return Err(format!("`{key}` stands there twice"));
            }
        }
        Ok(named)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from path to scalar")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
