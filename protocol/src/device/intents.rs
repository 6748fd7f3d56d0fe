//! Intents: absolute counters in the desired state, each of which fires once when it rises.
//!
//! ```text
//!  absent or lower -> noted     value > taken -> taken, durable -> Act -> Acted -> done, durable
//! ```
//!
//! `taken` and `done` are high-water marks that outlive removal and epochs. One action of a verb
//! runs at a time: what rises meanwhile is one further action. Refuses to fire what an
//! incarnation's first snapshot brought, and to forget a mark.

use crate::limits::{INTENT_STEP_MAX, INTENT_VERBS_MAX};
use crate::message::{IntentNote, IntentOutcome};
use crate::state::{Path, State, Value};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// The section of both planes that holds intents.
pub(super) const SECTION: &str = "intent";

/// What happened to one verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The highest value that fired or was recorded.
    pub(super) taken: u64,
    /// The highest value whose action ended.
    pub(super) done: u64,
    /// The last value that was refused, with why: noted once.
    pub(super) refused: Option<Refused>,
}

/// Why a value does not fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Lower(u64),
    Jump(u64),
    NotUint,
}

impl Refused {
    const fn value(self) -> u64 {
        match self {
            Self::Lower(value) | Self::Jump(value) => value,
            Self::NotUint => 0,
        }
    }

    const fn outcome(self) -> IntentOutcome {
        match self {
            Self::Lower(_) => IntentOutcome::Lower,
            Self::Jump(_) => IntentOutcome::Jump,
            Self::NotUint => IntentOutcome::NotUint,
        }
    }
}

/// An action that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) path: Path,
    pub(super) value: u64,
    pub(super) is_retry: bool,
}

/// The marks of every verb that this incarnation saw.
#[derive(Debug, Default)]
pub(super) struct Intents {
    marks: BTreeMap<Path, Mark>,
    /// Actions under way, with the value that each was started for.
    running: BTreeMap<Path, u64>,
    /// Verbs whose action was under way, or about to be, when the process ended.
    interrupted: BTreeSet<Path>,
    /// Verbs for which there is no room, in this process: each noted once.
    left_out: BTreeSet<Path>,
}

impl Intents {
    /// Takes the marks that were stored.
    pub(super) fn restore(marks: BTreeMap<Path, Mark>) -> Self {
        let is_open = |(_, mark): &(&Path, &Mark)| mark.taken > mark.done;
        let interrupted = marks.iter().filter(is_open).map(|(path, _)| path.clone());
        Self {
            interrupted: interrupted.collect(),
            marks,
            ..Self::default()
        }
    }

    /// Every verb with its mark, in the order of the paths.
    pub(super) fn marks(&self) -> impl Iterator<Item = (&Path, &Mark)> {
        self.marks.iter()
    }

    /// The mark of one verb.
    pub(super) fn mark(&self, path: &Path) -> Option<&Mark> {
        self.marks.get(path)
    }

    /// Records what an incarnation's first snapshot holds. Nothing of it fires.
    pub(super) fn record(&mut self, desired: &State) -> Vec<IntentNote> {
        self.each(desired, |mark, value| match value {
            Ok(value) => {
                //= spec/planes.md#intents
                //# A device MUST only record the intents of the first snapshot of an incarnation:
                //# taken and done become the value, with the outcome 0.
                (mark.taken, mark.done) = (value, value);
                Some((value, IntentOutcome::Recorded))
            }
            Err(refused) => mark.refuse(refused),
        })
    }

    /// Takes what rose in the newest state whose application ended. The caller makes it durable.
    pub(super) fn evaluate(&mut self, desired: &State) -> Vec<IntentNote> {
        self.each(desired, |mark, value| match value {
            Ok(value) if value == mark.taken => None,
            //= spec/planes.md#intents
            //# A device MUST note a greater jump, a lower value and a value that is no unsigned
            //# integer once for each path and value, and do nothing else.
            Ok(value) if value < mark.taken => mark.refuse(Refused::Lower(value)),
            Ok(value) if value - mark.taken > INTENT_STEP_MAX => mark.refuse(Refused::Jump(value)),
            Ok(value) => {
                //= spec/planes.md#intents
                //# A device MUST take a value above taken by at most 2^20, where an absent mark
                //# counts as 0, and persist it as taken in the commit of the applied cursor, before
                //# the action starts.
                mark.taken = value;
                Some((value, IntentOutcome::Fired))
            }
            Err(refused) => mark.refuse(refused),
        })
    }

    fn each(
        &mut self,
        desired: &State,
        decide: impl Fn(&mut Mark, Result<u64, Refused>) -> Option<(u64, IntentOutcome)>,
    ) -> Vec<IntentNote> {
        let mut notes = Vec::new();
        for (path, value) in desired.section(SECTION) {
            let value = as_uint(value);
            let outcome = if self.has_room_for(path) {
                //= spec/planes.md#intents
                //# A device MUST NOT forget marks when the path is removed or an epoch begins.
                let mark = self.marks.entry(path.clone()).or_default();
                decide(mark, value)
            } else if self.left_out.len() < INTENT_VERBS_MAX && self.left_out.insert(path.clone()) {
                Some((value.unwrap_or(0), IntentOutcome::TooManyVerbs))
            } else {
                None
            };
            notes.extend(outcome.map(|(value, outcome)| IntentNote {
                path: path.clone(),
                value,
                outcome,
            }));
        }
        notes
    }

    //= spec/planes.md#intents
    //# A device MUST NOT keep marks of more than 64 paths; further ones have the outcome 6.
    fn has_room_for(&self, path: &Path) -> bool {
        self.marks.len() < INTENT_VERBS_MAX || self.marks.contains_key(path)
    }

    /// Takes the next action that is due: of a verb that rose and whose last action ended.
    pub(super) fn next_due(&mut self) -> Option<Due> {
        let is_due = |(path, mark): &(&Path, &Mark)| {
            mark.taken > mark.done && !self.running.contains_key(*path)
        };
        let (path, value) = self
            .marks
            .iter()
            .find(is_due)
            .map(|(path, mark)| (path.clone(), mark.taken))?;
        self.running.insert(path.clone(), value);
        let is_retry = self.interrupted.remove(&path);
        Some(Due {
            path,
            value,
            is_retry,
        })
    }

    /// Takes the end of an action. Returns false when no such action is under way.
    pub(super) fn finish(&mut self, path: &Path, value: u64) -> bool {
        if self.running.get(path) != Some(&value) {
            return false;
        }
        self.running.remove(path);
        if let Some(mark) = self.marks.get_mut(path) {
            mark.done = value;
        }
        true
    }
}

impl Mark {
    fn refuse(&mut self, refused: Refused) -> Option<(u64, IntentOutcome)> {
        if self.refused == Some(refused) {
            return None;
        }
        self.refused = Some(refused);
        Some((refused.value(), refused.outcome()))
    }
}

fn as_uint(value: &Value) -> Result<u64, Refused> {
    match value {
        Value::Int(integer) => u64::try_from(integer.number()).map_err(|_| Refused::NotUint),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Reference(_) => Err(Refused::NotUint),
    }
}
