//! Intents as the controller sees them: the next value to allocate, and what devices say became of each.
//!
//! Refuses to count down: a value is above all that was stored here or shown by the device.

use super::member::IntentShown;
use super::{Context, Controller, Event, Ticket, records};
use crate::id::{ChannelId, DeviceName, Tenant};
use crate::limits::{INTENT_SHOWN_MAX, INTENT_VERBS_MAX};
use crate::message::{IntentNote, IntentOutcome, Report};
use crate::record::Write;
use crate::reject::Reject;
use crate::state::{Change, Path, State, Value};
use alloc::vec::Vec;

/// The section of desired and of actual state that holds intents.
const SECTION: &str = "intent";

impl Controller {
    /// Raises an intent above all that anybody has seen of it, as one decision.
    pub(super) fn intend(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        tenant: &Tenant,
        device: &DeviceName,
        path: Path,
    ) {
        let channel = self.channel(tenant, device).id();
        let value = match self.next_value(channel, &path) {
            Ok(value) => value,
            Err(reject) => return self.refuse(ticket, reject),
        };
        let change = Change::Set(path.clone(), Value::Int(value.into()));
        match self.decide_member(context, channel, &[change]) {
            Ok((head, is_change)) => {
                self.event(Event::Intended {
                    ticket,
                    channel,
                    path,
                    value,
                });
                self.event(Event::Decided {
                    ticket,
                    channel,
                    revision: head.revision,
                    digest: head.digest,
                    is_change,
                });
            }
            Err(reject) => self.refuse(ticket, reject),
        }
    }

    /// # Errors
    /// `not-admitted`; `path-invalid` outside the section; `state-oversize` for a verb too many;
    /// `value-invalid` at the end of the range.
    fn next_value(&self, channel: ChannelId, path: &Path) -> Result<u64, Reject> {
        let member = self.members.get(&channel).ok_or(Reject::NotAdmitted)?;
        if path.section() != SECTION {
            return Err(Reject::PathInvalid);
        }
        let stored = member.state.value(path.as_str());
        if stored.is_none() && verbs(&member.state).count() >= INTENT_VERBS_MAX {
            return Err(Reject::StateOversize);
        }
        let stored = stored.and_then(counter).unwrap_or(0);
        let shown = member.intents.get(path).map_or(0, |shown| shown.value);
        //= spec/planes.md#intents
        //# A controller MUST allocate one more than the highest value that it holds or
        //# that the device has shown.
        let highest = stored.max(shown);
        highest.checked_add(1).ok_or(Reject::ValueInvalid)
    }

    /// Takes what a report says of intents. Returns what must become durable with it.
    pub(super) fn note_reported_intents(
        &mut self,
        channel: ChannelId,
        report: &Report,
    ) -> Vec<Write> {
        let notes = report.lists.intents();
        let all = notes.iter().map(|note| {
            let value = if is_taken(note) { note.value } else { 0 };
            (note.path.clone(), value, Some(note.clone()))
        });
        self.note_intents(channel, all.collect())
    }

    /// Takes what the actual state shows of intents. Returns what must become durable with it.
    pub(super) fn note_actual_intents(&mut self, channel: ChannelId) -> Vec<Write> {
        let Some(member) = self.members.get(&channel) else {
            return Vec::new();
        };
        let all = verbs(&member.actual.state)
            .filter_map(|(path, value)| Some((path.clone(), counter(value)?, None)));
        let all = all.collect();
        self.note_intents(channel, all)
    }

    fn note_intents(
        &mut self,
        channel: ChannelId,
        all: Vec<(Path, u64, Option<IntentNote>)>,
    ) -> Vec<Write> {
        let mut writes = Vec::new();
        let Some(member) = self.members.get_mut(&channel) else {
            return writes;
        };
        for (path, value, note) in all {
            let value = value.min(INTENT_SHOWN_MAX);
            let before = member.intents.get(&path);
            if before.is_none() && member.intents.len() >= INTENT_VERBS_MAX {
                continue;
            }
            let shown = IntentShown {
                value: before.map_or(0, |before| before.value).max(value),
                note: note.or_else(|| before.and_then(|before| before.note.clone())),
            };
            if before != Some(&shown) {
                writes.push(records::intent(&member.channel, &path, &shown));
                member.intents.insert(path, shown);
            }
        }
        writes
    }
}

/// True when the device took the value: its mark stands there.
const fn is_taken(note: &IntentNote) -> bool {
    match note.outcome {
        IntentOutcome::Recorded
        | IntentOutcome::Fired
        | IntentOutcome::Finished { .. }
        | IntentOutcome::Interrupted => true,
        IntentOutcome::Lower
        | IntentOutcome::Jump
        | IntentOutcome::NotUint
        | IntentOutcome::TooManyVerbs => false,
    }
}

fn verbs(state: &State) -> impl Iterator<Item = (&Path, &Value)> {
    state.iter().filter(|(path, _)| path.section() == SECTION)
}

fn counter(value: &Value) -> Option<u64> {
    match value {
        Value::Int(integer) => u64::try_from(integer.number()).ok(),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Reference(_) => None,
    }
}
