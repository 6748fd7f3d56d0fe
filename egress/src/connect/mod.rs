//! The CONNECT state machine: bytes in, bytes out, no IO, no clock.
//!
//! ```text
//!            +--------- authorize ----------+
//!            v                              |
//!   Compose -Send-> Head -407-> Challenged -+-> Drain -> Compose
//!                    |  \                   +-> Reopen -> Compose
//!                   2xx  anything else
//!                    v      v
//!                  Open   ConnectFault
//! ```
//!
//! The driver asks [`Connect::step`] what to do, does it, and reports back. Any 2xx opens the
//! tunnel; bytes behind the head belong to the tunnel and are kept. Refuses: heads over 64 KiB,
//! answers that are not HTTP, a second try with rejected credentials. Never resolves the target:
//! its name goes to the proxy as it is.

mod auth;
mod fault;
mod head;

pub use auth::{Authenticator, Scheme};
pub use fault::ConnectFault;

use crate::foreign::Foreign;
use crate::host::Authority;
use crate::limits::{CONNECT_HEAD_BYTES_MAX, DRAIN_BYTES_MAX, INTERIM_ANSWERS_MAX};
use auth::Reply;
use head::{Head, HeadRead};
use zeroize::Zeroizing;

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Write these bytes to the proxy, then ask again. They may hold credentials.
    Send(Zeroizing<Vec<u8>>),
    /// Read from the proxy and pass the bytes to [`Connect::handle_bytes`].
    Receive,
    /// The proxy wants credentials for this scheme: pass the value of `Proxy-Authorization` to
    /// [`Connect::authorize`], or give up.
    Credentials(Scheme),
    /// Close this connection, open another to the same proxy, call [`Connect::handle_reopened`].
    Reopen,
    /// The tunnel is open; [`Connect::into_leftover`] has its first bytes.
    Open,
}

type Authorization = Zeroizing<String>;

#[derive(Debug)]
enum Phase {
    Compose(Option<Authorization>),
    Head { buffer: Vec<u8>, interim: u32 },
    Challenged(Scheme, Link),
    Drain { left: usize, then: Authorization },
    Reopen { then: Authorization },
    Open { leftover: Vec<u8> },
    Failed,
}

/// What becomes of the connection that carried a 407.
#[derive(Clone, Copy, Debug)]
enum Link {
    /// Usable after this many bytes of body.
    Keep(usize),
    /// Closed by the proxy, or its body is not worth reading.
    Close,
}

/// One CONNECT, from the first byte to the open tunnel.
#[derive(Debug)]
pub struct Connect {
    target: Authority,
    user_agent: String,
    authenticator: Authenticator,
    phase: Phase,
}

impl Connect {
    /// Starts a CONNECT to `target`. With `preemptive`, the first request carries that value of
    /// `Proxy-Authorization`; use it only for credentials that this proxy has accepted before.
    #[must_use]
    pub fn new(
        target: Authority,
        user_agent: &str,
        mut authenticator: Authenticator,
        preemptive: Option<Zeroizing<String>>,
    ) -> Self {
        if preemptive.is_some() {
            authenticator.handle_sent();
        }
        Self {
            target,
            user_agent: user_agent.to_owned(),
            authenticator,
            phase: Phase::Compose(preemptive),
        }
    }

    /// Returns what to do next.
    pub fn step(&mut self) -> Step {
        match &mut self.phase {
            Phase::Compose(authorization) => {
                let request = compose(&self.target, &self.user_agent, authorization.take());
                self.phase = Phase::Head {
                    buffer: Vec::new(),
                    interim: 0,
                };
                Step::Send(request)
            }
            Phase::Head { .. } | Phase::Drain { .. } | Phase::Failed => Step::Receive,
            Phase::Challenged(scheme, _) => Step::Credentials(scheme.clone()),
            Phase::Reopen { .. } => Step::Reopen,
            Phase::Open { .. } => Step::Open,
        }
    }

    /// Takes bytes read from the proxy.
    ///
    /// # Errors
    /// [`ConnectFault`] ends the CONNECT; the connection is to be closed.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), ConnectFault> {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Head {
                mut buffer,
                interim,
            } => {
                buffer.extend_from_slice(bytes);
                self.read_head(buffer, interim)?
            }
            Phase::Drain { left, then } => drain(left, bytes.len(), then),
            Phase::Open { mut leftover } => {
                leftover.extend_from_slice(bytes);
                Phase::Open { leftover }
            }
            // Nothing was asked: whatever comes belongs to a connection that is given up.
            Phase::Challenged(scheme, _) => Phase::Challenged(scheme, Link::Close),
            Phase::Reopen { then } => Phase::Reopen { then },
            Phase::Compose(authorization) => Phase::Compose(authorization),
            Phase::Failed => return Err(ConnectFault::Closed),
        };
        Ok(())
    }

    /// Takes the end of the connection.
    ///
    /// # Errors
    /// [`ConnectFault::Closed`] unless a new connection can carry on.
    pub fn handle_close(&mut self) -> Result<(), ConnectFault> {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Drain { then, .. } | Phase::Reopen { then } => Phase::Reopen { then },
            Phase::Challenged(scheme, _) => Phase::Challenged(scheme, Link::Close),
            Phase::Head { .. } | Phase::Compose(_) | Phase::Open { .. } | Phase::Failed => {
                return Err(ConnectFault::Closed);
            }
        };
        Ok(())
    }

    /// Returns what a budget that ran out means in this phase.
    #[must_use]
    pub fn handle_timeout(&self) -> ConnectFault {
        match &self.phase {
            Phase::Head { buffer, .. } if !buffer.is_empty() => ConnectFault::Slow {
                bytes: buffer.len(),
            },
            Phase::Head { .. }
            | Phase::Compose(_)
            | Phase::Challenged(..)
            | Phase::Drain { .. }
            | Phase::Reopen { .. }
            | Phase::Open { .. }
            | Phase::Failed => ConnectFault::Silent,
        }
    }

    /// Gives the value of `Proxy-Authorization` that [`Step::Credentials`] asked for.
    pub fn authorize(&mut self, value: Zeroizing<String>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Challenged(_, link) => {
                self.authenticator.handle_sent();
                match link {
                    Link::Keep(0) => Phase::Compose(Some(value)),
                    Link::Keep(left) => Phase::Drain { left, then: value },
                    Link::Close => Phase::Reopen { then: value },
                }
            }
            other @ (Phase::Compose(_)
            | Phase::Head { .. }
            | Phase::Drain { .. }
            | Phase::Reopen { .. }
            | Phase::Open { .. }
            | Phase::Failed) => other,
        };
    }

    /// Says that a new connection stands, as [`Step::Reopen`] asked.
    pub fn handle_reopened(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Reopen { then } => Phase::Compose(Some(then)),
            other @ (Phase::Compose(_)
            | Phase::Head { .. }
            | Phase::Challenged(..)
            | Phase::Drain { .. }
            | Phase::Open { .. }
            | Phase::Failed) => other,
        };
    }

    /// Returns the bytes that followed the head: the first bytes of the tunnel.
    #[must_use]
    pub fn into_leftover(self) -> Vec<u8> {
        if let Phase::Open { leftover } = self.phase {
            leftover
        } else {
            Vec::new()
        }
    }

    fn read_head(&mut self, buffer: Vec<u8>, interim: u32) -> Result<Phase, ConnectFault> {
        let (head, size) = match head::read(&buffer)? {
            HeadRead::Partial if buffer.len() > CONNECT_HEAD_BYTES_MAX => {
                return Err(ConnectFault::HeadTooLarge);
            }
            HeadRead::Partial => return Ok(Phase::Head { buffer, interim }),
            HeadRead::Complete(_, size) if size > CONNECT_HEAD_BYTES_MAX => {
                return Err(ConnectFault::HeadTooLarge);
            }
            HeadRead::Complete(head, size) => (head, size),
        };
        let rest = buffer.get(size..).unwrap_or_default();
        match head.status {
            100..=199 if interim < INTERIM_ANSWERS_MAX => {
                self.read_head(rest.to_vec(), interim.saturating_add(1))
            }
            200..=299 => Ok(Phase::Open {
                leftover: rest.to_vec(),
            }),
            407 => self.read_challenge(&head, rest.len()),
            status => Err(ConnectFault::from_status(status, head.reason)),
        }
    }

    fn read_challenge(&mut self, head: &Head, have: usize) -> Result<Phase, ConnectFault> {
        let link = match head.body_bytes {
            Some(size) if !head.closes && size <= DRAIN_BYTES_MAX && have <= size => {
                Link::Keep(size.saturating_sub(have))
            }
            Some(_) | None => Link::Close,
        };
        match self.authenticator.answer(&head.offered) {
            Reply::Credentials(scheme) => Ok(Phase::Challenged(scheme, link)),
            Reply::Rejected => Err(ConnectFault::Rejected),
            Reply::NoCredentials => Err(ConnectFault::NoCommonScheme {
                offered: names(&head.offered),
                configured: false,
            }),
            Reply::NoCommonScheme => Err(ConnectFault::NoCommonScheme {
                offered: names(&head.offered),
                configured: true,
            }),
        }
    }
}

fn names(offered: &[Scheme]) -> Foreign {
    let list: Vec<&str> = offered.iter().map(Scheme::as_str).collect();
    Foreign::new(list.join(", ").as_bytes())
}

fn drain(left: usize, have: usize, then: Authorization) -> Phase {
    match left.checked_sub(have) {
        Some(0) => Phase::Compose(Some(then)),
        Some(left) => Phase::Drain { left, then },
        // More than was announced: the next answer could not be told from it.
        None => Phase::Reopen { then },
    }
}

fn compose(
    target: &Authority,
    user_agent: &str,
    authorization: Option<Authorization>,
) -> Zeroizing<Vec<u8>> {
    // Room for all of it, so that no reallocation leaves a copy of the credentials behind.
    let secret = authorization.as_ref().map_or(0, |value| value.len());
    let mut request = Zeroizing::new(Vec::with_capacity(1024 + user_agent.len() + secret));
    let head = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {user_agent}\r\nProxy-Connection: keep-alive\r\n"
    );
    request.extend_from_slice(head.as_bytes());
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[cfg(test)]
mod tests;
