//! Enrolments of devices at this relay, carried on to the upstream as they came.
//!
//! The same bytes find the same knock there, so asking again is harmless; what comes back answers the knock
//! here. Refuses more than a few at a time, and to believe what it carries: the device verifies its answer.

use super::limits::{ENDED_MAX, ENROL_HOLD_S, ENROLMENTS_MAX};
use super::{Carry, Place};
use crate::durable::Durable;
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, FrameType, PlainFrame, frame_type};
use postern_protocol::id::TenantId;
use postern_protocol::revision::Knock;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Milliseconds before an enrolment is asked for again when the upstream does not say.
const AGAIN_MS: u64 = 1_000;

type Asked = (Knock, Vec<u8>);

/// Enrolments under way; outlives sessions.
#[derive(Debug)]
pub(super) struct Enrolments {
    known: Mutex<BTreeSet<Knock>>,
    asked: mpsc::Sender<Asked>,
    queue: tokio::sync::Mutex<mpsc::Receiver<Asked>>,
}

impl Default for Enrolments {
    fn default() -> Self {
        let (asked, queue) = mpsc::channel(ENROLMENTS_MAX);
        Self {
            known: Mutex::default(),
            asked,
            queue: tokio::sync::Mutex::new(queue),
        }
    }
}

impl Enrolments {
    fn known(&self) -> MutexGuard<'_, BTreeSet<Knock>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries an enrolment on, unless it is under way or has ended. Beyond the bound it has to knock again.
    pub(super) fn carry_on(&self, knock: Knock, frame: &[u8]) {
        let mut known = self.known();
        if known.contains(&knock) {
            return;
        }
        if self.asked.try_send((knock, frame.to_vec())).is_err() {
            warn!("too many enrolments wait for the upstream: one has to ask again");
            return;
        }
        if known.len() >= ENDED_MAX {
            known.pop_first();
        }
        known.insert(knock);
    }

    /// Carries enrolments on, a few at a time, for ever.
    pub(super) async fn run(&self, place: &Place) -> Infallible {
        let mut queue = self.queue.lock().await;
        let mut under_way: JoinSet<Knock> = JoinSet::new();
        loop {
            let may_take = under_way.len() < ENROLMENTS_MAX;
            tokio::select! {
                Some((knock, frame)) = queue.recv(), if may_take => {
                    let (carry, durable) = (Arc::clone(&place.carry), Arc::clone(&place.durable));
                    under_way.spawn(async move {
                        enrol(carry.as_ref(), &durable, knock, frame).await;
                        knock
                    });
                }
                Some(_ended) = under_way.join_next(), if !under_way.is_empty() => {}
                else => std::future::pending::<()>().await,
            }
        }
    }
}

/// Asks until there is an answer, or nobody waits for it here any more.
async fn enrol(carry: &dyn Carry, durable: &Durable, knock: Knock, frame: Vec<u8>) {
    let mut failures: u32 = 0;
    while durable.has_knock(knock) {
        let pause = match carry.carry(frame.clone(), ENROL_HOLD_S).await {
            Err(error) => {
                failures = failures.saturating_add(1);
                carry.pause(failures, error.retry_after_s)
            }
            Ok(answer) if frame_type(&answer) == Ok(FrameType::Enrolled) => {
                return pass_on(durable, knock, &answer);
            }
            Ok(answer) => match pending_ms(&answer) {
                Some(retry_ms) => Duration::from_millis(retry_ms),
                None => return pass_on(durable, knock, &answer),
            },
        };
        tokio::time::sleep(pause).await;
    }
}

/// Gives the knock here what the upstream answered. It speaks for the writers of all tenants: whom of them it asked,
/// only it can tell.
fn pass_on(durable: &Durable, knock: Knock, answer: &[u8]) {
    let tenants: Vec<TenantId> = durable.ledger().tenants().keys().copied().collect();
    for tenant in tenants {
        match durable.answer_knock(tenant, knock, answer.to_vec()) {
            Ok(()) => info!(%tenant, "an enrolment was answered by way of the upstream"),
            Err(reason) => warn!(%reason, "the answer to an enrolment is not passed on"),
        }
    }
}

/// When to ask again; `None` when it was refused for good.
fn pending_ms(answer: &[u8]) -> Option<u64> {
    let (code, retry_ms) = match PlainFrame::decode(answer, Direction::Down) {
        Ok(PlainFrame::Refused { code, retry_ms }) => (code, retry_ms),
        Ok(_) | Err(_) => (Reject::Shape.code(), None),
    };
    let reject = Reject::from_code(code.into());
    if let Some(Reject::EnrolPending | Reject::Overloaded) = reject {
        return Some(retry_ms.unwrap_or_default().max(AGAIN_MS));
    }
    let reason = reject.map_or("unknown", Reject::as_str);
    warn!(reason, "the upstream refused an enrolment");
    None
}
