//! One CONNECT's part of the authentication: which challenge is answered, and with what.
//!
//! ```text
//!   Idle -- strongest scheme that can be answered here --> Basic | Digest | NTLM | Negotiate
//!     ^                                                            | 407
//!     +---- nothing was shown, or a ticket was -------- another leg, a stale nonce, or Rejected
//! ```
//!
//! A scheme that fails on this side (no library, no ticket, a challenge that cannot be read) gives
//! way to the next one; each is begun once in a CONNECT. Refuses to show a secret twice, and to
//! send Basic to a proxy on a plain connection that accepted a scheme before that hides it.

use super::{Known, ProxyAuth, Ticket, negotiate};
use crate::clock;
use crate::connect::{Challenge, ConnectFault, Lack, Leg, NegotiateTrouble, names};
use crate::environment;
use crate::fault::Fault;
use crate::limits::STALE_NONCES_MAX;
use crate::lockout::Verdict;
use crate::scheme::Scheme;
use crate::scheme::digest::{DigestChallenge, DigestSession};
use crate::scheme::ntlm::{self, Account, ChallengeMessage, Proof};
use crate::secret::ProxySecret;
use base64ct::{Base64, Encoding as _};
use std::fmt::Write as _;
use tokio::sync::SemaphorePermit;
use zeroize::Zeroizing;

/// What to send.
pub(crate) struct Answer {
    /// The value of `Proxy-Authorization`.
    pub(crate) value: Zeroizing<String>,
    pub(crate) leg: Leg,
}

impl Answer {
    const fn free(value: Zeroizing<String>) -> Self {
        Self {
            value,
            leg: Leg::Free,
        }
    }
}

/// How far the authentication got. The secret is kept for another leg.
enum Stage<'a> {
    Idle,
    Basic(Shown<'a>),
    Digest {
        shown: Shown<'a>,
        session: DigestSession,
        /// Nonces that were called stale.
        stale: u32,
    },
    /// The first message is out, which names nobody.
    NtlmBegun {
        shown: Shown<'a>,
        begun: Vec<u8>,
    },
    NtlmProved(Shown<'a>),
    Negotiate {
        ticket: Ticket<'a>,
        tokens: Box<dyn negotiate::Tokens>,
    },
}

struct Shown<'a> {
    secret: ProxySecret,
    ticket: Ticket<'a>,
    /// Sent without being asked, as it was accepted before.
    is_unasked: bool,
}

pub(crate) struct Conversation<'a> {
    auth: &'a ProxyAuth,
    /// What the tunnel goes to, `host:port`.
    target: String,
    stage: Stage<'a>,
    begun: Vec<Scheme>,
}

type Turn<'a> = Option<SemaphorePermit<'a>>;

impl<'a> Conversation<'a> {
    /// Starts, with what the proxy accepted before where that may be sent without being asked.
    pub(crate) fn start(auth: &'a ProxyAuth, target: String) -> (Self, Option<Answer>) {
        let mut conversation = Self {
            auth,
            target,
            stage: Stage::Idle,
            begun: Vec::new(),
        };
        let unasked = conversation.unasked();
        (conversation, unasked)
    }

    fn unasked(&mut self) -> Option<Answer> {
        let auth = self.auth;
        let (secret, ticket) = auth.proven()?;
        let scheme = auth.known().scheme.unwrap_or(Scheme::Basic);
        let may = auth.schemes.allow(scheme);
        let is_unsafe = scheme == Scheme::Basic && self.is_weaker(&secret);
        if !may || is_unsafe {
            return None;
        }
        let shown = Shown {
            secret,
            ticket,
            is_unasked: true,
        };
        match scheme {
            Scheme::Basic => Some(self.show_basic(shown)),
            Scheme::Ntlm => Some(self.begin_ntlm(shown)),
            Scheme::Digest => {
                let nonce = auth.known().nonce.take();
                let (_, session) = nonce.filter(|(mark, _)| *mark == shown.ticket.mark)?;
                self.show_digest(shown, session, 0).ok()
            }
            // Its ticket may have expired: asking costs one round trip and no second path.
            Scheme::Negotiate => None,
        }
    }

    /// Answers a 407.
    pub(crate) async fn answer(&mut self, offered: &[Challenge]) -> Result<Answer, Fault> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.choose(offered, None).await,
            // A proxy that changed its mind about schemes said nothing about the secret.
            Stage::Basic(shown) if shown.is_unasked && !offers(offered, Scheme::Basic) => {
                drop(shown);
                self.choose(offered, None).await
            }
            Stage::Basic(shown) | Stage::NtlmProved(shown) => Err(reject(&shown)),
            Stage::Digest {
                shown,
                session,
                stale,
            } => self.after_digest(offered, shown, &session, stale).await,
            Stage::NtlmBegun { shown, begun } => self.prove_ntlm(offered, shown, &begun).await,
            Stage::Negotiate { ticket, tokens } => {
                self.after_negotiate(offered, ticket, tokens).await
            }
        }
    }

    /// The scheme whose proof was shown last, and not answered yet.
    pub(crate) const fn shown(&self) -> Option<Scheme> {
        match &self.stage {
            // The first message of NTLM names nobody.
            Stage::Idle | Stage::NtlmBegun { .. } => None,
            Stage::Basic(_) => Some(Scheme::Basic),
            Stage::Digest { .. } => Some(Scheme::Digest),
            Stage::NtlmProved(_) => Some(Scheme::Ntlm),
            Stage::Negotiate { .. } => Some(Scheme::Negotiate),
        }
    }

    /// The connection or the budget ended instead of an answer.
    pub(crate) fn handle_silence(&mut self) {
        // The logon may have happened all the same, and some proxies answer a bad one so: asking again would cost
        // another one.
        if let Stage::NtlmProved(shown) = &self.stage
            && !shown.ticket.is_proven
        {
            let _wait = shown.ticket.handle_rejected();
        }
    }

    /// The tunnel is open.
    pub(crate) fn handle_open(self) {
        let known = |scheme| Known {
            scheme: Some(scheme),
            nonce: None,
        };
        let (shown, new) = match self.stage {
            Stage::Idle => return,
            Stage::Negotiate { ticket, .. } => {
                ticket.handle_accepted();
                *self.auth.known() = known(Scheme::Negotiate);
                return;
            }
            Stage::Basic(shown) => (shown, known(Scheme::Basic)),
            // A proxy that lets everybody in did not look at it.
            Stage::NtlmBegun { .. } => return,
            Stage::NtlmProved(shown) => (shown, known(Scheme::Ntlm)),
            Stage::Digest { shown, session, .. } => {
                let nonce = Some((shown.ticket.mark, session));
                let scheme = Some(Scheme::Digest);
                (shown, Known { scheme, nonce })
            }
        };
        if new.scheme != Some(Scheme::Basic) {
            let mark = self.auth.hidden_mark(&shown.secret);
            self.auth.lockout.handle_accepted(mark);
        }
        shown.ticket.handle_accepted();
        *self.auth.known() = new;
    }

    /// Begins the first scheme of ours that is offered and works on this side.
    async fn choose(
        &mut self,
        offered: &[Challenge],
        mut obstacle: Option<Fault>,
    ) -> Result<Answer, Fault> {
        let auth = self.auth;
        let mut turn = None;
        for scheme in auth.schemes.iter() {
            if self.begun.contains(&scheme) || !offers(offered, scheme) {
                continue;
            }
            if turn.is_none() {
                turn = auth.turn().await;
            }
            self.begun.push(scheme);
            let begun = match scheme {
                Scheme::Negotiate => self.begin_negotiate(&mut turn).await.map(Some),
                Scheme::Ntlm | Scheme::Digest | Scheme::Basic => {
                    self.begin_with_secret(scheme, offered, &mut turn)
                }
            };
            match begun {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(fault) => obstacle = Some(fault),
            }
        }
        Err(obstacle.unwrap_or_else(|| self.nothing_common(offered)))
    }

    fn nothing_common(&self, offered: &[Challenge]) -> Fault {
        let lack = if self.auth.has_secret() || self.auth.schemes.is_chosen() {
            Lack::Scheme {
                allowed: self.auth.schemes.to_string(),
            }
        } else {
            Lack::Credentials
        };
        let offered = names(offered);
        ConnectFault::NoCommonScheme { offered, lack }.into()
    }

    /// `None` when there is no secret, or no challenge that can be answered.
    fn begin_with_secret(
        &mut self,
        scheme: Scheme,
        offered: &[Challenge],
        turn: &mut Turn<'a>,
    ) -> Result<Option<Answer>, Fault> {
        let digest = DigestChallenge::strongest(offered);
        if scheme == Scheme::Digest && digest.is_none() {
            return Ok(None);
        }
        let Some((secret, ticket)) = self.auth.secret(turn)? else {
            return Ok(None);
        };
        let shown = Shown {
            secret,
            ticket,
            is_unasked: false,
        };
        match (scheme, digest) {
            (Scheme::Ntlm, _) => Ok(Some(self.begin_ntlm(shown))),
            (Scheme::Digest, Some(challenge)) => {
                let session = DigestSession::new(challenge);
                self.show_digest(shown, session, 0).map(Some)
            }
            (Scheme::Basic, _) if self.is_weaker(&shown.secret) => Err(ConnectFault::Weaker.into()),
            (Scheme::Basic, _) => Ok(Some(self.show_basic(shown))),
            (Scheme::Digest, None) | (Scheme::Negotiate, _) => Ok(None),
        }
    }

    /// Basic would show what the proxy accepted hidden before, and the operator did not ask for it.
    fn is_weaker(&self, secret: &ProxySecret) -> bool {
        let auth = self.auth;
        !auth.place.is_hidden && !auth.schemes.is_chosen() && auth.was_hidden(secret)
    }

    fn show_basic(&mut self, shown: Shown<'a>) -> Answer {
        let value = shown.secret.basic();
        self.stage = Stage::Basic(shown);
        Answer::free(value)
    }

    fn show_digest(
        &mut self,
        shown: Shown<'a>,
        mut session: DigestSession,
        stale: u32,
    ) -> Result<Answer, Fault> {
        let mut cnonce = String::new();
        for byte in random::<16>()? {
            let _infallible = write!(cnonce, "{byte:02x}");
        }
        let (user, password) = (shown.secret.user(), shown.secret.password());
        let value = session.answer(user, password, &self.target, &cnonce);
        let value = value.ok_or(ConnectFault::Endless)?;
        self.stage = Stage::Digest {
            shown,
            session,
            stale,
        };
        Ok(Answer::free(value))
    }

    async fn after_digest(
        &mut self,
        offered: &[Challenge],
        shown: Shown<'a>,
        session: &DigestSession,
        stale: u32,
    ) -> Result<Answer, Fault> {
        let Some(challenge) = DigestChallenge::strongest(offered) else {
            if shown.is_unasked {
                drop(shown);
                return self.choose(offered, None).await;
            }
            return Err(reject(&shown));
        };
        // A nonce of an earlier connection that the proxy forgot: what it thinks of the password
        // shows when the password comes with a nonce that it knows. It was accepted before.
        let is_forgotten = shown.is_unasked && stale == 0 && !session.is_of(&challenge);
        if (challenge.is_stale() || is_forgotten) && stale < STALE_NONCES_MAX {
            return self.show_digest(
                shown,
                DigestSession::new(challenge),
                stale.saturating_add(1),
            );
        }
        if challenge.is_stale() {
            return Err(ConnectFault::Endless.into());
        }
        Err(reject(&shown))
    }

    fn begin_ntlm(&mut self, shown: Shown<'a>) -> Answer {
        let begun = ntlm::negotiate_message();
        let value = Zeroizing::new(format!("NTLM {}", Base64::encode_string(&begun)));
        self.stage = Stage::NtlmBegun { shown, begun };
        Answer::free(value)
    }

    async fn prove_ntlm(
        &mut self,
        offered: &[Challenge],
        shown: Shown<'a>,
        begun: &[u8],
    ) -> Result<Answer, Fault> {
        let challenge = match ntlm_challenge(offered) {
            Ok(challenge) => challenge,
            Err(fault) => {
                drop(shown);
                return self.choose(offered, Some(fault)).await;
            }
        };
        let proof = Proof {
            account: Account::parse(shown.secret.user()),
            password: shown.secret.password(),
            nonce: random()?,
            unix_time: std::time::Duration::from_secs(clock::wall_s()),
        };
        let message = ntlm::authenticate_message(begun, &challenge, &proof);
        let message = Zeroizing::new(Base64::encode_string(&message));
        let value = Zeroizing::new(format!("NTLM {}", message.as_str()));
        self.stage = Stage::NtlmProved(shown);
        Ok(Answer {
            value,
            leg: Leg::Bound,
        })
    }

    async fn begin_negotiate(&mut self, turn: &mut Turn<'a>) -> Result<Answer, Fault> {
        let auth = self.auth;
        let service = negotiate::service(&auth.place.host)?;
        let mark = auth.negotiate_mark();
        let verdict = auth.lockout.verdict(mark);
        if let Verdict::Locked { wait } = verdict {
            return Err(ConnectFault::TicketRejected { wait }.into());
        }
        // A keytab logs on at the Kerberos server before the proxy sees anything of it.
        let early = if environment::client_keytab().is_some() {
            Some(auth.show(mark, verdict, turn)?)
        } else {
            None
        };
        let made = negotiate::begin(&auth.tickets, &auth.calls, service).await;
        let made = made.inspect_err(|fault| {
            let trouble = NegotiateTrouble::KeyRefused;
            if matches!(fault, ConnectFault::Negotiate { trouble: it, .. } if *it == trouble)
                && let Some(ticket) = &early
            {
                let _wait = ticket.handle_rejected();
            }
        })?;
        let ticket = match early {
            Some(ticket) => ticket,
            None => auth.show(mark, verdict, turn)?,
        };
        self.stage = Stage::Negotiate {
            ticket,
            tokens: made.tokens,
        };
        Ok(Answer::free(made.value))
    }

    async fn after_negotiate(
        &mut self,
        offered: &[Challenge],
        ticket: Ticket<'a>,
        tokens: Box<dyn negotiate::Tokens>,
    ) -> Result<Answer, Fault> {
        let Some(token) = token(offered, Scheme::Negotiate) else {
            let wait = ticket.handle_rejected();
            drop(ticket);
            let rejected = ConnectFault::TicketRejected { wait };
            return self.choose(offered, Some(rejected.into())).await;
        };
        let made = negotiate::go_on(tokens, &self.auth.calls, token).await?;
        self.stage = Stage::Negotiate {
            ticket,
            tokens: made.tokens,
        };
        Ok(Answer {
            value: made.value,
            leg: Leg::Bound,
        })
    }
}

fn offers(offered: &[Challenge], scheme: Scheme) -> bool {
    offered
        .iter()
        .any(|challenge| challenge.scheme == Some(scheme))
}

fn token(offered: &[Challenge], scheme: Scheme) -> Option<&str> {
    let mut of_it = offered
        .iter()
        .filter(|challenge| challenge.scheme == Some(scheme));
    of_it.find_map(|challenge| challenge.token.as_deref())
}

fn ntlm_challenge(offered: &[Challenge]) -> Result<ChallengeMessage, Fault> {
    let token = token(offered, Scheme::Ntlm).unwrap_or_default();
    let bytes = Base64::decode_vec(token).unwrap_or_default();
    let challenge = ChallengeMessage::parse(&bytes).map_err(ConnectFault::Ntlm)?;
    Ok(challenge)
}

fn reject(shown: &Shown<'_>) -> Fault {
    let _wait = shown.ticket.handle_rejected();
    ConnectFault::Rejected.into()
}

fn random<const N: usize>() -> Result<[u8; N], ConnectFault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_none| ConnectFault::NoRandomness)?;
    Ok(bytes)
}
