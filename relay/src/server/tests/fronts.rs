//! A front that speaks HTTP/1.0 to the mailbox: no keep-alive, no chunked answers, version 1.0.

use super::client::ROUTE;
use super::start;
use crate::fixtures::ask;
use postern_protocol::frame::{Direction, PlainFrame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One HTTP/1.0 request and all that comes back until the server closes: head and body.
async fn request(running: &super::Running, line: &str, headers: &str, body: &[u8]) -> Reply {
    let mut stream = running.site.tls(b"http/1.1").await;
    let head = format!("{line} HTTP/1.0\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    let _cut = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = bytes.split_off(end.unwrap() + 4);
    let head = String::from_utf8(bytes).unwrap().to_lowercase();
    Reply { head, body }
}

struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    /// A 1.0 answer with a length, complete, and nothing of 1.1 in it.
    fn assert_plain(&self, status: u16) {
        let start = format!("http/1.0 {status} ");
        assert!(self.head.starts_with(&start), "{}", self.head);
        let length = format!("\r\ncontent-length: {}\r\n", self.body.len());
        assert!(self.head.contains(&length), "{}", self.head);
        assert!(!self.head.contains("transfer-encoding"), "{}", self.head);
    }
}

#[tokio::test]
async fn h10_request_is_answered_with_length_and_close() {
    let running = start();
    let ask = ask();
    let length = format!("Content-Length: {}\r\n", ask.len());
    for headers in [
        length.clone(),
        format!("Host: x\r\n{length}"),
        format!("{length}Connection: close\r\n"),
    ] {
        let reply = request(&running, &format!("POST {ROUTE}"), &headers, &ask).await;
        reply.assert_plain(200);
        let challenge = PlainFrame::decode(&reply.body, Direction::Down);
        assert!(matches!(challenge, Ok(PlainFrame::Challenge { .. })));
        assert!(!reply.head.contains("keep-alive"), "{}", reply.head);
    }
}

#[tokio::test]
async fn h10_refusals_are_plain_too() {
    let running = start();
    let check = async |line: &str, headers: &str, status: u16| {
        request(&running, line, headers, b"")
            .await
            .assert_plain(status);
    };
    let post = format!("POST {ROUTE}");
    check("POST /elsewhere", "Content-Length: 0\r\n", 404).await;
    check(&format!("GET {ROUTE}"), "", 405).await;
    check(&post, "", 411).await;
    check(&post, "Content-Length: 49153\r\n", 413).await;
    check(&post, "Content-Length: 0\r\n", 200).await;
}

#[tokio::test]
async fn h10_connection_is_kept_only_when_asked_for() {
    let running = start();
    let mut stream = running.site.tls(b"http/1.1").await;
    let ask = ask();
    let head = format!(
        "POST {ROUTE} HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
        ask.len()
    );
    for _ in 0..2 {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&ask).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.contains("\r\nconnection: keep-alive\r\n"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.split('\r').next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        assert!(PlainFrame::decode(&body, Direction::Down).is_ok());
    }
}
