//! Kerberos tickets for HTTP proxies, through the system's GSS-API library when there is one.
//!
//! ```text
//!   Session::start("HTTP@proxy.corp.test") -- ticket cache or client keytab --> Session
//!   Session::step(None) -> token -> the proxy -> token -> Session::step(Some(token)) ...
//! ```
//!
//! The library is opened at its first use and never closed; a machine without it gets
//! [`Trouble::NoLibrary`], a static binary too. Which ticket or keytab is used is decided by the
//! library from its own environment (`KRB5CCNAME`, `KRB5_CLIENT_KTNAME`, `KRB5_CONFIG`). Every
//! call may ask a key distribution centre and block for as long as that takes: the caller gives it
//! a thread. Refuses to be a binding: nothing here accepts, wraps, delegates or binds to a channel.
//!
//! Unsafe code stands in `ffi` only.

mod ffi;

use ffi::{Acquired, Context, Name, Next, Status};

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The system has no GSS-API library, or this binary cannot open one.
    NoLibrary,
    /// Neither a ticket nor a client keytab.
    NoTicket,
    /// The ticket has expired.
    Expired,
    /// The key distribution centre refused the keytab's key: asking again could lock the account.
    KeyRefused,
    /// Anything else; the text says what.
    Other,
}

/// Why a step failed, with the library's words. They are foreign text: escape them before showing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The kind.
    pub trouble: Trouble,
    /// The library's words, perhaps with those of a key distribution centre in them.
    pub text: String,
}

/// What a step ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this token and expect another one.
    Token(Vec<u8>),
    /// Finished: send this token, unless it is empty.
    Done(Vec<u8>),
}

/// One authentication to one service.
#[derive(Debug)]
pub struct Session {
    context: Context,
    service: Name,
    principal: String,
}

impl Session {
    /// Looks for a ticket, or gets one with the client keytab. `service` is `HTTP@` and the proxy's
    /// full name.
    ///
    /// # Errors
    /// [`Failure`]; its kind tells what to do.
    pub fn start(service: &str) -> Result<Self, Failure> {
        let api = ffi::api().map_err(|text| Failure {
            trouble: Trouble::NoLibrary,
            text,
        })?;
        // Asked apart, because what the negotiating mechanism says of a missing ticket is vague.
        let Acquired {
            principal,
            lifetime_s,
        } = ffi::acquire(api).map_err(failure)?;
        if lifetime_s == 0 {
            return Err(Failure {
                trouble: Trouble::Expired,
                text: format!("the ticket of {principal} has expired"),
            });
        }
        Ok(Self {
            context: Context::new(api),
            service: Name::service(api, service).map_err(failure)?,
            principal,
        })
    }

    /// Returns whose ticket it is, such as `alice@CORP.TEST`.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Makes the next token: the first one without, later ones with what the proxy sent.
    ///
    /// # Errors
    /// [`Failure`]; the session is of no more use then.
    pub fn step(&mut self, input: Option<&[u8]>) -> Result<Step, Failure> {
        let next = self.context.step(&self.service, input.unwrap_or_default());
        match next.map_err(failure)? {
            Next::Continue(token) => Ok(Step::Token(token)),
            Next::Complete(token) => Ok(Step::Done(token)),
        }
    }
}

/// Routine errors of RFC 2744, 3.9.1, in the upper half of a major status.
const NO_CREDENTIALS: u32 = 7;
const CREDENTIALS_EXPIRED: u32 = 11;

/// Minor statuses of MIT Kerberos: the table's base and the numbers of RFC 4120, 7.5.9.
const KERBEROS_BASE: i64 = -1_765_328_384;
const CLIENT_UNKNOWN: i64 = KERBEROS_BASE + 6;
const CLIENT_REVOKED: i64 = KERBEROS_BASE + 18;
const KEY_EXPIRED: i64 = KERBEROS_BASE + 23;
const PREAUTH_FAILED: i64 = KERBEROS_BASE + 24;
const BAD_INTEGRITY: i64 = KERBEROS_BASE + 31;
const TICKET_EXPIRED: i64 = KERBEROS_BASE + 32;

fn failure(status: Status) -> Failure {
    let minor = i64::from(status.minor.cast_signed());
    let trouble = match (status.major >> 16 & 0xff, minor) {
        (_, CLIENT_UNKNOWN | CLIENT_REVOKED | KEY_EXPIRED | PREAUTH_FAILED | BAD_INTEGRITY) => {
            Trouble::KeyRefused
        }
        (CREDENTIALS_EXPIRED, _) | (_, TICKET_EXPIRED) => Trouble::Expired,
        (NO_CREDENTIALS, _) => Trouble::NoTicket,
        (_, _) => Trouble::Other,
    };
    Failure {
        trouble,
        text: status.text,
    }
}

#[cfg(test)]
mod tests;
