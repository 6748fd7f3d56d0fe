//! What parent and child say to each other: lines, and texts of a stated length. Pure.
//!
//! ```text
//!   child                              parent
//!     ready  ------------------------->
//!            <-------------------------  ask OWN NOW URL HOST LENGTH, then the script
//!     lookup NAME  ------------------->
//!            <-------------------------  found ADDRESSES
//!     text LENGTH, then the text  ---->
//!     threw LENGTH, then the reason  ->
//!     slow | memory | nothing | kind ->
//! ```
//!
//! Refuses lines beyond the bound. The parent believes nothing of a child but these words.

use super::evaluate::Question;
use super::fault::PacFault;
use crate::foreign::Foreign;
use std::net::IpAddr;
#[cfg(feature = "pac")]
use std::sync::Arc;

/// A missing value.
const NONE: &str = "-";

/// What a child says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Ready,
    LookUp(String),
    /// The script's text follows, so many bytes.
    Text(usize),
    /// The reason follows, so many bytes.
    Threw(usize),
    Slow,
    Memory,
    NoFunction,
    NotText,
}

impl Word {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match (word, rest) {
            ("ready", "") => Self::Ready,
            ("lookup", name) if !name.is_empty() => Self::LookUp(name.to_owned()),
            ("text", length) => Self::Text(length.parse().ok()?),
            ("threw", length) => Self::Threw(length.parse().ok()?),
            ("slow", "") => Self::Slow,
            ("memory", "") => Self::Memory,
            ("nothing", "") => Self::NoFunction,
            ("kind", "") => Self::NotText,
            (_, _) => return None,
        })
    }

    /// The line of a child, with what follows it.
    #[cfg(feature = "pac")]
    pub(crate) fn write(answer: &Result<String, PacFault>) -> String {
        let threw = |reason: &str| format!("threw {}\n{reason}", reason.len());
        match answer {
            Ok(text) => format!("text {}\n{text}", text.len()),
            Err(PacFault::Threw { reason }) => threw(reason.as_str()),
            Err(PacFault::Slow) => "slow\n".to_owned(),
            Err(PacFault::Memory) => "memory\n".to_owned(),
            Err(PacFault::NoFunction) => "nothing\n".to_owned(),
            Err(PacFault::NotText) => "kind\n".to_owned(),
            Err(other) => threw(&other.to_string()),
        }
    }

    /// What the parent makes of a word that is an end, with the text that followed.
    pub(crate) fn settle(&self, text: Vec<u8>) -> Option<Result<String, PacFault>> {
        Some(match self {
            Self::Ready | Self::LookUp(_) => return None,
            Self::Text(_) => String::from_utf8(text).map_err(|_bad| PacFault::NotText),
            // Escaped by the child already, and by this process again: the child is not believed.
            Self::Threw(_) => Err(PacFault::Threw {
                reason: Foreign::new(&text),
            }),
            Self::Slow => Err(PacFault::Slow),
            Self::Memory => Err(PacFault::Memory),
            Self::NoFunction => Err(PacFault::NoFunction),
            Self::NotText => Err(PacFault::NotText),
        })
    }

    /// How many bytes follow.
    pub(crate) const fn follows(&self) -> usize {
        match self {
            Self::Text(length) | Self::Threw(length) => *length,
            Self::Ready
            | Self::LookUp(_)
            | Self::Slow
            | Self::Memory
            | Self::NoFunction
            | Self::NotText => 0,
        }
    }
}

/// The line that asks; the script follows it.
pub(crate) fn write_question(question: &Question) -> String {
    let now = question.now_ms.map_or(NONE.to_owned(), |ms| ms.to_string());
    let own = write_addresses(&question.own);
    let (url, host) = (&question.url, &question.host);
    format!("ask {own} {now} {url} {host} {}\n", question.script.len())
}

#[cfg(feature = "pac")]
/// Reads the line that asks: a question without its script, and the length of that.
pub(crate) fn read_question(line: &str) -> Option<(Question, usize)> {
    let mut words = line.strip_prefix("ask ")?.split(' ');
    let own = read_addresses(words.next()?)?;
    let now = words.next()?;
    let now_ms = if now == NONE {
        None
    } else {
        Some(now.parse().ok()?)
    };
    let question = Question {
        script: Arc::from(""),
        url: words.next()?.to_owned(),
        host: words.next()?.to_owned(),
        own,
        now_ms,
    };
    let length = words.next()?.parse().ok()?;
    words.next().is_none().then_some((question, length))
}

pub(crate) fn write_found(addresses: &[IpAddr]) -> String {
    format!("found {}\n", write_addresses(addresses))
}

#[cfg(feature = "pac")]
pub(crate) fn read_found(line: &str) -> Option<Vec<IpAddr>> {
    read_addresses(line.strip_prefix("found ")?)
}

fn write_addresses(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return NONE.to_owned();
    }
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(",")
}

#[cfg(feature = "pac")]
fn read_addresses(text: &str) -> Option<Vec<IpAddr>> {
    if text == NONE {
        return Some(Vec::new());
    }
    text.split(',').map(|one| one.parse().ok()).collect()
}

#[cfg(all(test, feature = "pac"))]
mod tests {
    use super::*;

    #[test]
    fn question_survives_the_pipe() {
        let question = Question {
            script: Arc::from("12345"),
            url: "https://a.test:8443/".into(),
            host: "a.test".into(),
            own: vec![[10, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
            now_ms: Some(7),
        };
        let line = write_question(&question);
        let (read, length) = read_question(line.trim_end()).unwrap();
        assert_eq!(length, 5);
        assert_eq!((read.url, read.host), (question.url, question.host));
        assert_eq!((read.own, read.now_ms), (question.own, question.now_ms));
        assert!(read_question("ask - - u h").is_none());
        assert!(read_question("ask - - u h 5 6").is_none());
        assert!(read_question("ask x - u h 5").is_none());
    }

    #[test]
    fn answers_survive_the_pipe_and_other_words_do_not() {
        let threw = |text: &str| {
            Err(PacFault::Threw {
                reason: Foreign::new(text.as_bytes()),
            })
        };
        for answer in [
            Ok("PROXY a:1\nDIRECT".to_owned()),
            threw("x is not defined"),
            Err(PacFault::Slow),
            Err(PacFault::Memory),
            Err(PacFault::NoFunction),
            Err(PacFault::NotText),
        ] {
            let written = Word::write(&answer);
            let (line, rest) = written.split_once('\n').unwrap();
            let word = Word::parse(line).unwrap();
            assert_eq!(word.follows(), rest.len(), "{line}");
            assert_eq!(word.settle(rest.into()), Some(answer));
        }
        for line in ["", "ready x", "text", "text -1", "lookup", "exec /bin/sh"] {
            assert_eq!(Word::parse(line), None, "{line:?}");
        }
        let found = vec![IpAddr::from([10, 0, 0, 1])];
        assert_eq!(read_found(write_found(&found).trim_end()), Some(found));
        assert_eq!(read_found("found -"), Some(Vec::new()));
        assert_eq!(read_found("found x"), None);
    }
}
