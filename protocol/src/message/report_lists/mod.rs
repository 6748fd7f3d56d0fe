//! The lists of a report: every refusal, result and outcome until it is acknowledged.
//!
//! Lists are bounded; what does not fit pushes the oldest entry out and is counted as lost.
//! Refuses empty lists, which would give one meaning two encodings.

#[cfg(test)]
mod tests;

use super::intent::{IntentNote, IntentOutcome, read_intent, write_intent};
use super::report::{encode_revision, read_revision};
use crate::cbor::{KeyOrder, Reader, Writer};
use crate::kind::MessageKind;
use crate::limits::{REPORT_LIST_MAX, RESULT_OUTPUT_BYTES_MAX, ROTATION_BYTES_MAX};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::string::String;
use alloc::vec::Vec;

/// An envelope that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectNote {
    /// Number of the envelope's kind; a number, because the other side may know more kinds.
    pub kind: u64,
    /// The revision that the envelope claimed.
    pub revision: Revision,
    /// Number of the reject; a number, because the other side may know more rejects.
    pub code: u64,
}

impl RejectNote {
    /// Notes a refusal.
    #[must_use]
    pub fn new(kind: MessageKind, revision: Revision, reject: Reject) -> Self {
        Self {
            kind: kind.number(),
            revision,
            code: reject.code().into(),
        }
    }

    /// Returns the reject, or `None` when its number is not known here.
    #[must_use]
    pub fn reject(&self) -> Option<Reject> {
        Reject::from_code(self.code)
    }
}

/// What the application said about a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultNote {
    /// The revision that was applied or failed.
    pub revision: Revision,
    /// Exit status of the application, 0 for success.
    pub status: i64,
    /// End of its output, at most 512 bytes.
    pub output: String,
}

/// Revisions that were passed over because a snapshot came after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupersededNote {
    /// The epoch of the revisions.
    pub epoch: Epoch,
    /// The first that was passed over.
    pub first: Seq,
    /// The last that was passed over, at least `first`.
    pub last: Seq,
}

/// A list that can lose entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListNumber {
    /// List 1.
    Rejects,
    /// List 2.
    Results,
    /// List 3.
    Superseded,
    /// List 5.
    Intents,
}

impl ListNumber {
    /// Every list, ascending by number.
    pub const ALL: [Self; 4] = [
        Self::Rejects,
        Self::Results,
        Self::Superseded,
        Self::Intents,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Rejects => 1,
            Self::Results => 2,
            Self::Superseded => 3,
            Self::Intents => 5,
        }
    }
}

/// How many entries of each list were dropped because it was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LostCounts {
    /// Dropped refusals.
    pub rejects: u64,
    /// Dropped results.
    pub results: u64,
    /// Dropped ranges.
    pub superseded: u64,
    /// Dropped outcomes of intents.
    pub intents: u64,
}

impl LostCounts {
    /// Returns the count of one list.
    #[must_use]
    pub const fn count(&self, list: ListNumber) -> u64 {
        match list {
            ListNumber::Rejects => self.rejects,
            ListNumber::Results => self.results,
            ListNumber::Superseded => self.superseded,
            ListNumber::Intents => self.intents,
        }
    }

    const fn count_mut(&mut self, list: ListNumber) -> &mut u64 {
        match list {
            ListNumber::Rejects => &mut self.rejects,
            ListNumber::Results => &mut self.results,
            ListNumber::Superseded => &mut self.superseded,
            ListNumber::Intents => &mut self.intents,
        }
    }
}

/// The lists of a report, each at most 16 entries, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportLists {
    rejects: Vec<RejectNote>,
    results: Vec<ResultNote>,
    superseded: Vec<SupersededNote>,
    lost: LostCounts,
    intents: Vec<IntentNote>,
    rotation: Option<Vec<u8>>,
    is_leaving: bool,
}

impl ReportLists {
    /// The refusals, oldest first.
    #[must_use]
    pub fn rejects(&self) -> &[RejectNote] {
        &self.rejects
    }

    /// The results, oldest first.
    #[must_use]
    pub fn results(&self) -> &[ResultNote] {
        &self.results
    }

    /// The ranges passed over, oldest first.
    #[must_use]
    pub fn superseded(&self) -> &[SupersededNote] {
        &self.superseded
    }

    /// The outcomes of intents, oldest first.
    #[must_use]
    pub fn intents(&self) -> &[IntentNote] {
        &self.intents
    }

    /// The enrol-request envelope of the device's next key; verified by whoever reads it.
    #[must_use]
    pub fn rotation(&self) -> Option<&[u8]> {
        self.rotation.as_deref()
    }

    /// Tells whether the device leaves.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// What did not fit.
    #[must_use]
    pub const fn lost(&self) -> &LostCounts {
        &self.lost
    }

    /// True when there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries_count() == 0
    }

    fn entries_count(&self) -> usize {
        [
            !self.rejects.is_empty(),
            !self.results.is_empty(),
            !self.superseded.is_empty(),
            self.lost != LostCounts::default(),
            !self.intents.is_empty(),
            self.rotation.is_some(),
            self.is_leaving,
        ]
        .into_iter()
        .filter(|is_present| *is_present)
        .count()
    }

    /// Adds a refusal; a full list drops its oldest entry and counts it.
    pub fn push_reject(&mut self, note: RejectNote) {
        push_bounded(&mut self.rejects, note, &mut self.lost.rejects);
    }

    /// Adds a result; a full list drops its oldest entry and counts it.
    /// Only the last 512 bytes of the output are kept, cut between characters.
    pub fn push_result(&mut self, mut note: ResultNote) {
        keep_end(&mut note.output);
        push_bounded(&mut self.results, note, &mut self.lost.results);
    }

    /// Adds a range; a full list drops its oldest entry and counts it.
    pub fn push_superseded(&mut self, note: SupersededNote) {
        push_bounded(&mut self.superseded, note, &mut self.lost.superseded);
    }

    /// Adds an outcome of an intent; a full list drops its oldest entry and counts it.
    /// Of the output of an action the last 512 bytes are kept, as of a result.
    pub fn push_intent(&mut self, mut note: IntentNote) {
        if let IntentOutcome::Finished { output, .. } = &mut note.outcome {
            keep_end(output);
        }
        push_bounded(&mut self.intents, note, &mut self.lost.intents);
    }

    /// Sets or clears the enrol-request envelope of the device's next key.
    ///
    /// # Errors
    /// `shape` for no bytes, `report-list-oversize` above `ROTATION_BYTES_MAX`.
    pub fn set_rotation(&mut self, request: Option<Vec<u8>>) -> Result<(), Reject> {
        request.as_deref().map_or(Ok(()), check_rotation)?;
        self.rotation = request;
        Ok(())
    }

    /// Says that the device leaves, or takes it back.
    pub const fn set_leaving(&mut self, is_leaving: bool) {
        self.is_leaving = is_leaving;
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.map(self.entries_count());
        if !self.rejects.is_empty() {
            writer.uint(1).array(self.rejects.len());
            for note in &self.rejects {
                encode_revision(writer.array(4).uint(note.kind), note.revision).uint(note.code);
            }
        }
        if !self.results.is_empty() {
            writer.uint(2).array(self.results.len());
            for note in &self.results {
                encode_revision(writer.array(4), note.revision)
                    .int(note.status)
                    .text(&note.output);
            }
        }
        if !self.superseded.is_empty() {
            writer.uint(3).array(self.superseded.len());
            for note in &self.superseded {
                writer
                    .array(3)
                    .uint(note.epoch.number())
                    .uint(note.first.number())
                    .uint(note.last.number());
            }
        }
        let counts = ListNumber::ALL.map(|list| (list.number(), self.lost.count(list)));
        let lost = counts.iter().filter(|(_, count)| *count > 0);
        if self.lost != LostCounts::default() {
            writer.uint(4).array(lost.clone().count());
            for (list, count) in lost {
                writer.array(2).uint(*list).uint(*count);
            }
        }
        if !self.intents.is_empty() {
            writer.uint(5).array(self.intents.len());
            self.intents
                .iter()
                .for_each(|note| write_intent(writer, note));
        }
        if let Some(request) = &self.rotation {
            writer.uint(6).bytes(request);
        }
        if self.is_leaving {
            writer.uint(7).bool(true);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        let entries = reader.map()?;
        if entries == 0 {
            return Err(Reject::Shape);
        }
        let mut lists = Self::default();
        let mut order = KeyOrder::new();
        for _ in 0..entries {
            match reader.int_key(&mut order)? {
                1 => lists.rejects = read_list(reader, read_reject)?,
                2 => lists.results = read_list(reader, read_result)?,
                3 => lists.superseded = read_list(reader, read_superseded)?,
                4 => lists.lost = read_lost(reader)?,
                5 => lists.intents = read_list(reader, read_intent)?,
                6 => lists.rotation = Some(read_rotation(reader)?),
                7 => lists.is_leaving = read_leaving(reader)?,
                _ => return Err(Reject::Shape),
            }
        }
        Ok(lists)
    }
}

//= spec/postern.md#report
//# A device that drops the oldest entry of a full list MUST count it in list 4, whose entries
//# ascend by list and count at least 1.
fn push_bounded<T>(list: &mut Vec<T>, entry: T, lost: &mut u64) {
    if list.len() >= REPORT_LIST_MAX {
        list.remove(0);
        *lost = lost.saturating_add(1);
    }
    list.push(entry);
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Reject>,
) -> Result<Vec<T>, Reject> {
    let length = reader.array()?;
    if length == 0 {
        return Err(Reject::Shape);
    }
    //= spec/postern.md#report
    //# A list MUST NOT hold more than 16 entries, else `report-list-oversize`.
    if length > REPORT_LIST_MAX {
        return Err(Reject::ReportListOversize);
    }
    (0..length).map(|_| read(reader)).collect()
}

fn read_reject(reader: &mut Reader<'_>) -> Result<RejectNote, Reject> {
    reader.array_of(4)?;
    Ok(RejectNote {
        kind: reader.uint()?,
        revision: read_revision(reader)?,
        code: reader.uint()?,
    })
}

fn read_result(reader: &mut Reader<'_>) -> Result<ResultNote, Reject> {
    reader.array_of(4)?;
    let revision = read_revision(reader)?;
    let status = i64::try_from(reader.int()?).map_err(|_| Reject::Shape)?;
    let output = reader.text()?;
    //= spec/postern.md#report
    //# The output of a result MUST NOT exceed 512 bytes, else `report-list-oversize`.
    if output.len() > RESULT_OUTPUT_BYTES_MAX {
        return Err(Reject::ReportListOversize);
    }
    Ok(ResultNote {
        revision,
        status,
        output: output.into(),
    })
}

fn read_superseded(reader: &mut Reader<'_>) -> Result<SupersededNote, Reject> {
    reader.array_of(3)?;
    let note = SupersededNote {
        epoch: Epoch::new(reader.uint()?),
        first: Seq::new(reader.uint()?),
        last: Seq::new(reader.uint()?),
    };
    if note.first <= note.last {
        Ok(note)
    } else {
        Err(Reject::Shape)
    }
}

fn read_lost(reader: &mut Reader<'_>) -> Result<LostCounts, Reject> {
    let mut lost = LostCounts::default();
    let mut previous = 0;
    for (number, count) in read_list(reader, read_lost_entry)? {
        let list = ListNumber::ALL
            .into_iter()
            .find(|list| list.number() == number)
            .ok_or(Reject::Shape)?;
        //= spec/postern.md#report
        //# A device that drops the oldest entry of a full list MUST count it in list 4, whose
        //# entries ascend by list and count at least 1.
        if number <= previous || count == 0 {
            return Err(Reject::Shape);
        }
        previous = number;
        *lost.count_mut(list) = count;
    }
    Ok(lost)
}

fn read_lost_entry(reader: &mut Reader<'_>) -> Result<(u64, u64), Reject> {
    reader.array_of(2)?;
    Ok((reader.uint()?, reader.uint()?))
}

/// Keeps the end of an output, cut between characters.
fn keep_end(output: &mut String) {
    let excess = output.len().saturating_sub(RESULT_OUTPUT_BYTES_MAX);
    let start = (excess..=output.len()).find(|at| output.is_char_boundary(*at));
    output.drain(..start.unwrap_or(0));
}

fn read_rotation(reader: &mut Reader<'_>) -> Result<Vec<u8>, Reject> {
    let request = reader.bytes()?;
    check_rotation(request).map(|()| request.into())
}

const fn check_rotation(request: &[u8]) -> Result<(), Reject> {
    match request.len() {
        0 => Err(Reject::Shape),
        1..=ROTATION_BYTES_MAX => Ok(()),
        _ => Err(Reject::ReportListOversize),
    }
}

fn read_leaving(reader: &mut Reader<'_>) -> Result<bool, Reject> {
    if reader.bool()? {
        Ok(true)
    } else {
        Err(Reject::Shape)
    }
}
