//! Desired against actual: sections by their digests first, then the paths of those that differ.
//!
//! Only what the device's application reports can be compared: a section that stands in the
//! desired state only is shown as not reported, and never counts as a difference. The sections
//! `intent` and `postern` are no state of the application's. Refuses to compare what nobody said.

#[cfg(test)]
mod tests;

use super::response::HeadJson;
use super::value::to_json;
use postern_protocol::id::Digest;
use postern_protocol::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Sections that are not compared: counters of actions, and what the device's daemon obeys.
const NOT_COMPARED: [&str; 2] = ["intent", "postern"];

/// How a section stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionState {
    /// Both have the same values.
    Equal,
    /// They have different values.
    Different,
    /// The application reports nothing of it.
    NotReported,
    /// The application reports it, and nobody decided it.
    NotDesired,
}

/// How one path differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathDiff {
    /// The path.
    pub path: String,
    /// What it should be; absent: it should not be.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub desired: Option<Json>,
    /// What it is; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub actual: Option<Json>,
}

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The desired state that was compared.
    pub desired: HeadJson,
    /// The actual state that was compared; absent when the device never wrote one.
    pub actual: Option<HeadJson>,
    /// True when the actual state is not proven to be of the last minutes.
    pub stale: bool,
    /// True when every reported section is equal.
    pub equal: bool,
    /// Every section but those that are never compared.
    pub sections: BTreeMap<String, SectionState>,
    /// The paths of different sections that differ, ascending.
    pub paths: Vec<PathDiff>,
}

/// A member that is null stays apart from one that is absent.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value as Json;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Json>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Json>, D::Error> {
        Json::deserialize(deserializer).map(Some)
    }
}

/// Compares the sections and paths of two states.
#[must_use]
pub fn compare(desired: &State, actual: &State) -> (BTreeMap<String, SectionState>, Vec<PathDiff>) {
    let (wanted, found) = (digests(desired), digests(actual));
    let mut sections = BTreeMap::new();
    for (section, digest) in &wanted {
        let state = match found.get(section) {
            Some(found) if found == digest => SectionState::Equal,
            Some(_) => SectionState::Different,
            None => SectionState::NotReported,
        };
        sections.insert(section.clone(), state);
    }
    for section in found.keys() {
        sections
            .entry(section.clone())
            .or_insert(SectionState::NotDesired);
    }
    let is_different = |path: &str| {
        let section = path.split_once('/').map_or("", |(section, _)| section);
        matches!(
            sections.get(section),
            Some(SectionState::Different | SectionState::NotDesired)
        )
    };
    let values = |state: &State| -> BTreeMap<String, Json> {
        let entries = state.iter();
        let entries = entries.filter(|(path, _)| is_different(path.as_str()));
        entries
            .map(|(path, value)| (path.to_string(), to_json(value)))
            .collect()
    };
    let paths = differences(desired, actual, &values(desired), &values(actual));
    (sections, paths)
}

fn differences(
    desired: &State,
    actual: &State,
    wanted: &BTreeMap<String, Json>,
    found: &BTreeMap<String, Json>,
) -> Vec<PathDiff> {
    let mut all: Vec<&String> = wanted.keys().chain(found.keys()).collect();
    all.sort_unstable();
    all.dedup();
    // Values are compared as values: in JSON 1 and 1.0 may look alike.
    let differing = all
        .into_iter()
        .filter(|path| desired.value(path) != actual.value(path));
    differing
        .map(|path| PathDiff {
            path: path.clone(),
            desired: wanted.get(path).cloned(),
            actual: found.get(path).cloned(),
        })
        .collect()
}

fn digests(state: &State) -> BTreeMap<String, Digest> {
    let sections = state.section_digests();
    sections
        .map(|(name, digest)| (name.as_str().to_owned(), *digest))
        .filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()))
        .collect()
}

/// Tells whether what is reported is as it should be.
#[must_use]
pub fn is_equal(sections: &BTreeMap<String, SectionState>) -> bool {
    sections.values().all(|state| match state {
        SectionState::Equal | SectionState::NotReported => true,
        SectionState::Different | SectionState::NotDesired => false,
    })
}
