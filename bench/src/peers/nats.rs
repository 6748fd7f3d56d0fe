//! The part of the NATS client protocol that the benchmark needs: core messages, and a stream of JetStream.
//!
//! For the benchmark only. Refuses errors of the server, lines without an end, and messages longer than a piece.

use super::link::{Link, PIECE_BYTES_MAX, Target};
use crate::error::BenchError;
use serde_json::{Value, json};

/// The stream of the benchmark.
const STREAM: &str = "FLEET";

/// One line of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A message follows: whom to answer, and bytes of its body.
    Message(Option<String>, usize),
    /// It wants to know whether we live.
    Ping,
    /// It lives.
    Pong,
    /// Nothing to do.
    Other,
}

/// Reads a line. # Errors: an error of the server, and a message that is malformed or too long.
pub fn parse(line: &str) -> Result<Line, BenchError> {
    let refused = |what| BenchError::Answer {
        what,
        answer: line.to_owned(),
    };
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (reply, length) = match fields.as_slice() {
        ["MSG", _, _, length] => (None, *length),
        ["MSG", _, _, reply, length] => (Some((*reply).to_owned()), *length),
        ["PING"] => return Ok(Line::Ping),
        ["PONG"] => return Ok(Line::Pong),
        ["+OK"] | ["INFO", ..] => return Ok(Line::Other),
        _ => {
            return Err(refused(
                "NATS: the server refuses, or speaks another protocol",
            ));
        }
    };
    let length = length
        .parse()
        .ok()
        .filter(|length| *length < PIECE_BYTES_MAX);
    let length = length.ok_or_else(|| refused("NATS: a message has no length, or is too long"))?;
    Ok(Line::Message(reply, length))
}

/// Who answers a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nobody: core NATS.
    No,
    /// The stream, once it is on the disk.
    Stream,
}

/// A connected client with one subscription.
pub struct Client {
    link: Link,
    publishes: String,
    inbox: String,
    kept: Kept,
}

impl Client {
    /// Connects, subscribes to one subject, and will publish under another.
    /// # Errors: those of the network, and a refusal.
    pub async fn open(
        target: &Target,
        name: &str,
        [own, publishes]: [&str; 2],
        kept: Kept,
    ) -> Result<Self, BenchError> {
        let link = Link::open(target, true).await?;
        let mut client = Self {
            link,
            publishes: publishes.to_owned(),
            inbox: format!("inbox.{name}"),
            kept,
        };
        let connect = json!({"verbose": false, "pedantic": false, "lang": "rust", "name": name});
        let mut hello = format!("CONNECT {connect}\r\nSUB {own} 1\r\n");
        if kept == Kept::Stream {
            hello = format!("{hello}SUB {} 2\r\n", client.inbox);
        }
        client
            .link
            .send(format!("{hello}PING\r\n").as_bytes())
            .await?;
        while client.line().await? != Line::Pong {}
        Ok(client)
    }

    async fn line(&mut self) -> Result<Line, BenchError> {
        let line = self.link.take_to(b"\r\n").await?;
        let line = parse(&String::from_utf8_lossy(&line))?;
        if line == Line::Ping {
            self.link.send(b"PONG\r\n").await?;
        }
        Ok(line)
    }

    async fn message(&mut self) -> Result<(Option<String>, Vec<u8>), BenchError> {
        loop {
            if let Line::Message(reply, length) = self.line().await? {
                let mut body = self.link.take(length + 2).await?;
                body.truncate(length);
                return Ok((reply, body));
            }
        }
    }

    async fn send(&mut self, head: &str, body: &[u8]) -> Result<(), BenchError> {
        let head = format!("PUB {head} {}\r\n", body.len());
        self.link
            .send(&[head.as_bytes(), body, b"\r\n"].concat())
            .await
    }

    /// Publishes, and waits for the stream's acknowledgement where there is one. # Errors: as [`Self::open`].
    pub async fn publish(&mut self, message: &[u8]) -> Result<(), BenchError> {
        match self.kept {
            Kept::No => self.send(&self.publishes.clone(), message).await,
            Kept::Stream => self.ask(&self.publishes.clone(), message).await,
        }
    }

    async fn ask(&mut self, subject: &str, body: &[u8]) -> Result<(), BenchError> {
        let head = format!("{subject} {}", self.inbox);
        self.send(&head, body).await?;
        let (_, answer) = self.message().await?;
        let value: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if value.is_object() && value.get("error").is_none() {
            return Ok(());
        }
        Err(BenchError::Answer {
            what: "JetStream refuses",
            answer: String::from_utf8_lossy(&answer).into_owned(),
        })
    }

    /// Makes the stream of these subjects, on the disk. # Errors: as [`Self::open`].
    pub async fn make_stream(&mut self, subjects: &str) -> Result<(), BenchError> {
        let stream = json!({"name": STREAM, "subjects": [subjects], "storage": "file"});
        let subject = format!("$JS.API.STREAM.CREATE.{STREAM}");
        self.ask(&subject, stream.to_string().as_bytes()).await
    }

    /// Lets the stream push these subjects to a subject, each to be acknowledged. # Errors: as [`Self::open`].
    pub async fn push(&mut self, subjects: &str, to: &str) -> Result<(), BenchError> {
        let config = json!({"deliver_subject": to, "filter_subject": subjects,
            "ack_policy": "explicit", "deliver_policy": "new"});
        let consumer = json!({"stream_name": STREAM, "config": config}).to_string();
        let subject = format!("$JS.API.CONSUMER.CREATE.{STREAM}");
        self.ask(&subject, consumer.as_bytes()).await
    }

    /// Waits for the next message, and acknowledges it where that is wanted. # Errors: as [`Self::open`].
    pub async fn next(&mut self) -> Result<Vec<u8>, BenchError> {
        let (reply, body) = self.message().await?;
        if let Some(reply) = reply {
            self.send(&reply, b"+ACK").await?;
        }
        Ok(body)
    }
}
