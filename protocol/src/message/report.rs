//! Reports: three cursors that are never confused, and every refusal until it is acknowledged.
//!
//! Lists are bounded; what does not fit pushes the oldest entry out and is counted as lost.
//! Refuses a form that is longer than its content needs.

use crate::cbor::{KeyOrder, Reader, Writer, decode_all};
use crate::kind::MessageKind;
use crate::limits::{REPORT_LIST_MAX, RESULT_OUTPUT_BYTES_MAX};
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::string::String;
use alloc::vec::Vec;

/// What a device received, accepted and applied (spec: #report).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The highest revision that was received and verified.
    pub received: Revision,
    /// The highest revision that is durable on the device.
    pub accepted: Revision,
    /// The highest revision that the application has finished with.
    pub applied: Revision,
    /// What is to be told until it is acknowledged.
    pub lists: ReportLists,
}

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
}

impl ListNumber {
    /// Every list, ascending by number.
    pub const ALL: [Self; 3] = [Self::Rejects, Self::Results, Self::Superseded];

    /// Returns the number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Rejects => 1,
            Self::Results => 2,
            Self::Superseded => 3,
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
}

impl LostCounts {
    /// Returns the count of one list.
    #[must_use]
    pub const fn count(&self, list: ListNumber) -> u64 {
        match list {
            ListNumber::Rejects => self.rejects,
            ListNumber::Results => self.results,
            ListNumber::Superseded => self.superseded,
        }
    }

    const fn count_mut(&mut self, list: ListNumber) -> &mut u64 {
        match list {
            ListNumber::Rejects => &mut self.rejects,
            ListNumber::Results => &mut self.results,
            ListNumber::Superseded => &mut self.superseded,
        }
    }
}

/// The four lists of a report, each at most 16 entries, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportLists {
    rejects: Vec<RejectNote>,
    results: Vec<ResultNote>,
    superseded: Vec<SupersededNote>,
    lost: LostCounts,
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
        let excess = note.output.len().saturating_sub(RESULT_OUTPUT_BYTES_MAX);
        let start = (excess..=note.output.len()).find(|at| note.output.is_char_boundary(*at));
        note.output.drain(..start.unwrap_or(0));
        push_bounded(&mut self.results, note, &mut self.lost.results);
    }

    /// Adds a range; a full list drops its oldest entry and counts it.
    pub fn push_superseded(&mut self, note: SupersededNote) {
        push_bounded(&mut self.superseded, note, &mut self.lost.superseded);
    }

    fn encode(&self, writer: &mut Writer) {
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
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
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
                _ => return Err(Reject::Shape),
            }
        }
        Ok(lists)
    }
}

impl Report {
    /// Encodes the payload in the only form for its content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let is_short = self.received == self.accepted && self.accepted == self.applied;
        let cursors = if is_short { 2 } else { 6 };
        let mut writer = Writer::new();
        writer.array(cursors + usize::from(!self.lists.is_empty()));
        encode_revision(&mut writer, self.received);
        if !is_short {
            encode_revision(&mut writer, self.accepted);
            encode_revision(&mut writer, self.applied);
        }
        if !self.lists.is_empty() {
            self.lists.encode(&mut writer);
        }
        writer.into_bytes()
    }

    /// Reads the payload. # Errors: `shape`, `report-cursors`, `report-list-oversize`, or the CBOR reject.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        decode_all(payload, |reader| {
            let members = reader.array()?;
            if !matches!(members, 2 | 3 | 6 | 7) {
                return Err(Reject::Shape);
            }
            let received = read_revision(reader)?;
            let (accepted, applied) = if members >= 6 {
                (read_revision(reader)?, read_revision(reader)?)
            } else {
                (received, received)
            };
            //= spec/postern.md#report
            //# The long forms MUST NOT be used when all three cursors are equal, else `shape`.
            if members >= 6 && received == accepted && accepted == applied {
                return Err(Reject::Shape);
            }
            //= spec/postern.md#report
            //# The cursors MUST satisfy received >= accepted >= applied, each compared as (epoch,
            //# seq), else `report-cursors`.
            if received < accepted || accepted < applied {
                return Err(Reject::ReportCursors);
            }
            let lists = if members == 3 || members == 7 {
                ReportLists::decode(reader)?
            } else {
                ReportLists::default()
            };
            Ok(Self {
                received,
                accepted,
                applied,
                lists,
            })
        })
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

fn encode_revision(writer: &mut Writer, revision: Revision) -> &mut Writer {
    writer
        .uint(revision.epoch.number())
        .uint(revision.seq.number())
}

fn read_revision(reader: &mut Reader<'_>) -> Result<Revision, Reject> {
    let epoch = Epoch::new(reader.uint()?);
    Ok(Revision::new(epoch, Seq::new(reader.uint()?)))
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
