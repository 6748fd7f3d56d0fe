//! Who changed what, in a file that cannot be changed unnoticed: each line names the hash of the one before.
//!
//! ```text
//!  {"n":7,"time":"2026-11-28T02:10:00Z","op":"drain",…,"prev":"<hash of line 6>","hash":"<of this line>"}
//! ```
//!
//! A line is flushed before what it tells is done, and what came of it is another line. The chain shows
//! lines that were changed, taken out or put in between; that the end was cut off only shows beside a
//! hash noted elsewhere, so each is logged too. Refuses to write behind a line that it cannot read.

#[cfg(test)]
mod tests;

use crate::limits::{AUDIT_FILE_BYTES_MAX, AUDIT_LINE_BYTES_MAX};
use postern_console::exit::{CommandError, Exit};
use postern_egress::Date;
use postern_protocol::id::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// User id on the other end of the socket; absent for the process itself.
    pub uid: Option<u32>,
    /// Process id there.
    pub pid: Option<i32>,
}

impl Asker {
    /// This process, of itself.
    pub const SELF: Self = Self {
        uid: None,
        pid: None,
    };
}

/// One line. The order of members is that of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Number of the line, from 1.
    pub n: u64,
    /// When, as UTC; `unknown` while the machine's clock is not set.
    pub time: String,
    /// Who.
    pub who: Asker,
    /// What was asked.
    pub op: String,
    /// What about.
    pub detail: Json,
    /// `asked`, `done` or `refused`.
    pub outcome: String,
    /// Hash of the line before, 64 hexadecimal digits; zeros for the first.
    pub prev: String,
    /// Hash of this line without this member.
    pub hash: String,
}

impl Entry {
    fn hash_of(&self) -> String {
        let members = serde_json::json!([
            self.n,
            self.time,
            self.who,
            self.op,
            self.detail,
            self.outcome,
            self.prev
        ]);
        Digest::of(members.to_string().as_bytes()).to_string()
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Number of the last line; 0 for none.
    pub n: u64,
    /// Its hash.
    pub hash: String,
}

impl End {
    fn none() -> Self {
        Self {
            n: 0,
            hash: "0".repeat(64),
        }
    }
}

/// The file, open for writing behind its end.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: File,
    end: End,
    bytes: u64,
}

impl Audit {
    /// Opens the file, mode 0600, or makes it. A last line that was cut off by a crash is taken
    /// away and noted.
    ///
    /// # Errors
    /// A last line that is no entry; a file system that refuses.
    pub fn open(path: &Path, unix_s: Option<u64>) -> Result<Self, CommandError> {
        let failed = |error: io::Error| unwritable(path, &error);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        let whole = whole_bytes(&mut file).map_err(failed)?;
        let torn = file.metadata().map_err(failed)?.len().saturating_sub(whole);
        if torn > 0 {
            file.set_len(whole).map_err(failed)?;
        }
        let last = last_line(&mut file, whole).map_err(failed)?;
        let end = match last {
            None => rotated_end(path)?,
            Some(line) => end_of(path, &line)?,
        };
        let mut audit = Self {
            path: path.into(),
            file,
            end,
            bytes: whole,
        };
        if torn > 0 {
            let detail = serde_json::json!({ "bytes": torn });
            audit.write(unix_s, Asker::SELF, "torn-line-removed", detail, "done")?;
        }
        Ok(audit)
    }

    /// Writes one line and flushes it to the disk.
    ///
    /// # Errors
    /// A file system that refuses: what was asked must not be done then.
    pub fn write(
        &mut self,
        unix_s: Option<u64>,
        who: Asker,
        op: &str,
        detail: Json,
        outcome: &str,
    ) -> Result<&End, CommandError> {
        let mut entry = Entry {
            n: self.end.n.saturating_add(1),
            time: unix_s.map_or_else(|| "unknown".into(), |unix_s| Date(unix_s).to_string()),
            who,
            op: op.into(),
            detail,
            outcome: outcome.into(),
            prev: self.end.hash.clone(),
            hash: String::new(),
        };
        entry.hash = entry.hash_of();
        let mut line = serde_json::to_string(&entry).unwrap_or_default();
        line.push('\n');
        let path = self.path.clone();
        self.append(&line)
            .map_err(|error| unwritable(&path, &error))?;
        self.end = End {
            n: entry.n,
            hash: entry.hash,
        };
        tracing::info!(op, outcome, n = self.end.n, hash = %self.end.hash, "audited");
        Ok(&self.end)
    }

    /// Returns where the chain ends.
    #[must_use]
    pub const fn end(&self) -> &End {
        &self.end
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.bytes >= AUDIT_FILE_BYTES_MAX {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // Half a line must not stand before the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        self.file.sync_data()
    }

    /// Puts the full file away under the number of its last line; the chain goes on in a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let to = rotated_name(&self.path, self.end.n);
        fs::rename(&self.path, to)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        self.file = options.open(&self.path)?;
        self.bytes = 0;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Verifies the whole chain, files that were put away included, and returns where it ends.
///
/// # Errors
/// The first line that does not continue the chain, with file and line.
pub fn verify(path: &Path) -> Result<End, CommandError> {
    let mut end = End::none();
    for file in files(path)? {
        let open = File::open(&file).map_err(|error| unreadable(&file, &error))?;
        let mut reader = BufReader::new(open);
        let mut at = 0_u64;
        while let Some(line) = next_line(&mut reader).map_err(|error| unreadable(&file, &error))? {
            at = at.saturating_add(1);
            end = continue_chain(&end, &line).map_err(|reason| broken(&file, at, reason))?;
        }
    }
    Ok(end)
}

/// Returns the last lines of the file, oldest first.
///
/// # Errors
/// A file that cannot be read.
pub fn tail(path: &Path, lines_max: usize) -> Result<Vec<Json>, CommandError> {
    let mut lines = std::collections::VecDeque::new();
    for file in files(path)? {
        let open = File::open(&file).map_err(|error| unreadable(&file, &error))?;
        let mut reader = BufReader::new(open);
        while let Some(line) = next_line(&mut reader).map_err(|error| unreadable(&file, &error))? {
            lines.push_back(serde_json::from_str(&line).unwrap_or(Json::String(line)));
            if lines.len() > lines_max {
                lines.pop_front();
            }
        }
    }
    Ok(lines.into())
}

fn continue_chain(end: &End, line: &str) -> Result<End, &'static str> {
    let entry: Entry = serde_json::from_str(line).map_err(|_| "is no entry")?;
    if entry.n != end.n.saturating_add(1) {
        return Err("does not have the next number: lines are missing or were put in");
    }
    if entry.prev != end.hash {
        return Err("does not name the hash of the line before it");
    }
    if entry.hash != entry.hash_of() {
        return Err("was changed: its hash is not that of its content");
    }
    Ok(End {
        n: entry.n,
        hash: entry.hash,
    })
}

fn next_line(reader: &mut impl io::BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let bytes = reader
        .by_ref()
        .take(AUDIT_LINE_BYTES_MAX)
        .read_line(&mut line)?;
    if bytes == 0 {
        return Ok(None);
    }
    line.truncate(line.trim_end_matches('\n').len());
    Ok(Some(line))
}

fn rotated_name(path: &Path, n: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n:012}"));
    name.into()
}

/// The files of the chain, oldest first.
fn files(path: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = put_away(path)?;
    if path.exists() || files.is_empty() {
        files.push(path.into());
    }
    Ok(files)
}

fn put_away(path: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let is_ours = |found: &str| {
        let rest = found.strip_prefix(name.as_ref());
        let number = rest.and_then(|rest| rest.strip_prefix('.'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let found = entries
        .flatten()
        .filter(|entry| is_ours(&entry.file_name().to_string_lossy()));
    let mut files: Vec<_> = found.map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// The end of the newest file that was put away, for a new file.
fn rotated_end(path: &Path) -> Result<End, CommandError> {
    let Some(newest) = put_away(path)?.pop() else {
        return Ok(End::none());
    };
    let failed = |error: io::Error| unreadable(&newest, &error);
    let mut file = File::open(&newest).map_err(failed)?;
    let whole = whole_bytes(&mut file).map_err(failed)?;
    match last_line(&mut file, whole).map_err(failed)? {
        Some(line) => end_of(&newest, &line),
        None => Ok(End::none()),
    }
}

fn end_of(path: &Path, line: &str) -> Result<End, CommandError> {
    let entry: Entry = serde_json::from_str(line).map_err(|_| broken_end(path))?;
    if entry.hash != entry.hash_of() {
        return Err(broken_end(path));
    }
    Ok(End {
        n: entry.n,
        hash: entry.hash,
    })
}

/// Bytes up to the last line's end.
fn whole_bytes(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(AUDIT_LINE_BYTES_MAX);
    let rest = read_from(file, from)?;
    let end = rest.iter().rposition(|byte| *byte == b'\n');
    Ok(end.map_or(from, |at| from.saturating_add(at as u64).saturating_add(1)))
}

fn last_line(file: &mut File, whole: u64) -> io::Result<Option<String>> {
    let from = whole.saturating_sub(AUDIT_LINE_BYTES_MAX);
    let mut rest = read_from(file, from)?;
    rest.truncate(usize::try_from(whole.saturating_sub(from)).unwrap_or(usize::MAX));
    let text = String::from_utf8_lossy(&rest);
    let mut lines = text.split_terminator('\n').rev();
    Ok(lines.next().map(str::to_owned))
}

fn read_from(file: &mut File, from: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut rest = Vec::new();
    file.take(2 * AUDIT_LINE_BYTES_MAX).read_to_end(&mut rest)?;
    Ok(rest)
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failure(
        "audit-unwritable",
        format!("{}: {error}", path.display()),
        "make room on the disk and check that the file belongs to the user who runs this; nothing was done",
    )
}

fn unreadable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failure(
        "audit-unreadable",
        format!("{}: {error}", path.display()),
        "run this as the user who runs the relay",
    )
}

fn broken(path: &Path, line: u64, reason: &str) -> CommandError {
    CommandError::new(
        Exit::Failure,
        "audit-broken",
        format!("{}:{line}: this line {reason}", path.display()),
        "keep the file as evidence and compare it with the hashes in your logs; lines before this one are as they were written",
    )
}

fn broken_end(path: &Path) -> CommandError {
    CommandError::configuration(
        "audit-broken",
        format!(
            "{}: the last line is no entry of an audit log",
            path.display()
        ),
        "run `postern-relay audit --verify`, keep the file as evidence, and move it away to begin a new chain",
    )
}
