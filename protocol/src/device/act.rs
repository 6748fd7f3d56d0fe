//! Running the actions of intents, and telling what became of them.
//!
//! Refuses to start an action before it is durable that it was taken, and to start it twice.

use super::io::ActOutcome;
use super::{Context, Device, Event, Output, intents, records};
use crate::message::{IntentNote, IntentOutcome};
use crate::record::Write;
use crate::state::{Change, Path, Value};
use alloc::vec::Vec;

impl Device {
    /// Records what an incarnation's first snapshot holds; the writes go into its commit.
    pub(super) fn record_intents(&mut self) -> Vec<Write> {
        let notes = self.intents.record(&self.desired.state);
        self.note_intents(notes)
    }

    /// Takes what rose in the newest state; the writes go into the commit of its applied cursor.
    pub(super) fn take_intents(&mut self) -> Vec<Write> {
        let notes = self.intents.evaluate(&self.desired.state);
        self.note_intents(notes)
    }

    fn note_intents(&mut self, notes: Vec<IntentNote>) -> Vec<Write> {
        let mut writes = Vec::new();
        for note in notes {
            writes.extend(
                self.intents
                    .mark(&note.path)
                    .map(|mark| records::intent(&note.path, mark)),
            );
            self.reporter.lists.push_intent(note.clone());
            self.mark_lists();
            self.event(Event::IntentNoted { note });
        }
        writes
    }

    /// Starts every action that is due, unless the gate is closed.
    pub(super) fn start_actions(&mut self) {
        if self.application.is_closed {
            return;
        }
        while let Some(due) = self.intents.next_due() {
            self.outputs.push_back(Output::Act {
                path: due.path,
                value: due.value,
                is_retry: due.is_retry,
            });
        }
    }

    /// Takes the end of an action: done, reported and shown in the actual plane, in one commit.
    pub(super) fn handle_acted(
        &mut self,
        context: &mut Context<'_>,
        path: &Path,
        value: u64,
        outcome: ActOutcome,
    ) {
        if !self.intents.finish(path, value) {
            return;
        }
        let outcome = match outcome {
            ActOutcome::Finished { status, output } => IntentOutcome::Finished { status, output },
            //= spec/planes.md#intents
            //# A device MUST take an action that it does not repeat after a restart as ended, with the
            //# outcome 7.
            ActOutcome::Interrupted => IntentOutcome::Interrupted,
        };
        let mut writes = self.note_intents(Vec::from([IntentNote {
            path: path.clone(),
            value,
            outcome,
        }]));
        //= spec/planes.md#intents
        //# A device MUST write the value to the same path of `actual` when the action has ended.
        let shown = Change::Set(path.clone(), Value::Int(value.into()));
        match self.change_actual(context, &[shown]) {
            Ok(changed) => writes.extend(changed),
            Err(reject) => self.event(Event::Rejected { reject }),
        }
        self.send_report(context, writes);
        self.start_actions();
    }
}

/// Tells whether a path of the actual plane is written by the engine alone.
pub(super) fn is_reserved(path: &Path) -> bool {
    path.as_str() == intents::SECTION || path.section() == intents::SECTION
}
