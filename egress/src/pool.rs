//! The kept connections of one client.
//!
//! One shared HTTP/2 connection, or idle HTTP/1.1 connections. Before an idle one is handed out its
//! socket is looked at: an end of stream or unread bytes mean that the peer gave it up. Refuses to
//! hand out a connection in doubt.

use crate::path::{HttpVersion, LinkReport};
use crate::tcp::{Liveness, Pending};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Times that the connection's own task gets a chance to take unread bytes.
const CHANCES: usize = 4;

pub(crate) enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "Http1",
            Self::Http2(_) => "Http2",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) report: Arc<LinkReport>,
    pub(crate) http: HttpVersion,
    liveness: Arc<Liveness>,
}

impl Connection {
    pub(crate) fn new(
        sender: Sender,
        liveness: Liveness,
        report: LinkReport,
        http: HttpVersion,
    ) -> Self {
        Self {
            sender,
            report: Arc::new(report),
            http,
            liveness: Arc::new(liveness),
        }
    }

    /// What is known about the connection, with the packets that its path is known to carry now.
    pub(crate) fn link(&self) -> Arc<LinkReport> {
        let bytes = self.liveness.packet_bytes_max();
        if bytes == self.report.packet_bytes_max {
            return Arc::clone(&self.report);
        }
        let mut changed = LinkReport::clone(&self.report);
        changed.packet_bytes_max = bytes;
        Arc::new(changed)
    }

    fn try_share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                report: Arc::clone(&self.report),
                http: self.http,
                liveness: Arc::clone(&self.liveness),
            }),
        }
    }

    /// Looks at the socket, after giving the connection's task the chance to read.
    async fn is_usable(&mut self) -> bool {
        for _ in 0..CHANCES {
            match self.liveness.pending() {
                Pending::Nothing => break,
                Pending::Closed => return false,
                Pending::Bytes => tokio::task::yield_now().await,
            }
        }
        if self.liveness.pending() != Pending::Nothing {
            return false;
        }
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    shared: Option<Connection>,
    idle: Vec<Connection>,
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<Kept>,
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns another handle on the HTTP/2 connection, unless it is over.
    pub(crate) fn shared(&self) -> Option<Connection> {
        let mut kept = self.kept();
        let over = kept.shared.as_ref().is_some_and(|connection| {
            let closed = match &connection.sender {
                Sender::Http1(_) => true,
                Sender::Http2(sender) => sender.is_closed(),
            };
            closed || connection.liveness.pending() == Pending::Closed
        });
        if over {
            kept.shared = None;
        }
        kept.shared.as_ref().and_then(Connection::try_share)
    }

    /// Keeps the HTTP/2 connection for everyone.
    pub(crate) fn share(&self, connection: &Connection) {
        self.kept().shared = connection.try_share();
    }

    /// Takes an idle HTTP/1.1 connection that the peer has not given up.
    pub(crate) async fn take_idle(&self) -> Option<Connection> {
        loop {
            let popped = self.kept().idle.pop();
            let mut connection = popped?;
            if connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose exchange ended well.
    pub(crate) fn keep(&self, connection: Connection) {
        match &connection.sender {
            Sender::Http1(_) => self.kept().idle.push(connection),
            Sender::Http2(_) => {}
        }
    }

    /// Gives up the connection of a failed exchange.
    pub(crate) fn forget(&self, connection: &Connection) {
        let mut kept = self.kept();
        let same = kept
            .shared
            .as_ref()
            .is_some_and(|shared| Arc::ptr_eq(&shared.liveness, &connection.liveness));
        if same {
            kept.shared = None;
        }
    }

    pub(crate) fn clear(&self) {
        *self.kept() = Kept::default();
    }
}
