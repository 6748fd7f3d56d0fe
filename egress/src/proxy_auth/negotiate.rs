//! Tokens for Negotiate, from a thread that may wait for a Kerberos server.
//!
//! The library blocks for as long as it likes; here it has [`NEGOTIATE_BUDGET`]. A call that takes
//! longer keeps its thread and nobody else gets one until it ends: there is never a second. Refuses
//! to ask for a proxy that is configured by its address, because tickets are made for names.

use crate::connect::{ConnectFault, NegotiateTrouble};
use crate::foreign::Foreign;
use crate::host::Host;
use crate::limits::{NEGOTIATE_BUDGET, NEGOTIATE_TOKEN_BYTES_MAX};
use base64ct::{Base64, Encoding as _};
use postern_gssapi::{Failure, Session, Step, Trouble};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Where tickets come from.
pub(super) trait Tickets: fmt::Debug + Send + Sync {
    /// Looks for a ticket to `service`; may block.
    fn start(&self, service: &str) -> Result<Box<dyn Tokens>, Failure>;
}

/// One authentication under way.
pub(super) trait Tokens: fmt::Debug + Send {
    /// Makes the next token; may block.
    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, Failure>;
}

/// The system's GSS-API library.
#[derive(Debug)]
pub(super) struct SystemTickets;

impl Tickets for SystemTickets {
    fn start(&self, service: &str) -> Result<Box<dyn Tokens>, Failure> {
        let session = Session::start(service)?;
        tracing::debug!(principal = %Foreign::new(session.principal().as_bytes()), "found a ticket");
        Ok(Box::new(session))
    }
}

impl Tokens for Session {
    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, Failure> {
        Self::step(self, input)
    }
}

/// A token for the proxy, and what goes on from there.
pub(super) struct Made {
    pub(super) tokens: Box<dyn Tokens>,
    /// The value of `Proxy-Authorization`.
    pub(super) value: Zeroizing<String>,
}

/// Names the proxy as tickets do.
pub(super) fn service(host: &Host) -> Result<String, ConnectFault> {
    match host {
        Host::Name(name) => Ok(format!("HTTP@{name}")),
        Host::Address(_) => Err(fault(NegotiateTrouble::ByAddress)),
    }
}

/// Finds a ticket and makes the first token.
pub(super) async fn begin(
    tickets: &Arc<dyn Tickets>,
    calls: &Arc<Semaphore>,
    service: String,
) -> Result<Made, ConnectFault> {
    let tickets = Arc::clone(tickets);
    call(calls, move || {
        let mut tokens = tickets.start(&service)?;
        let step = tokens.step(None)?;
        Ok((tokens, step))
    })
    .await
}

/// Makes the token that answers the proxy's.
pub(super) async fn go_on(
    mut tokens: Box<dyn Tokens>,
    calls: &Arc<Semaphore>,
    token: &str,
) -> Result<Made, ConnectFault> {
    let input = Base64::decode_vec(token).unwrap_or_default();
    if input.is_empty() || input.len() > NEGOTIATE_TOKEN_BYTES_MAX {
        return Err(fault(NegotiateTrouble::Token));
    }
    call(calls, move || {
        let step = tokens.step(Some(&input))?;
        Ok((tokens, step))
    })
    .await
}

type Called = Result<(Box<dyn Tokens>, Step), Failure>;

async fn call(
    calls: &Arc<Semaphore>,
    work: impl FnOnce() -> Called + Send + 'static,
) -> Result<Made, ConnectFault> {
    let slow = || fault(NegotiateTrouble::Slow);
    let permit = timeout(NEGOTIATE_BUDGET, Arc::clone(calls).acquire_owned());
    let permit = permit.await.map_err(|_elapsed| slow())?;
    let (done, result) = oneshot::channel();
    // A thread of its own and not one of the runtime's, whose end would wait for it.
    let thread = std::thread::Builder::new().name("gssapi".to_owned());
    let spawned = thread.spawn(move || {
        let result = work();
        drop(permit);
        // Nobody listens any more after the budget.
        drop(done.send(result));
    });
    if spawned.is_err() {
        return Err(fault(NegotiateTrouble::Other));
    }
    let ended = timeout(NEGOTIATE_BUDGET, result).await;
    let called = ended.map_err(|_elapsed| slow())?;
    let (tokens, step) = called.map_err(|_gone| slow())?.map_err(from_failure)?;
    let (Step::Token(token) | Step::Done(token)) = step;
    if token.is_empty() || token.len() > NEGOTIATE_TOKEN_BYTES_MAX {
        return Err(fault(NegotiateTrouble::Token));
    }
    let token = Zeroizing::new(Base64::encode_string(&token));
    let value = Zeroizing::new(format!("Negotiate {}", token.as_str()));
    Ok(Made { tokens, value })
}

fn fault(trouble: NegotiateTrouble) -> ConnectFault {
    ConnectFault::Negotiate {
        trouble,
        text: Foreign::default(),
    }
}

fn from_failure(failure: Failure) -> ConnectFault {
    let trouble = match failure.trouble {
        Trouble::NoLibrary => NegotiateTrouble::NoLibrary,
        Trouble::NoTicket => NegotiateTrouble::NoTicket,
        Trouble::Expired => NegotiateTrouble::Expired,
        Trouble::KeyRefused => NegotiateTrouble::KeyRefused,
        Trouble::Other => NegotiateTrouble::Other,
    };
    ConnectFault::Negotiate {
        trouble,
        text: Foreign::new(failure.text.as_bytes()),
    }
}
