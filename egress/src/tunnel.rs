//! The proxied part of a path: reaches the proxy, authenticates, opens the tunnel.
//!
//! Drives the pure machines of [`connect`](crate::connect) and [`socks`](crate::socks) over one
//! socket within one budget, and tells the lock-out what became of a secret. The time that another
//! connection's try or a Kerberos server takes is not counted as the proxy's. Refuses to send
//! anything after the first fault.

use crate::connect::{Challenge, Connect, ConnectFault, Step};
use crate::fault::{Fault, TransportError};
use crate::path::{BoxStream, Carrier, Path, Proxy};
use crate::proxy_auth::{Answer, Conversation, ProxyAuth, Ticket};
use crate::proxy_url::ProxyScheme;
use crate::socks::{Socks, SocksStep};
use crate::trail::Stage;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

impl Path {
    pub(crate) async fn tunnel(&self, proxy: &Proxy) -> Result<Carrier, TransportError> {
        let started = Instant::now();
        let tunnel = match proxy.url.scheme {
            ProxyScheme::Http | ProxyScheme::Https => self.connect(proxy).await,
            ProxyScheme::Socks5h => self.socks(proxy).await,
        };
        let seen = tunnel.as_ref().map(|_open| "open".to_owned());
        // A proxy that is not reached has its hop already.
        if seen
            .as_ref()
            .err()
            .is_none_or(|fault| !is_before_tunnel(fault))
        {
            self.note(
                Stage::Tunnel,
                &proxy.url,
                started,
                seen.map_err(Fault::clone),
            );
        }
        tunnel.map_err(|fault| self.error(format!("proxy {}", proxy.url), fault))
    }

    /// TCP to the proxy, and TLS where its scheme says so.
    async fn reach(&self, proxy: &Proxy) -> Result<Carrier, Fault> {
        let carrier = self.tcp(&proxy.url.authority).await?;
        match proxy.url.scheme {
            ProxyScheme::Http | ProxyScheme::Socks5h => Ok(carrier),
            ProxyScheme::Https => {
                let trust = self.trust.state().await?;
                //= spec/freshness.md#signed-time
                //# A device MUST NOT relax the period of a proxy's certificate.
                let config = &trust.proxy_config;
                let place = &proxy.url.authority;
                let started = Instant::now();
                let shaken = self.handshake(config, place, carrier.stream).await;
                let seen = shaken.as_ref().map(|_stream| String::new());
                let seen = seen.map_err(|fault| fault.clone().into());
                self.note(Stage::ProxyTls, place, started, seen);
                let stream = shaken?;
                Ok(Carrier {
                    stream: Box::new(stream),
                    ..carrier
                })
            }
        }
    }

    /// Drives the CONNECT state machine.
    async fn connect(&self, proxy: &Proxy) -> Result<Carrier, Fault> {
        let mut carrier = self.reach(proxy).await?;
        let target = self.target.authority();
        let (mut conversation, unasked) = Conversation::start(&proxy.auth, target.to_string());
        let unasked = unasked.map(|answer| answer.value);
        let mut machine = Connect::new(target.clone(), &self.user_agent, unasked);
        let mut deadline = Instant::now() + self.budgets.connect;
        loop {
            match machine.step() {
                Step::Send(request) => {
                    let sending = carrier.stream.write_all(&request);
                    match timeout_at(deadline, sending).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_reset)) => close(&mut machine, &mut conversation)?,
                        Err(_elapsed) => return Err(machine.handle_timeout().into()),
                    }
                }
                Step::Receive => match receive(&mut carrier.stream, deadline).await {
                    Received::Bytes(bytes) => machine.handle_bytes(&bytes)?,
                    Received::End => close(&mut machine, &mut conversation)?,
                    Received::Late => {
                        conversation.handle_silence();
                        return Err(machine.handle_timeout().into());
                    }
                },
                Step::Challenged(offered) => {
                    let asked = Instant::now();
                    let answer = self.answer(&mut conversation, &offered).await?;
                    deadline += asked.elapsed();
                    machine.authorize(answer.value, answer.leg)?;
                }
                Step::Reopen => {
                    carrier = self.reach(proxy).await?;
                    machine.handle_reopened();
                }
                Step::Open => break,
            }
        }
        if let Some(scheme) = conversation.shown().filter(|_| self.trail.is_none()) {
            self.attempts.note_proof(scheme, true);
        }
        conversation.handle_open();
        Ok(opened(carrier, machine.into_leftover()))
    }

    /// Answers a 407, and counts it with what became of the proof before.
    async fn answer(
        &self,
        conversation: &mut Conversation<'_>,
        offered: &[Challenge],
    ) -> Result<Answer, Fault> {
        let shown = conversation.shown();
        let answer = conversation.answer(offered).await;
        if self.trail.is_none() {
            self.attempts.note_challenge();
            let is_rejected = matches!(
                answer,
                Err(Fault::Connect(
                    ConnectFault::Rejected | ConnectFault::TicketRejected { .. }
                ))
            );
            if let Some(scheme) = shown.filter(|_| is_rejected) {
                self.attempts.note_proof(scheme, false);
            }
        }
        answer
    }

    /// Drives the SOCKS5 state machine.
    async fn socks(&self, proxy: &Proxy) -> Result<Carrier, Fault> {
        let mut carrier = self.reach(proxy).await?;
        let mut machine = Socks::new(self.target.authority().clone(), proxy.auth.has_secret());
        let mut ticket: Option<Ticket<'_>> = None;
        let mut deadline = Instant::now() + self.budgets.connect;
        loop {
            match machine.step() {
                SocksStep::Send(request) => {
                    let sending = carrier.stream.write_all(&request);
                    match timeout_at(deadline, sending).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_reset)) => return Err(ConnectFault::Closed.into()),
                        Err(_elapsed) => return Err(machine.handle_timeout().into()),
                    }
                }
                SocksStep::Receive => match receive(&mut carrier.stream, deadline).await {
                    Received::Bytes(bytes) => {
                        let read = machine.handle_bytes(&bytes);
                        settle(ticket.as_ref(), read)?;
                    }
                    Received::End => return Err(ConnectFault::Closed.into()),
                    Received::Late => return Err(machine.handle_timeout().into()),
                },
                SocksStep::Credentials => {
                    let asked = Instant::now();
                    ticket = show(&proxy.auth, &mut machine).await?;
                    deadline += asked.elapsed();
                }
                SocksStep::Open => break,
            }
        }
        if let Some(ticket) = &ticket {
            ticket.handle_accepted();
        }
        Ok(opened(carrier, machine.into_leftover()))
    }
}

/// Tells whether a fault is one of the way to the proxy.
const fn is_before_tunnel(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Lookup(_) | Fault::LookupSlow | Fault::Tcp(_) | Fault::TcpSlow | Fault::Tls(_)
    )
}

fn opened(carrier: Carrier, leftover: Vec<u8>) -> Carrier {
    Carrier {
        stream: Box::new(Prefixed::new(leftover, carrier.stream)),
        ..carrier
    }
}

enum Received {
    Bytes(Vec<u8>),
    End,
    Late,
}

async fn receive(stream: &mut BoxStream, deadline: Instant) -> Received {
    let mut buffer = [0; 4096];
    match timeout_at(deadline, stream.read(&mut buffer)).await {
        Ok(Ok(0) | Err(_)) => Received::End,
        Ok(Ok(size)) => Received::Bytes(buffer.get(..size).unwrap_or_default().to_vec()),
        Err(_elapsed) => Received::Late,
    }
}

fn close(machine: &mut Connect, conversation: &mut Conversation<'_>) -> Result<(), ConnectFault> {
    let closed = machine.handle_close();
    if closed.is_err() {
        conversation.handle_silence();
    }
    closed
}

async fn show<'a>(auth: &'a ProxyAuth, machine: &mut Socks) -> Result<Option<Ticket<'a>>, Fault> {
    let mut turn = auth.turn().await;
    let Some((secret, ticket)) = auth.secret(&mut turn)? else {
        return Ok(None);
    };
    machine
        .authorize(secret.user(), secret.password())
        .map_err(ConnectFault::Socks)?;
    Ok(Some(ticket))
}

/// Remembers a rejection before it becomes an error.
fn settle(ticket: Option<&Ticket<'_>>, read: Result<(), ConnectFault>) -> Result<(), Fault> {
    if let (Err(ConnectFault::Rejected), Some(ticket)) = (&read, ticket) {
        let _wait = ticket.handle_rejected();
    }
    read.map_err(Fault::Connect)
}

/// A stream whose first bytes were read already.
pub(crate) struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(prefix: Vec<u8>, inner: S) -> Self {
        Self {
            prefix: prefix.into(),
            inner,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let size = self.prefix.len().min(buf.remaining());
        buf.put_slice(self.prefix.get(..size).unwrap_or_default());
        self.prefix.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
