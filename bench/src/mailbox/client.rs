//! Ends of the wire that hold a session with the relay: devices and writers.
//!
//! A refusal is data here, with the pause that it asks for. Refuses answers that do not verify.

use super::domain;
use crate::error::BenchError;
use crate::relay::door::{Carrier, Door, Doors};
use postern_protocol::Reject;
use postern_protocol::frame::{
    Collect, Delivery, Direction, DownFrame, Entry, Item, PlainFrame, Poll, UpFrame,
};
use postern_protocol::id::{Channel, ChannelId, Plane};
use postern_protocol::key::Signer as _;
use postern_protocol::revision::{ArrivalNumber, BundleNumber, Revision, StoreEpoch};
use postern_protocol::session::{Asking, ClientSession, Greeting, Identity, Request};

/// Items of one deliver: 44 of 1 KB fill a frame.
pub const DELIVERED_MAX: usize = 44;

/// Nothing was done. `None` is a refusal that does not say when to come again.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The reject's code; 0 where HTTP refused, or nothing said why.
    pub code: u64,
    /// Milliseconds to wait.
    pub retry_ms: Option<u64>,
}

impl Refused {
    /// Where there must be none.
    pub fn into_error(self) -> BenchError {
        BenchError::Answer {
            what: "the relay refuses though it is not overloaded",
            answer: format!("reject {}", self.code),
        }
    }
}

/// What an exchange led to; errors are those of the network.
pub type Outcome<T> = Result<Result<T, Refused>, BenchError>;

/// What a writer delivers.
pub struct Letter {
    /// For whom.
    pub channel: ChannelId,
    /// The plane that it travels under.
    pub plane: Option<Plane>,
    /// What the writer signed.
    pub envelope: Vec<u8>,
}

/// What a writer collected.
#[derive(Debug, Default)]
pub struct Collection {
    /// The store that counts.
    pub store: u64,
    /// Place of each letter and its device.
    pub letters: Vec<(u64, ChannelId)>,
}

/// An end with a session.
pub struct End {
    carrier: Carrier,
    session: ClientSession,
}

impl End {
    /// Opens a session of a device. `life` makes it another one than before.
    pub async fn device(doors: &Doors, channel: &Channel, life: usize) -> Outcome<Self> {
        let mut seed = domain::seed_of(&[1, life]);
        let id = channel.id();
        let places = seed.iter_mut().rev().zip(id.as_bytes());
        places.for_each(|(to, from)| *to = *from);
        let hello = |asking: Asking, challenge: &[u8]| {
            let (signer, mailbox) = (domain::device(), domain::mailbox());
            let identity = Identity::device(channel, domain::LIFE, &signer);
            asking.handle_challenge(challenge, [mailbox.public_key()], identity, &seed)
        };
        Self::open(doors, hello).await
    }

    /// Opens a session of a tenant's writer. # Errors: of the network, and a refusal.
    pub async fn writer(doors: &Doors, tenant: usize) -> Result<Self, BenchError> {
        let name = domain::tenant(tenant)?;
        let seed = domain::seed_of(&[2, tenant]);
        let hello = |asking: Asking, challenge: &[u8]| {
            let (signer, mailbox) = (domain::writer(tenant), domain::mailbox());
            let identity = Identity::writer(domain::genesis(), &name, &signer);
            asking.handle_challenge(challenge, [mailbox.public_key()], identity, &seed)
        };
        let opened = Self::open(doors, hello).await?;
        opened.map_err(Refused::into_error)
    }

    async fn open(
        doors: &Doors,
        hello: impl FnOnce(Asking, &[u8]) -> Result<(Greeting, Vec<u8>), Reject>,
    ) -> Outcome<Self> {
        let mut carrier = doors.open(Door::Http1).await?;
        let (asking, ask) = Asking::start(BundleNumber::new(1))?;
        let challenge = match exchange(&mut carrier, ask).await? {
            Ok(challenge) => challenge,
            Err(refused) => return Ok(Err(refused)),
        };
        let (greeting, hello) = hello(asking, &challenge)?;
        let welcome = match exchange(&mut carrier, hello).await? {
            Ok(welcome) => welcome,
            Err(refused) => return Ok(Err(refused)),
        };
        let session = greeting.handle_welcome(&welcome, 0)?;
        Ok(Ok(Self { carrier, session }))
    }

    /// Sends a request; what `read` makes of its answer comes back.
    async fn ask<T>(
        &mut self,
        frame: &UpFrame<'_>,
        read: impl FnOnce(DownFrame<'_>) -> Result<T, Refused>,
    ) -> Outcome<T> {
        let Request { counter, bytes } = self.session.seal_request(frame)?;
        let answer = match exchange(&mut self.carrier, bytes).await? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(read(self.session.open_answer(counter, &answer)?))
    }

    /// Posts one envelope.
    pub async fn post(&mut self, envelope: &[u8]) -> Outcome<()> {
        let item = Item {
            plane: Some(Plane::Actual),
            envelope,
        };
        self.ask(&UpFrame::Post(vec![item]), taken).await
    }

    /// Delivers envelopes for devices of the writer's tenant.
    pub async fn deliver(&mut self, letters: &[Letter]) -> Outcome<()> {
        let deliveries = letters.iter().map(|letter| Delivery {
            channel: Some(letter.channel),
            item: Item {
                plane: letter.plane,
                envelope: &letter.envelope,
            },
        });
        let frame = UpFrame::Deliver(deliveries.collect());
        self.ask(&frame, taken).await
    }

    /// Collects what lies above a cursor, waiting for it.
    pub async fn collect(&mut self, hold_s: u16, store: u64, cursor: u64) -> Outcome<Collection> {
        let collect = Collect {
            hold_s,
            store: StoreEpoch::new(store),
            cursor: ArrivalNumber::new(cursor),
        };
        self.ask(&UpFrame::Collect(collect), collected).await
    }

    /// Waits for news.
    pub async fn poll(&mut self, hold_s: u16) -> Outcome<()> {
        let poll = Poll {
            hold_s,
            bundle: BundleNumber::new(1),
            acked: None,
            desired: Revision::NONE,
            actual: None,
            receipt: None,
        };
        self.ask(&UpFrame::Poll(poll), taken).await
    }
}

/// One exchange; a refusal of HTTP or of the relay is data.
async fn exchange(carrier: &mut Carrier, frame: Vec<u8>) -> Outcome<Vec<u8>> {
    let reply = carrier.ask(frame).await?;
    if reply.is_refused {
        let retry_ms = reply.retry_s.map(|seconds| seconds.saturating_mul(1_000));
        return Ok(Err(Refused { code: 0, retry_ms }));
    }
    match PlainFrame::decode(&reply.frame, Direction::Down) {
        Ok(PlainFrame::Refused { code, retry_ms }) => Ok(Err(Refused {
            code: u64::from(code),
            retry_ms,
        })),
        Ok(_) | Err(_) => Ok(Ok(reply.frame)),
    }
}

fn taken(frame: DownFrame<'_>) -> Result<(), Refused> {
    match frame {
        DownFrame::Answer(answer) if answer.hints.refused.is_empty() => Ok(()),
        DownFrame::Answer(answer) => Err(Refused {
            code: answer
                .hints
                .refused
                .first()
                .map_or(0, |one| u64::from(one.code)),
            retry_ms: answer.hints.retry_ms,
        }),
        DownFrame::Bodies(_) | DownFrame::Collected(_) | DownFrame::StreamAnswer(_) => {
            Err(Refused {
                code: 0,
                retry_ms: None,
            })
        }
    }
}

fn collected(frame: DownFrame<'_>) -> Result<Collection, Refused> {
    match frame {
        DownFrame::Collected(collected) => {
            let letters = collected.entries.iter().filter_map(|entry| match entry {
                Entry::Envelope { arrival, delivery } => {
                    Some((arrival.number(), delivery.channel?))
                }
                Entry::Knock { .. } => None,
            });
            Ok(Collection {
                store: collected.store.number(),
                letters: letters.collect(),
            })
        }
        DownFrame::Answer(_) | DownFrame::Bodies(_) | DownFrame::StreamAnswer(_) => Err(Refused {
            code: 0,
            retry_ms: None,
        }),
    }
}
