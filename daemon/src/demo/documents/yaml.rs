//! Writes JSON as block YAML, for documents of the demo only.
//!
//! Texts stand in double quotes, so that nothing is taken for a number or a date. Refuses to read
//! YAML, and to write keys that would need quotes.

use serde_json::Value as Json;
use std::fmt::Write as _;

/// Writes a document whose top is an object.
pub(super) fn write(document: &Json) -> String {
    let mut text = String::new();
    write_below(&mut text, document, 0);
    text
}

/// Writes the members or elements of a value, each on lines of its own.
fn write_below(text: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(members) => {
            for (key, member) in members {
                let _ = write!(text, "{:indent$}{key}:", "");
                write_after(text, member, indent + 2);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                let mut lines = String::new();
                write_below(&mut lines, element, indent + 2);
                // The dash takes the place of the first line's last indent.
                let _ = write!(text, "{:indent$}- {}", "", lines.trim_start());
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            let _ = writeln!(text, "{:indent$}{value}", "");
        }
    }
}

/// Writes a value behind its key: scalars on the same line, all else below.
fn write_after(text: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(_) | Json::Array(_) => {
            text.push('\n');
            write_below(text, value, indent);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            let _ = writeln!(text, " {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use serde_json::json;

    #[test]
    fn yaml_nests_by_indent() {
        let document = json!({
            "a": { "b": "text", "c": [ { "d": 1, "e": true }, { "d": 2 } ] },
            "f": [ "one", "two" ],
            "g": null,
        });
        let expected = "a:\n  b: \"text\"\n  c:\n    - d: 1\n      e: true\n    - d: 2\nf:\n  - \"one\"\n  - \"two\"\ng: null\n";
        assert_eq!(write(&document), expected);
    }

    #[test]
    fn yaml_texts_keep_their_type() {
        for text in [
            "yes",
            "1.0",
            "2026-09-14",
            "a: b",
            "# no comment",
            "\"",
            "line\nline",
            "ä",
        ] {
            let written = write(&json!({ "key": text }));
            let quoted = written.strip_prefix("key: ").unwrap();
            assert_eq!(serde_json::from_str::<String>(quoted).unwrap(), text);
            assert_eq!(written.lines().count(), 1);
        }
    }
}
