//! Reads a TOML file key by key and collects everything that is wrong with it.
//!
//! ```text
//!  text --Document::parse--> Document --root()--> Section --text/uint/flag/section--> values
//!                                |                   `--finish()--> unknown keys
//!                                `--problems: line, key, what, suggestion
//! ```
//!
//! A key is known because it was asked for, so that no second list of keys can be out of step.
//! Refuses unknown keys, wrong types and numbers out of range; never guesses.

use super::suggest::closest;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest configuration file in bytes. Arbitrary, above every template with its comments.
pub const CONFIG_BYTES_MAX: u64 = 262_144;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// The key with its tables, such as `proxy.url`; empty for a file that is no TOML.
    pub key: String,
    /// What is wrong, with the remedy.
    pub what: String,
}

/// A file whose problems are collected.
pub struct Document<'a> {
    text: &'a str,
    table: DeTable<'a>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Document<'a> {
    /// Reads the text as TOML.
    ///
    /// # Errors
    /// The one problem that keeps the text from being TOML.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        let table = DeTable::parse(text).map_err(|error| Problem {
            line: line_of(text, error.span().unwrap_or_default().start),
            key: String::new(),
            what: error.message().trim().to_owned(),
        })?;
        Ok(Self {
            text,
            table: table.into_inner(),
            problems: RefCell::default(),
        })
    }

    /// Returns the top of the file.
    pub fn root(&self) -> Section<'_, 'a> {
        Section {
            document: self,
            prefix: String::new(),
            table: Some(&self.table),
            line: 1,
            asked: BTreeSet::new(),
        }
    }

    /// Records a problem at a place.
    pub fn note(&self, line: usize, key: &str, what: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            line,
            key: key.into(),
            what: what.into(),
        });
    }

    /// Returns the problems, by line.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems
    }

    fn line(&self, span: &Range<usize>) -> usize {
        line_of(self.text, span.start)
    }
}

/// One value and the line that it stands in.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Line in the file, from 1.
    pub line: usize,
}

/// One table of a file, perhaps absent.
pub struct Section<'d, 'a> {
    document: &'d Document<'a>,
    prefix: String,
    table: Option<&'d DeTable<'a>>,
    line: usize,
    asked: BTreeSet<String>,
}

impl<'d, 'a> Section<'d, 'a> {
    /// Returns a key's full name.
    pub fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Returns the line at which this table begins.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Records that a value is refused.
    pub fn refuse(&self, line: usize, key: &str, what: impl Into<String>) {
        self.document.note(line, &self.name(key), what);
    }

    fn value(&mut self, key: &str) -> Option<&'d Spanned<DeValue<'a>>> {
        self.asked.insert(key.into());
        self.table?.get(key)
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Spanned<DeValue<'_>>) {
        let what = format!(
            "must be {wanted}, but here stands {} {}",
            article(found.get_ref().type_str()),
            found.get_ref().type_str()
        );
        self.refuse(self.document.line(&found.span()), key, what);
    }

    /// Reads a text.
    pub fn text(&mut self, key: &str) -> Option<Placed<String>> {
        let found = self.value(key)?;
        let DeValue::String(text) = found.get_ref() else {
            self.wrong_type(key, "a text in quotes", found);
            return None;
        };
        Some(Placed {
            value: text.to_string(),
            line: self.document.line(&found.span()),
        })
    }

    /// Reads a text that is one of a closed set.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let words: Vec<_> = choices
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let what = format!(
                "must be one of {}, not \"{}\"",
                words.join(", "),
                text.value
            );
            self.refuse(text.line, key, what);
        }
        found.map(|(_, choice)| *choice)
    }

    /// Reads a list of texts; no list is no texts.
    pub fn texts(&mut self, key: &str) -> Option<Placed<Vec<Placed<String>>>> {
        let found = self.value(key)?;
        let DeValue::Array(items) = found.get_ref() else {
            self.wrong_type(key, "a list of texts in quotes", found);
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Placed {
                    value: text.to_string(),
                    line: self.document.line(&item.span()),
                }),
                DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => self.wrong_type(key, "a list of texts in quotes", item),
            }
        }
        Some(Placed {
            value: texts,
            line: self.document.line(&found.span()),
        })
    }

    /// Reads a whole number in a range, or takes the default.
    pub fn uint(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(found) = self.value(key) else {
            return default;
        };
        let DeValue::Integer(integer) = found.get_ref() else {
            self.wrong_type(key, "a whole number", found);
            return default;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.and_then(|number| u64::try_from(number).ok()) {
            Some(number) if range.contains(&number) => number,
            Some(_) | None => {
                let what = format!(
                    "must be {} to {}, not {}",
                    range.start(),
                    range.end(),
                    integer.as_str()
                );
                self.refuse(self.document.line(&found.span()), key, what);
                default
            }
        }
    }

    /// Reads `true` or `false`, or takes the default.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(found) = self.value(key) else {
            return default;
        };
        if let DeValue::Boolean(flag) = found.get_ref() {
            return *flag;
        }
        self.wrong_type(key, "true or false", found);
        default
    }

    /// Enters a table, which may be absent.
    pub fn section(&mut self, key: &str) -> Section<'d, 'a> {
        let mut section = Section {
            document: self.document,
            prefix: format!("{}{key}.", self.prefix),
            table: None,
            line: self.line,
            asked: BTreeSet::new(),
        };
        if let Some(found) = self.value(key) {
            section.line = self.document.line(&found.span());
            match found.get_ref().as_table() {
                Some(table) => section.table = Some(table),
                None => self.wrong_type(key, &format!("a table, [{}]", self.name(key)), found),
            }
        }
        section
    }

    /// Tells whether a key stands in the table; it counts as known then.
    pub fn has(&mut self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Tells whether the table stands in the file.
    pub const fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Returns the keys of a table whose keys are names, and takes all of them as known.
    pub fn names(&mut self) -> Vec<Placed<String>> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        let names = table.iter().map(|(key, _)| Placed {
            value: key.get_ref().to_string(),
            line: self.document.line(&key.span()),
        });
        names.collect()
    }

    /// Records a required key that is absent; one that stands there was refused already.
    pub fn missing(&self, key: &str, remedy: &str) {
        if self.table.is_some_and(|table| table.contains_key(key)) {
            return;
        }
        self.refuse(self.line, key, format!("is missing: {remedy}"));
    }

    /// Records every key that nobody asked for.
    pub fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let found: &str = key.get_ref();
            if self.asked.contains(found) {
                continue;
            }
            let known = self.asked.iter().map(String::as_str);
            let remedy = match closest(found, known) {
                Some(close) => format!("is no key of this file; did you mean `{close}`?"),
                None => {
                    let keys: Vec<_> = self.asked.iter().map(|key| format!("`{key}`")).collect();
                    format!("is no key of this file; known here: {}", keys.join(", "))
                }
            };
            self.refuse(self.document.line(&key.span()), found, remedy);
        }
    }
}

fn article(noun: &str) -> &'static str {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => "an",
        false => "a",
    }
}

/// Returns the line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// A configuration file that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// It cannot be read at all.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        next: String,
    },
    /// Something in it is wrong.
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, at least one, by line.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason, .. } => write!(f, "{}: {reason}", file.display()),
            Self::Refused { file, problems } => {
                for (index, problem) in problems.iter().enumerate() {
                    let newline = if index == 0 { "" } else { "\n       " };
                    write!(f, "{newline}{}:{}: ", file.display(), problem.line)?;
                    if problem.key.is_empty() {
                        write!(f, "{}", problem.what)?;
                    } else {
                        write!(f, "`{}` {}", problem.key, problem.what)?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration file whole.
///
/// # Errors
/// [`ConfigError::Unreadable`]; [`ConfigError::Refused`] for a file that is not UTF-8.
pub fn read_file(file: &Path, missing: &str) -> Result<String, ConfigError> {
    let unreadable = |reason: String, next: &str| ConfigError::Unreadable {
        file: file.into(),
        reason,
        next: next.into(),
    };
    let metadata = std::fs::metadata(file).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            unreadable("there is no such file".into(), missing)
        } else {
            unreadable(error.to_string(), "make the file readable")
        }
    })?;
    if metadata.len() > CONFIG_BYTES_MAX {
        let reason = format!("larger than {CONFIG_BYTES_MAX} bytes");
        return Err(unreadable(
            reason,
            "this is no configuration file of Postern",
        ));
    }
    let bytes = std::fs::read(file)
        .map_err(|error| unreadable(error.to_string(), "make the file readable"))?;
    String::from_utf8(bytes).map_err(|error| ConfigError::Refused {
        file: file.into(),
        problems: vec![Problem {
            line: error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to())
                .filter(|byte| **byte == b'\n')
                .count()
                + 1,
            key: String::new(),
            what: "holds bytes that are not UTF-8; save the file as UTF-8".into(),
        }],
    })
}
