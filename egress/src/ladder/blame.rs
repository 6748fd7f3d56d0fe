//! Whose fault the end of an exchange is: the mailbox's, a timer's, the way's. Pure.
//!
//! Only what is the way's own fault makes a device leave it. Refuses to take a mailbox's word, or its
//! expired certificate, for a broken way.

use crate::connect::ConnectFault;
use crate::fault::{Fault, TransportError};
use crate::limits::TIMER_AGE_MIN;
use crate::quic::QuicFault;
use crate::route::Route;
use crate::tls::TlsFault;
use std::io::ErrorKind;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The mailbox said so, or its certificate ran out: every way would end the same.
    Mailbox,
    /// A timer or a size of something on the way: learnt elsewhere.
    Limit,
    /// The far end reset or refused a direct connection: most likely the mailbox restarts.
    Reset,
    /// The way, perhaps by accident.
    Way,
    /// The way, for certain: it is left at once.
    Broken,
}

impl TransportError {
    /// Tells whose fault this end is. `is_held` is true for an exchange that the mailbox was to hold.
    #[must_use]
    pub fn blame(&self, is_held: bool) -> Blame {
        let is_proxied = matches!(self.route, Route::Proxy(_));
        let by_timer = is_held && self.sent_for.is_some_and(|age| age >= TIMER_AGE_MIN);
        match &self.fault {
            Fault::Status { status: 429, .. }
            | Fault::Status {
                status: 503,
                retry_after_s: Some(_),
                ..
            }
            | Fault::Tls(TlsFault::Time { .. }) => Blame::Mailbox,
            Fault::Status { status: 413, .. } | Fault::Oversize { status: 413, .. } => Blame::Limit,
            Fault::Status {
                status: 408 | 502..=504,
                ..
            }
            | Fault::Silent
            | Fault::Stalled
            | Fault::Closed
            | Fault::Truncated { .. }
                if by_timer =>
            {
                Blame::Limit
            }
            Fault::Tcp(ErrorKind::ConnectionRefused)
            | Fault::Connect(
                ConnectFault::Rejected
                | ConnectFault::Locked { .. }
                | ConnectFault::NoCommonScheme { .. },
            ) if is_proxied => Blame::Broken,
            Fault::Tls(fault) => of_tls(fault),
            // It was asked again and again, from another socket too.
            Fault::Quic(QuicFault::Lost) => Blame::Broken,
            Fault::Tcp(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
            | Fault::Closed
                if !is_proxied =>
            {
                Blame::Reset
            }
            Fault::Status { .. }
            | Fault::Oversize { .. }
            | Fault::Lookup(_)
            | Fault::LookupSlow
            | Fault::Tcp(_)
            | Fault::TcpSlow
            | Fault::Connect(_)
            | Fault::Secret(_)
            | Fault::LockoutRecord(_)
            | Fault::Trust(_)
            | Fault::Silent
            | Fault::Stalled
            | Fault::Closed
            | Fault::Truncated { .. }
            | Fault::NotHttp
            | Fault::Quic(_)
            | Fault::BadRequest => Blame::Way,
        }
    }
}

const fn of_tls(fault: &TlsFault) -> Blame {
    match fault {
        TlsFault::Time { .. } => Blame::Mailbox,
        TlsFault::UnknownIssuer { .. }
        | TlsFault::WrongName { .. }
        | TlsFault::Certificate { .. }
        | TlsFault::NotTls => Blame::Broken,
        TlsFault::Broken { .. } | TlsFault::Slow => Blame::Way,
    }
}
