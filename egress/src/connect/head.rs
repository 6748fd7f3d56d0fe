//! Reads the head of a proxy's answer: the only module that knows `httparse`.
//!
//! Takes from the head only what CONNECT needs. Refuses nothing but text that is no HTTP; sizes
//! are the caller's business.

use super::ConnectFault;
use super::challenge::Challenge;
use crate::foreign::Foreign;
use crate::limits::CONNECT_HEADERS_MAX;
use httparse::{EMPTY_HEADER, Header, Response, Status};

/// What CONNECT needs to know of an answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: Foreign,
    /// The proxy will close the connection after the body.
    pub(super) closes: bool,
    /// Size of the body, when it is announced as one number.
    pub(super) body_bytes: Option<usize>,
    pub(super) offered: Vec<Challenge>,
}

#[derive(Debug)]
pub(super) enum HeadRead {
    Partial,
    /// The head and its size in bytes.
    Complete(Head, usize),
}

pub(super) fn read(bytes: &[u8]) -> Result<HeadRead, ConnectFault> {
    let mut headers = [EMPTY_HEADER; CONNECT_HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let size = match response.parse(bytes) {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) => return Ok(HeadRead::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(ConnectFault::HeadTooLarge),
        Err(_no_http) => {
            return Err(ConnectFault::NotHttp {
                excerpt: Foreign::new(bytes),
            });
        }
    };
    let mut offered = Vec::new();
    for value in values(response.headers, "proxy-authenticate") {
        Challenge::read(value, &mut offered);
    }
    // HTTP/1.0 closes unless it says otherwise.
    let says = |word: &str| {
        let connection = values(response.headers, "connection");
        let proxy_connection = values(response.headers, "proxy-connection");
        connection.chain(proxy_connection).any(|value| {
            let text = String::from_utf8_lossy(value).to_ascii_lowercase();
            text.split(',').any(|token| token.trim() == word)
        })
    };
    let closes = says("close") || (response.version == Some(0) && !says("keep-alive"));
    let head = Head {
        status: response.code.unwrap_or(0),
        reason: Foreign::new(response.reason.unwrap_or_default().as_bytes()),
        closes,
        body_bytes: body_bytes(response.headers),
        offered,
    };
    Ok(HeadRead::Complete(head, size))
}

fn values<'h>(headers: &'h [Header<'h>], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// One plain Content-Length and no other framing; anything else is not worth reading.
fn body_bytes(headers: &[Header<'_>]) -> Option<usize> {
    if values(headers, "transfer-encoding").next().is_some() {
        return None;
    }
    let mut lengths = values(headers, "content-length");
    let first = std::str::from_utf8(lengths.next()?).ok()?.trim();
    let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    if lengths.next().is_some() || !digits {
        return None;
    }
    first.parse().ok()
}
