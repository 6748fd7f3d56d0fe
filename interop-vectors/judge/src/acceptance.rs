//! The operations that order messages: revisions, reports, admissions.
//!
//! Each asks the one table that its readers ask. Refuses to know what is inside a message.

use crate::request::{
    Fault, Given, Outputs, array, flag, given, member, present, rows, text, uint, unhex, wrong,
};
use postern_protocol::admission::{AdmissionHead, Offered};
use postern_protocol::id::{Digest, MessageId};
use postern_protocol::message::{ReportHead, accept_report};
use postern_protocol::revision::{
    Arrival, Epoch, Generation, Head, Lineage, LineageEntry, Outcome, Revision, Seq, accept,
};
use serde_json::Value as Json;

fn head(json: &Json) -> Result<Head, Fault> {
    let generation = match json.get("generation") {
        Some(_) => uint(json, "generation")?,
        None => 1,
    };
    Ok(Head {
        generation: Generation::new(generation),
        revision: Revision::new(
            Epoch::new(uint(json, "epoch")?),
            Seq::new(uint(json, "seq")?),
        ),
        digest: Digest::from_bytes(array(json, "digest")?),
    })
}

fn entry(row: &Json) -> Result<LineageEntry, Fault> {
    let malformed = || wrong("a row of a lineage is epoch, seq, digest");
    let number = |at: usize| row.get(at).and_then(Json::as_u64).ok_or_else(malformed);
    let digest = row.get(2).and_then(Json::as_str).ok_or_else(malformed)?;
    Ok(LineageEntry {
        last: Revision::new(Epoch::new(number(0)?), Seq::new(number(1)?)),
        digest: Digest::from_bytes(unhex(digest)?.try_into().map_err(|_| malformed())?),
    })
}

/// A delta or snapshot after what is stored.
pub(crate) fn revision(request: &Json) -> Given {
    let stored = present(request, "stored").map(head).transpose()?;
    let incoming = member(request, "incoming")?;
    let head = head(incoming)?;
    let entries = match incoming.get("lineage") {
        Some(_) => rows(incoming, "lineage")?
            .iter()
            .map(entry)
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let lineage = Lineage::new(entries, head.revision.epoch)?;
    let arrival = match text(incoming, "kind")? {
        "delta" => Arrival::Delta {
            base: Seq::new(uint(incoming, "base")?),
        },
        "snapshot" => Arrival::Snapshot { lineage: &lineage },
        _ => return Err(wrong("the kind is no delta and no snapshot")),
    };
    let is_frozen = flag(request, "frozen")?;
    let frozen = stored.map(|it| it.revision.epoch).filter(|_| is_frozen);
    outcome(accept(stored.as_ref(), frozen, &head, arrival))
}

fn outcome(outcome: Outcome) -> Given {
    let (word, reject) = match outcome {
        Outcome::Accept => ("accept", None),
        Outcome::Apply => ("apply", None),
        Outcome::Duplicate => ("duplicate", None),
        Outcome::Older => ("older", None),
        Outcome::Need(reject) => ("need", Some(reject)),
        Outcome::Refuse(reject) => ("refuse", Some(reject)),
    };
    let outputs = Outputs::from_iter([("outcome".to_owned(), word.into())]);
    match reject {
        Some(reject) => Err(Fault::RefusedWith(reject, outputs)),
        None => Ok(outputs),
    }
}

/// A report after the one that is stored.
pub(crate) fn report(request: &Json) -> Given {
    let head = |json: &Json| -> Result<ReportHead, Fault> {
        let number = Revision::new(
            Epoch::new(uint(json, "epoch")?),
            Seq::new(uint(json, "rseq")?),
        );
        Ok(ReportHead {
            number,
            message_id: MessageId::from_bytes(array(json, "message_id")?),
        })
    };
    let stored = present(request, "stored").map(head).transpose()?;
    outcome(accept_report(
        stored.as_ref(),
        &head(member(request, "incoming")?)?,
    ))
}

/// An admission after the one that is stored.
pub(crate) fn admission(request: &Json) -> Given {
    let head = |json: &Json| -> Result<AdmissionHead, Fault> {
        Ok(AdmissionHead {
            generation: Generation::new(uint(json, "generation")?),
            revision: Revision::new(
                Epoch::new(uint(json, "epoch")?),
                Seq::new(uint(json, "number")?),
            ),
            digest: Digest::from_bytes(array(json, "digest")?),
        })
    };
    let stored = present(request, "stored").map(head).transpose()?;
    let incoming = head(member(request, "incoming")?)?;
    let word = match incoming.judge(stored.as_ref()) {
        Ok(Offered::Newer) => "accept",
        Ok(Offered::Same) => "duplicate",
        Err(reject) => return outcome(Outcome::Refuse(reject)),
    };
    given([("outcome", word.into())])
}
