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
//! What a challenge is answered with is decided elsewhere; here stands what becomes of the
//! connection. A leg that is bound to its connection (NTLM's last, a second one of Negotiate) is
//! never carried to another one.
//!
//! The driver asks [`Connect::step`] what to do, does it, and reports back. Any 2xx opens the
//! tunnel; bytes behind the head belong to the tunnel and are kept. Refuses: heads over 64 KiB,
//! answers that are not HTTP, 407s without end. Never resolves the target:
//! its name goes to the proxy as it is.

mod challenge;
mod fault;
mod head;

pub use challenge::Challenge;
pub(crate) use challenge::names;
pub use fault::{ConnectFault, Lack, NegotiateTrouble};

use crate::host::Authority;
use crate::limits::{
    AUTHENTICATION_LEGS_MAX, CONNECT_HEAD_BYTES_MAX, DRAIN_BYTES_MAX, INTERIM_ANSWERS_MAX,
};
use head::{Head, HeadRead};
use zeroize::Zeroizing;

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Write these bytes to the proxy, then ask again. They may hold credentials.
    Send(Zeroizing<Vec<u8>>),
    /// Read from the proxy and pass the bytes to [`Connect::handle_bytes`].
    Receive,
    /// The proxy asks for credentials: pass a value of `Proxy-Authorization` that answers one of
    /// these to [`Connect::authorize`], or give up.
    Challenged(Vec<Challenge>),
    /// Close this connection, open another to the same proxy, call [`Connect::handle_reopened`].
    Reopen,
    /// The tunnel is open; [`Connect::into_leftover`] has its first bytes.
    Open,
}

/// Where an answer to a challenge may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// On any connection.
    Free,
    /// Only on the connection that the challenge came on.
    Bound,
}

#[derive(Debug)]
struct Authorization {
    value: Zeroizing<String>,
    leg: Leg,
}

#[derive(Debug)]
enum Phase {
    Compose(Option<Authorization>),
    Head { buffer: Vec<u8>, interim: u32 },
    Challenged(Vec<Challenge>, Link),
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
    /// Requests that carried credentials.
    legs: u32,
    phase: Phase,
}

impl Connect {
    /// Starts a CONNECT to `target`. With `preemptive`, the first request carries that value of
    /// `Proxy-Authorization`; use it only for credentials that this proxy has accepted before.
    #[must_use]
    pub fn new(target: Authority, user_agent: &str, preemptive: Option<Zeroizing<String>>) -> Self {
        let preemptive = preemptive.map(|value| Authorization {
            value,
            leg: Leg::Free,
        });
        Self {
            target,
            user_agent: user_agent.to_owned(),
            legs: u32::from(preemptive.is_some()),
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
            Phase::Challenged(offered, _) => Step::Challenged(offered.clone()),
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
            Phase::Drain { left, then } => drain(left, bytes.len(), then)?,
            Phase::Open { mut leftover } => {
                leftover.extend_from_slice(bytes);
                Phase::Open { leftover }
            }
            // Nothing was asked: whatever comes belongs to a connection that is given up.
            Phase::Challenged(offered, _) => Phase::Challenged(offered, Link::Close),
            Phase::Reopen { then } => Phase::Reopen { then },
            Phase::Compose(authorization) => Phase::Compose(authorization),
            Phase::Failed => return Err(ConnectFault::Closed),
        };
        Ok(())
    }

    /// Takes the end of the connection.
    ///
    /// # Errors
    /// [`ConnectFault::Closed`] or [`ConnectFault::LegsCut`] unless a new connection can carry on.
    pub fn handle_close(&mut self) -> Result<(), ConnectFault> {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Drain { then, .. } => reopen(then)?,
            Phase::Reopen { then } => Phase::Reopen { then },
            Phase::Challenged(offered, _) => Phase::Challenged(offered, Link::Close),
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

    /// Gives the value of `Proxy-Authorization` that [`Step::Challenged`] asked for.
    ///
    /// # Errors
    /// [`ConnectFault::LegsCut`] when the leg is bound to a connection that cannot be used again,
    /// [`ConnectFault::Endless`] after [`AUTHENTICATION_LEGS_MAX`] of them.
    pub fn authorize(&mut self, value: Zeroizing<String>, leg: Leg) -> Result<(), ConnectFault> {
        self.legs = self.legs.saturating_add(1);
        if self.legs > AUTHENTICATION_LEGS_MAX {
            return Err(ConnectFault::Endless);
        }
        let then = Authorization { value, leg };
        let phase = std::mem::replace(&mut self.phase, Phase::Failed);
        self.phase = match phase {
            Phase::Challenged(_, Link::Keep(0)) => Phase::Compose(Some(then)),
            Phase::Challenged(_, Link::Keep(left)) => Phase::Drain { left, then },
            Phase::Challenged(_, Link::Close) => reopen(then)?,
            other @ (Phase::Compose(_)
            | Phase::Head { .. }
            | Phase::Drain { .. }
            | Phase::Reopen { .. }
            | Phase::Open { .. }
            | Phase::Failed) => other,
        };
        Ok(())
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
            407 => Ok(challenged(head, rest.len())),
            status => Err(ConnectFault::from_status(status, head.reason)),
        }
    }
}

fn challenged(head: Head, have: usize) -> Phase {
    let link = match head.body_bytes {
        Some(size) if !head.closes && size <= DRAIN_BYTES_MAX && have <= size => {
            Link::Keep(size.saturating_sub(have))
        }
        Some(_) | None => Link::Close,
    };
    Phase::Challenged(head.offered, link)
}

fn reopen(then: Authorization) -> Result<Phase, ConnectFault> {
    match then.leg {
        Leg::Free => Ok(Phase::Reopen { then }),
        Leg::Bound => Err(ConnectFault::LegsCut),
    }
}

fn drain(left: usize, have: usize, then: Authorization) -> Result<Phase, ConnectFault> {
    match left.checked_sub(have) {
        Some(0) => Ok(Phase::Compose(Some(then))),
        Some(left) => Ok(Phase::Drain { left, then }),
        // More than was announced: the next answer could not be told from it.
        None => reopen(then),
    }
}

fn compose(
    target: &Authority,
    user_agent: &str,
    authorization: Option<Authorization>,
) -> Zeroizing<Vec<u8>> {
    // Room for all of it, so that no reallocation leaves a copy of the credentials behind.
    let secret = authorization.as_ref().map_or(0, |it| it.value.len());
    let mut request = Zeroizing::new(Vec::with_capacity(1024 + user_agent.len() + secret));
    let head = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {user_agent}\r\nProxy-Connection: keep-alive\r\n"
    );
    request.extend_from_slice(head.as_bytes());
    if let Some(Authorization { value, leg: _ }) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[cfg(test)]
mod tests;
