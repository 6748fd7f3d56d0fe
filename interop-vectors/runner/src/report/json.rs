//! JSON for programs.
//!
//! Members are only ever added: `version` says when one changed. Refuses to cut what differs.

use crate::summary::{Summary, Sums};
use serde_json::{Value as Json, json as object};

/// Writes one object: `version`, `all`, `folders`, `vectors`, `strays`.
pub(crate) fn json(summary: &Summary<'_>) -> String {
    let folders: serde_json::Map<String, Json> = summary
        .folders()
        .into_iter()
        .map(|(folder, sums)| (folder.to_owned(), sums_of(&sums)))
        .collect();
    let vectors: Vec<Json> = summary
        .rows
        .iter()
        .map(|row| {
            let mut shown = object!({
                "name": row.vector.name,
                "file": row.vector.file,
                "operation": row.vector.operation,
                "spec": row.vector.text("spec"),
                "end": row.end.word(),
            });
            if let (Some(difference), Some(members)) = (row.end.difference(), shown.as_object_mut())
            {
                members.insert("member".into(), difference.member.as_str().into());
                members.insert("wanted".into(), difference.wanted.clone());
                members.insert("given".into(), difference.given.clone());
            }
            shown
        })
        .collect();
    let report = object!({
        "version": 1,
        "all": sums_of(&summary.all()),
        "folders": folders,
        "vectors": vectors,
        "strays": summary.strays,
    });
    format!("{report}\n")
}

fn sums_of(sums: &Sums) -> Json {
    object!({
        "valid": sums.valid,
        "invalid": sums.invalid,
        "passed": sums.passed,
        "failed": sums.failed,
        "unsupported": sums.unsupported,
        "xfail": sums.known,
        "unexpected_pass": sums.unexpected,
    })
}
