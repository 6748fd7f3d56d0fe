//! What was found, as a tree: one description, printed for people or as JSON.
//!
//! Refuses to know what is shown: envelopes, frames and records describe themselves.

use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// Characters of one line for people; JSON is never cut.
const LINE_CHARS_MAX: usize = 2_000;

/// Something to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Show {
    /// A word, name or hexadecimal.
    Text(String),
    /// A number.
    Number(u64),
    /// Named parts, in reading order.
    Rows(Vec<(&'static str, Show)>),
    /// Parts without names.
    List(Vec<Show>),
}

impl Show {
    /// Shows anything by its text.
    pub(super) fn text(value: impl std::fmt::Display) -> Self {
        Self::Text(value.to_string())
    }

    /// Shows a size or count.
    pub(super) fn count(value: usize) -> Self {
        Self::Number(u64::try_from(value).unwrap_or(u64::MAX))
    }

    /// Returns the tree as JSON.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Rows(rows) => {
                let member = |(name, show): &(&str, Self)| ((*name).to_owned(), show.to_json());
                Json::Object(rows.iter().map(member).collect::<Map<_, _>>())
            }
        }
    }

    /// Returns the tree as indented lines.
    pub(super) fn to_lines(&self) -> String {
        let mut lines = String::new();
        self.write_below(0, &mut lines);
        lines
    }

    fn write_below(&self, depth: usize, lines: &mut String) {
        match self {
            Self::Text(_) | Self::Number(_) => write_line(depth, "", &self.leaf(), lines),
            Self::Rows(rows) => {
                for (name, show) in rows {
                    show.write_named(depth, name, lines);
                }
            }
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    item.write_named(depth, &format!("[{at}]"), lines);
                }
            }
        }
    }

    fn write_named(&self, depth: usize, name: &str, lines: &mut String) {
        match self {
            Self::Text(_) | Self::Number(_) => write_line(depth, name, &self.leaf(), lines),
            Self::Rows(_) | Self::List(_) => {
                write_line(depth, name, "", lines);
                self.write_below(depth + 1, lines);
            }
        }
    }

    fn leaf(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Rows(_) | Self::List(_) => String::new(),
        }
    }
}

fn write_line(depth: usize, name: &str, value: &str, lines: &mut String) {
    let indent = depth * 2;
    let name = name.replace('_', " ");
    let width = 26_usize.saturating_sub(indent);
    let shown: String = value.chars().take(LINE_CHARS_MAX).collect();
    let rest = if shown.len() < value.len() {
        " … (cut; --json shows all)"
    } else {
        ""
    };
    let line = format!("{:indent$}{name:width$} {shown}{rest}", "");
    // Writing to a String cannot fail.
    let _ = writeln!(lines, "{}", line.trim_end());
}
