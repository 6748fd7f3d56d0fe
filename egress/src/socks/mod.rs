//! The SOCKS5 state machine (RFC 1928, RFC 1929): bytes in, bytes out, no IO, no clock.
//!
//! ```text
//!   Greet -Send-> Method --none--------------------------------> Request -Send-> Reply -> Open
//!                    \--user and password--> Credentials -Send-> Status --/
//! ```
//!
//! The target's name goes to the proxy as it is: nothing is looked up here. Every answer has a
//! known size of at most 262 bytes; what follows it belongs to the tunnel and is kept. Refuses
//! BIND, UDP, GSS-API, and a proxy that chooses a way to authenticate that was not offered.

mod fault;

pub use fault::SocksFault;

use crate::connect::ConnectFault;
use crate::host::{Authority, Host};
use std::net::IpAddr;
use zeroize::Zeroizing;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What the driver does next.
#[derive(Debug)]
pub enum SocksStep {
    /// Write these bytes to the proxy, then ask again. They may hold credentials.
    Send(Zeroizing<Vec<u8>>),
    /// Read from the proxy and pass the bytes to [`Socks::handle_bytes`].
    Receive,
    /// The proxy wants user and password: pass them to [`Socks::authorize`], or give up.
    Credentials,
    /// The tunnel is open; [`Socks::into_leftover`] has its first bytes.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Method,
    Status,
    Reply,
}

#[derive(Debug)]
enum Phase {
    Send(Zeroizing<Vec<u8>>, Awaited),
    Receive(Awaited),
    Credentials,
    Open,
    Failed,
}

/// One connection through a SOCKS5 proxy, from the first byte to the open tunnel.
#[derive(Debug)]
pub struct Socks {
    target: Authority,
    has_secret: bool,
    buffer: Vec<u8>,
    phase: Phase,
}

impl Socks {
    /// Starts. User and password are offered when there are some; the proxy chooses.
    #[must_use]
    pub fn new(target: Authority, has_secret: bool) -> Self {
        let methods: &[u8] = if has_secret {
            &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]
        } else {
            &[VERSION, 1, NO_AUTHENTICATION]
        };
        Self {
            target,
            has_secret,
            buffer: Vec::new(),
            phase: Phase::Send(Zeroizing::new(methods.to_vec()), Awaited::Method),
        }
    }

    /// Returns what to do next.
    pub fn step(&mut self) -> SocksStep {
        match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Send(bytes, awaited) => {
                self.phase = Phase::Receive(awaited);
                SocksStep::Send(bytes)
            }
            Phase::Receive(awaited) => {
                self.phase = Phase::Receive(awaited);
                SocksStep::Receive
            }
            Phase::Credentials => {
                self.phase = Phase::Credentials;
                SocksStep::Credentials
            }
            Phase::Open => {
                self.phase = Phase::Open;
                SocksStep::Open
            }
            Phase::Failed => SocksStep::Receive,
        }
    }

    /// Takes bytes read from the proxy.
    ///
    /// # Errors
    /// [`ConnectFault`] ends it; the connection is to be closed.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), ConnectFault> {
        match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Receive(awaited) => {
                self.buffer.extend_from_slice(bytes);
                let next = match awaited {
                    Awaited::Method => self.read_method()?,
                    Awaited::Status => self.read_status()?,
                    Awaited::Reply => self.read_reply()?,
                };
                self.phase = next.unwrap_or(Phase::Receive(awaited));
                Ok(())
            }
            Phase::Open => {
                self.buffer.extend_from_slice(bytes);
                self.phase = Phase::Open;
                Ok(())
            }
            // It speaks before it was asked.
            Phase::Send(..) | Phase::Credentials => Err(SocksFault::NotSocks.into()),
            Phase::Failed => Err(ConnectFault::Closed),
        }
    }

    /// Gives user and password, as [`SocksStep::Credentials`] asked.
    ///
    /// # Errors
    /// [`SocksFault::SecretSize`] when they do not fit.
    pub fn authorize(&mut self, user: &str, password: &str) -> Result<(), SocksFault> {
        let size = |text: &str| u8::try_from(text.len()).ok().filter(|size| *size > 0);
        let (Some(user_size), Some(password_size)) = (size(user), size(password)) else {
            return Err(SocksFault::SecretSize);
        };
        if matches!(self.phase, Phase::Credentials) {
            // Room for all of it, so that no reallocation leaves a copy behind.
            let mut request = Zeroizing::new(Vec::with_capacity(3 + 2 * 255));
            request.extend_from_slice(&[1, user_size]);
            request.extend_from_slice(user.as_bytes());
            request.push(password_size);
            request.extend_from_slice(password.as_bytes());
            self.phase = Phase::Send(request, Awaited::Status);
        }
        Ok(())
    }

    /// Returns what a budget that ran out means.
    #[must_use]
    pub fn handle_timeout(&self) -> ConnectFault {
        match self.buffer.len() {
            0 => ConnectFault::Silent,
            bytes => ConnectFault::Slow { bytes },
        }
    }

    /// Returns the bytes that followed the reply: the first bytes of the tunnel.
    #[must_use]
    pub fn into_leftover(self) -> Vec<u8> {
        match self.phase {
            Phase::Open => self.buffer,
            Phase::Send(..) | Phase::Receive(_) | Phase::Credentials | Phase::Failed => Vec::new(),
        }
    }

    fn read_method(&mut self) -> Result<Option<Phase>, ConnectFault> {
        match *self.buffer {
            [] | [VERSION] => Ok(None),
            [VERSION, NO_AUTHENTICATION] => {
                self.buffer.clear();
                Ok(Some(self.request()))
            }
            [VERSION, USER_AND_PASSWORD] if self.has_secret => {
                self.buffer.clear();
                Ok(Some(Phase::Credentials))
            }
            [VERSION, 0xff] | [VERSION, USER_AND_PASSWORD] => Err(SocksFault::NoMethod {
                has_secret: self.has_secret,
            }
            .into()),
            [..] => Err(SocksFault::NotSocks.into()),
        }
    }

    fn read_status(&mut self) -> Result<Option<Phase>, ConnectFault> {
        match *self.buffer {
            [] | [_] => Ok(None),
            [1, 0] => {
                self.buffer.clear();
                Ok(Some(self.request()))
            }
            // RFC 1929: any other status is a failure. Some proxies answer with version 5 here.
            [1 | VERSION, status] if status != 0 => Err(ConnectFault::Rejected),
            [..] => Err(SocksFault::NotSocks.into()),
        }
    }

    fn read_reply(&mut self) -> Result<Option<Phase>, ConnectFault> {
        match *self.buffer {
            [] | [VERSION] => return Ok(None),
            [VERSION, 0, ..] => {}
            // Some proxies send nothing behind a refusal.
            [VERSION, reply, ..] => return Err(SocksFault::from_reply(reply).into()),
            [..] => return Err(SocksFault::NotSocks.into()),
        }
        let address_bytes = match *self.buffer {
            [_, _, _, IPV4, ..] => 4,
            [_, _, _, IPV6, ..] => 16,
            [_, _, _, NAME, size, ..] => usize::from(size).saturating_add(1),
            [_, _, _, NAME] | [_, _] | [_, _, _] => return Ok(None),
            [..] => return Err(SocksFault::NotSocks.into()),
        };
        // Head, address, port.
        let size = 4_usize.saturating_add(address_bytes).saturating_add(2);
        if self.buffer.len() < size {
            return Ok(None);
        }
        self.buffer.drain(..size);
        Ok(Some(Phase::Open))
    }

    fn request(&self) -> Phase {
        let mut request = vec![VERSION, CONNECT, 0];
        match &self.target.host {
            Host::Address(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend_from_slice(&address.octets());
            }
            Host::Address(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend_from_slice(&address.octets());
            }
            Host::Name(name) => {
                // A host name has at most 253 bytes.
                let size = u8::try_from(name.len()).unwrap_or(u8::MAX);
                request.extend_from_slice(&[NAME, size]);
                request.extend_from_slice(name.as_bytes());
            }
        }
        request.extend_from_slice(&self.target.port.to_be_bytes());
        Phase::Send(Zeroizing::new(request), Awaited::Reply)
    }
}

#[cfg(test)]
mod tests;
