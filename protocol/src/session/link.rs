//! Where a client stands with a mailbox: the same steps for whoever greets.
//!
//! ```text
//!  Down --ask--> Asking --greet--> Greeting --welcome--> Open       end: from everywhere to Down
//! ```
//!
//! Only these four functions move a link, and a handshake that goes wrong ends in `Down`;
//! `spec/diagrams.md` is drawn by calling each of them in each phase. Refuses a step that does not
//! follow: it changes nothing.

use super::client::{Asking, ClientSession, Greeting};
use super::greeter::Identity;
use crate::id::Thumbprint;
use crate::key::PublicKey;
use crate::reject::Reject;
use crate::revision::BundleNumber;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// How far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPhase {
    /// No session and none under way.
    Down,
    /// An ask is under way.
    Asking,
    /// A hello is under way.
    Greeting,
    /// Frames are exchanged.
    Open,
}

#[derive(Debug)]
enum State<X, O> {
    Down,
    Asking(X, Asking),
    Greeting(X, Box<Greeting>),
    Open(Box<O>),
}

/// A client's way to a session. `X` names its exchanges, `O` is what it keeps of an open session.
#[derive(Debug)]
pub struct Link<X, O>(State<X, O>);

impl<X, O> Default for Link<X, O> {
    fn default() -> Self {
        Self(State::Down)
    }
}

impl<X: Copy + PartialEq, O> Link<X, O> {
    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> LinkPhase {
        match &self.0 {
            State::Down => LinkPhase::Down,
            State::Asking(..) => LinkPhase::Asking,
            State::Greeting(..) => LinkPhase::Greeting,
            State::Open(_) => LinkPhase::Open,
        }
    }

    /// Tells whether `exchange` carries the ask.
    #[must_use]
    pub fn is_asking(&self, exchange: X) -> bool {
        match &self.0 {
            State::Asking(under_way, _) => *under_way == exchange,
            State::Down | State::Greeting(..) | State::Open(_) => false,
        }
    }

    /// Tells whether `exchange` carries the hello.
    #[must_use]
    pub fn is_greeting(&self, exchange: X) -> bool {
        match &self.0 {
            State::Greeting(under_way, _) => *under_way == exchange,
            State::Down | State::Asking(..) | State::Open(_) => false,
        }
    }

    /// The mailbox to which a hello is under way.
    #[must_use]
    pub fn greeted(&self) -> Option<Thumbprint> {
        match &self.0 {
            State::Greeting(_, greeting) => Some(greeting.mailbox()),
            State::Down | State::Asking(..) | State::Open(_) => None,
        }
    }

    /// What is kept of the open session.
    #[must_use]
    pub fn open(&self) -> Option<&O> {
        match &self.0 {
            State::Open(open) => Some(open),
            State::Down | State::Asking(..) | State::Greeting(..) => None,
        }
    }

    /// The same, to be changed.
    pub fn open_mut(&mut self) -> Option<&mut O> {
        match &mut self.0 {
            State::Open(open) => Some(open),
            State::Down | State::Asking(..) | State::Greeting(..) => None,
        }
    }

    /// Begins a handshake, and returns the ask frame that `exchange` carries; `None` unless the link is down.
    ///
    /// # Errors
    /// None that can occur; the type is that of every encoder.
    pub fn ask(&mut self, exchange: X, bundle: BundleNumber) -> Result<Option<Vec<u8>>, Reject> {
        match &self.0 {
            State::Down => {}
            State::Asking(..) | State::Greeting(..) | State::Open(_) => return Ok(None),
        }
        let (asking, frame) = Asking::start(bundle)?;
        self.0 = State::Asking(exchange, asking);
        Ok(Some(frame))
    }

    /// Takes the answer to the ask, and returns the hello frame that `exchange` carries; `None` unless an ask is under
    /// way. The other arguments are those of [`Asking::handle_challenge`].
    ///
    /// # Errors
    /// As [`Asking::handle_challenge`]; the link is down then.
    pub fn greet<'k>(
        &mut self,
        exchange: X,
        frame: &[u8],
        mailboxes: impl IntoIterator<Item = &'k PublicKey>,
        identity: Identity<'_>,
        ephemeral_seed: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, Reject> {
        match core::mem::replace(&mut self.0, State::Down) {
            State::Asking(_, asking) => {
                let (greeting, hello) =
                    asking.handle_challenge(frame, mailboxes, identity, ephemeral_seed)?;
                self.0 = State::Greeting(exchange, Box::new(greeting));
                Ok(Some(hello))
            }
            state @ (State::Down | State::Greeting(..) | State::Open(_)) => {
                self.0 = state;
                Ok(None)
            }
        }
    }

    /// Takes the answer to the hello and opens the session, of which `keep` makes what is kept; false unless a hello is
    /// under way. `now_ms` is of the caller's monotonic clock.
    ///
    /// # Errors
    /// As [`Greeting::handle_welcome`]; the link is down then.
    pub fn welcome(
        &mut self,
        frame: &[u8],
        now_ms: u64,
        keep: impl FnOnce(ClientSession, Thumbprint) -> O,
    ) -> Result<bool, Reject> {
        match core::mem::replace(&mut self.0, State::Down) {
            State::Greeting(_, greeting) => {
                let mailbox = greeting.mailbox();
                let session = greeting.handle_welcome(frame, now_ms)?;
                self.0 = State::Open(Box::new(keep(session, mailbox)));
                Ok(true)
            }
            state @ (State::Down | State::Asking(..) | State::Open(_)) => {
                self.0 = state;
                Ok(false)
            }
        }
    }

    /// Ends the session, or the handshake for one.
    pub fn end(&mut self) {
        self.0 = State::Down;
    }
}
