//! To the upstream: what the devices of this relay posted, tenant by tenant, in the order in which it arrived.
//!
//! ```text
//!   arrivals above the last brought --deliver--> taken: the tenant's cursor goes on, as if its writer had read
//!                                          '---> refused for now: brought again, the cursor waits
//!                                          '---> bodies missing: deliver-bodies, until none is
//! ```
//!
//! Refuses to let what one device is refused hold up the others, and to acknowledge what was not taken.

use super::knocks::Enrolments;
use super::limits::{AGAIN_MS, BROUGHT_MAX, REFUSED_RETRY_MS, WAITING_MAX};
use super::session::Line;
use super::{Place, Trouble};
use crate::durable::Durable;
use crate::limits::{COLLECT_ENTRY_BYTES, COLLECTED_BYTES_MAX};
use crate::mailbox::{Arrival, Chunk, Collected};
use crate::server::{Host as _, after_ms};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{BodyChunk, Delivery, DownFrame, Hints, Item, UpFrame};
use postern_protocol::id::{ChannelId, Digest, Plane, TenantId};
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::PUTS_MAX;
use postern_protocol::revision::ArrivalNumber;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far each tenant was brought; outlives sessions.
#[derive(Debug, Default)]
pub(super) struct Up {
    tenants: Mutex<BTreeMap<TenantId, Brought>>,
}

#[derive(Debug, Default)]
struct Brought {
    /// The last arrival that was brought, whatever became of it.
    last: u64,
    /// Arrivals that were refused for now.
    waiting: BTreeSet<u64>,
    /// When what waits is brought again, on the mailbox's clock.
    again_ms: Option<u64>,
    /// When everything was brought again last because the upstream lacked something.
    refilled_ms: Option<u64>,
}

impl Brought {
    /// Up to where everything was taken, or refused for good.
    fn settled(&self) -> u64 {
        let first = self.waiting.first();
        first.map_or(self.last, |first| first.saturating_sub(1))
    }

    /// Goes back to what waits.
    fn go_back(&mut self) {
        self.last = self.settled();
        self.waiting.clear();
        self.again_ms = None;
    }
}

/// One frame of a tenant's arrivals.
struct Load {
    last: u64,
    items: Vec<(u64, Collected)>,
}

impl Up {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, Brought>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings everything that is held again: the upstream is another one than it was.
    pub(super) fn bring_all_again(&self) {
        self.lock().clear();
    }

    /// Brings what arrives until the session is over.
    pub(super) async fn run(&self, place: &Place, line: &Line, enrolments: &Enrolments) -> Trouble {
        let mailbox = place.durable.mailbox();
        loop {
            let mut arrived = mailbox.arrived();
            let tenants: Vec<TenantId> = place.durable.ledger().tenants().keys().copied().collect();
            let mut is_busy = false;
            for tenant in &tenants {
                match self.bring(place, line, enrolments, *tenant).await {
                    Ok(brought) => is_busy |= brought,
                    Err(trouble) => return trouble,
                }
            }
            if is_busy {
                continue;
            }
            let due_ms = self.lock().values().filter_map(|one| one.again_ms).min();
            let now_ms = mailbox.clock().now_ms();
            let wait_ms = due_ms.map_or(AGAIN_MS, |due_ms| due_ms.saturating_sub(now_ms).max(1));
            let _either = tokio::time::timeout_at(after_ms(wait_ms), arrived.changed()).await;
        }
    }

    /// Brings one frame of a tenant's arrivals. Returns false when there is none.
    async fn bring(
        &self,
        place: &Place,
        line: &Line,
        enrolments: &Enrolments,
        tenant: TenantId,
    ) -> Result<bool, Trouble> {
        let now_ms = place.durable.mailbox().clock().now_ms();
        let after = {
            let mut tenants = self.lock();
            let brought = tenants.entry(tenant).or_default();
            if brought.again_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                brought.go_back();
            }
            brought.last
        };
        let Some(load) = next_load(&place.durable, tenant, after) else {
            return Ok(false);
        };
        let mut items = Vec::new();
        for (arrival, collected) in load.items {
            match collected.what {
                Arrival::Envelope {
                    channel: Some(channel),
                    plane,
                    envelope,
                } => items.push((arrival, channel, plane, envelope)),
                Arrival::Envelope { channel: None, .. } => {}
                Arrival::Knock { knock, frame } => enrolments.carry_on(knock, &frame),
            }
        }
        let hints = if items.is_empty() {
            Hints::default()
        } else {
            deliver(place, line, &items).await?
        };
        let arrivals: Vec<(u64, ChannelId)> = items
            .iter()
            .map(|(arrival, channel, ..)| (*arrival, *channel))
            .collect();
        self.settle(place, tenant, load.last, &arrivals, &hints);
        put_wanted(place, line, hints.bodies_wanted).await?;
        Ok(true)
    }

    /// Notes what the upstream said of a frame.
    fn settle(
        &self,
        place: &Place,
        tenant: TenantId,
        last: u64,
        items: &[(u64, ChannelId)],
        hints: &Hints,
    ) {
        let now_ms = place.durable.mailbox().clock().now_ms();
        let mut tenants = self.lock();
        let brought = tenants.entry(tenant).or_default();
        brought.last = last;
        let mut taken = items.len() as u64;
        for refusal in &hints.refused {
            taken = taken.saturating_sub(1);
            let at = usize::try_from(refusal.index).ok();
            let item = at.and_then(|at| items.get(at));
            let reject = Reject::from_code(refusal.code.into());
            let is_passing = matches!(
                reject,
                // An upstream that is filled anew does not know whom it serves yet.
                Some(Reject::Overloaded | Reject::Quota | Reject::NotAdmitted)
            );
            match item {
                Some((arrival, _)) if is_passing => {
                    brought.waiting.insert(*arrival);
                }
                Some(_) | None => place.note_refused("up", "envelope", reject),
            }
        }
        if !brought.waiting.is_empty() && brought.again_ms.is_none() {
            let wait_ms = hints.retry_ms.unwrap_or(0).max(REFUSED_RETRY_MS);
            brought.again_ms = Some(now_ms.saturating_add(wait_ms));
        }
        if brought.waiting.len() > WAITING_MAX {
            brought.go_back();
        }
        let is_recent = |at: u64| now_ms.saturating_sub(at) < AGAIN_MS;
        if !hints.snapshots_wanted.is_empty() && !brought.refilled_ms.is_some_and(is_recent) {
            // It cannot follow a plane: the chain that is held here begins with a snapshot.
            brought.refilled_ms = Some(now_ms);
            brought.last = 0;
            brought.waiting.clear();
        }
        let settled = brought.settled();
        let waiting = tenants.values().map(|one| one.waiting.len()).sum();
        drop(tenants);
        place.note(|stats| {
            stats.brought = stats.brought.saturating_add(taken);
            stats.waiting = waiting;
        });
        //= spec/relays.md#chains
        //# A relay MUST NOT acknowledge for a writer what its upstream has not answered for.
        if settled > place.durable.account(tenant).cursor {
            let host = crate::durable::RelayHost::new(Arc::clone(&place.durable));
            host.read_to(tenant, ArrivalNumber::new(settled));
        }
    }
}

/// Picks a tenant's next arrivals, up to and with the first snapshot: the answer has room for its bodies.
fn next_load(durable: &Durable, tenant: TenantId, after: u64) -> Option<Load> {
    let collected = {
        let state = durable.mailbox().lock();
        let mailboxes = &state.exchanges.mailboxes;
        mailboxes.collect_arrived(tenant, after, COLLECTED_BYTES_MAX, COLLECT_ENTRY_BYTES)
    };
    let mut items = Vec::new();
    for one in collected.into_iter().take(BROUGHT_MAX) {
        let is_snapshot = match &one.what {
            Arrival::Envelope { envelope, .. } => is_snapshot(envelope),
            Arrival::Knock { .. } => false,
        };
        items.push((one.arrival, one));
        if is_snapshot {
            break;
        }
    }
    let last = items.last().map(|(arrival, _)| *arrival)?;
    Some(Load { last, items })
}

fn is_snapshot(envelope: &[u8]) -> bool {
    ReceivedEnvelope::parse(envelope)
        .is_ok_and(|received| received.unverified_header().kind == MessageKind::Snapshot)
}

type Brings = (u64, ChannelId, Option<Plane>, Arc<[u8]>);

async fn deliver(place: &Place, line: &Line, items: &[Brings]) -> Result<Hints, Trouble> {
    let deliveries = items.iter().map(|(_, channel, plane, envelope)| Delivery {
        channel: Some(*channel),
        item: Item {
            plane: *plane,
            envelope,
        },
    });
    let frame = UpFrame::Deliver(deliveries.collect());
    line.ask(place, &frame, 0, read_hints).await
}

fn read_hints(down: DownFrame<'_>) -> Result<Hints, Reject> {
    match down {
        DownFrame::Answer(answer) => Ok(answer.hints),
        DownFrame::Collected(_) | DownFrame::Bodies(_) | DownFrame::StreamAnswer(_) => {
            Err(Reject::AnswerMismatch)
        }
    }
}

/// Brings the bodies that the upstream lacks of what it was just brought, as long as it asks and they are held.
async fn put_wanted(
    place: &Place,
    line: &Line,
    mut wanted: Vec<postern_protocol::frame::WantedBody>,
) -> Result<(), Trouble> {
    for _ in 0..PUTS_MAX {
        let Some(channel) = wanted.first().map(|one| one.channel) else {
            return Ok(());
        };
        let of_channel = wanted.iter().filter(|one| one.channel == channel);
        let asked: Vec<(Digest, u64)> = of_channel
            .filter(|one| one.plane == Plane::Actual)
            .map(|one| (one.wanted.digest, one.wanted.offset))
            .collect();
        let chunks: Vec<Chunk> = {
            let state = place.durable.mailbox().lock();
            let mailboxes = &state.exchanges.mailboxes;
            mailboxes.bodies(channel, Plane::Actual, &asked)
        };
        if chunks.is_empty() {
            // A newer snapshot took its place here: that one is brought next.
            wanted.retain(|one| one.channel != channel);
            continue;
        }
        let chunks = chunks.iter().map(|chunk| BodyChunk {
            digest: chunk.digest,
            size: chunk.size,
            offset: chunk.offset,
            bytes: &chunk.bytes,
        });
        let frame = UpFrame::DeliverBodies {
            channel,
            plane: Plane::Actual,
            chunks: chunks.collect(),
        };
        let hints = line.ask(place, &frame, 0, read_hints).await?;
        wanted.retain(|one| one.channel != channel);
        let more = hints.bodies_wanted.into_iter();
        wanted.extend(more.filter(|one| one.channel == channel));
    }
    Ok(())
}
