//! The requests of devices from their step to the bytes of their answer.
//!
//! A poll waits until there is news; what a device posts or puts is answered only after the host,
//! item by item. Refuses to answer a post that the host did not take.

use super::answer::{Answerer, Asker, Parking};
use super::clock::after_ms;
use super::host::{Host, HostAnswer, Taken};
use super::host_queue::Caller;
use super::mailbox::Taking;
use super::random;
use crate::budget::Work;
use crate::exchange::{Held, Post, Put};
use crate::limits::{BEAT_WAIT_MS_MAX, DRAIN_RETRY_MS_BASE, HOST_ANSWER_MS_MAX, RETRY_MS_BASE};
use postern_protocol::Reject;
use postern_protocol::frame::Wanted;
use postern_protocol::id::{ChannelId, Plane};
use postern_protocol::limits::FETCH_DIGESTS_MAX;

impl Answerer {
    pub(super) async fn answer_poll(
        &self,
        held: &Held,
        caller: Caller,
        parked: Parking,
    ) -> Result<Vec<u8>, Reject> {
        let is_refused = match parked {
            Parking::Parked(place, woken) => !self.wait_counted(held.until_ms, place, woken).await,
            Parking::NotAsked => false,
            Parking::Full => true,
        };
        let is_pressed = self.budget.pressure().refuses(Work::Bulk);
        if !is_refused && !is_pressed && self.asks_heartbeat(held) {
            let deadline = after_ms(BEAT_WAIT_MS_MAX);
            let channel = held.channel;
            // Without a heartbeat the answer is idle as before.
            let _ = self
                .ask_host(caller, deadline, |host| host.heartbeat_wanted(channel))
                .await;
        }
        self.release(held, is_refused)
    }

    fn asks_heartbeat(&self, held: &Held) -> bool {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        !state.is_draining && state.exchanges.ask_heartbeat(held, now_ms)
    }

    fn release(&self, held: &Held, is_refused: bool) -> Result<Vec<u8>, Reject> {
        let now_ms = self.mailbox.clock().now_ms();
        let mut state = self.mailbox.lock();
        let retry_ms = if state.is_draining {
            let least = state.leaving_retry_ms.unwrap_or_default();
            Some(least.saturating_add(random::retry_ms(DRAIN_RETRY_MS_BASE)))
        } else if is_refused {
            Some(random::retry_ms(RETRY_MS_BASE))
        } else {
            None
        };
        if state.is_draining {
            state.exchanges.release_elsewhere(held, now_ms, retry_ms)
        } else {
            state.exchanges.release(held, now_ms, retry_ms)
        }
    }

    pub(super) async fn answer_post(
        &self,
        asker: Asker,
        caller: Caller,
        mut post: Post,
        taking: Taking,
    ) -> Result<Vec<u8>, Reject> {
        let channel = post.channel();
        let mut refused = std::mem::take(&mut post.refused);
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut wants_snapshot = false;
        // One deadline for the whole post: a slow host costs the device one wait, not one per item.
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let mut items = std::mem::take(&mut post.items);
        let posted: Vec<(Option<Plane>, Vec<u8>)> = items
            .iter_mut()
            .map(|item| (item.plane, std::mem::take(&mut item.envelope)))
            .collect();
        //= spec/postern.md#post
        //# A mailbox MUST commit an item durably before it answers.
        let taken = self
            .ask_host(caller, deadline, |host| {
                take_in_order(host, channel, posted)
            })
            .await;
        let taken = taken.unwrap_or_else(|reject| vec![Err(reject); items.len()]);
        for (item, taken) in items.iter().zip(taken) {
            match taken {
                Ok(taken) => {
                    post.note_taken(item);
                    wants_snapshot |= taken.wants_snapshot;
                    // An answer asks for few bodies; what a host wants beyond them waits.
                    wanted.extend(taken.wanted.into_iter().take(FETCH_DIGESTS_MAX));
                }
                Err(reject) => refused.push((item.index, reject)),
            }
        }
        refused.sort_unstable_by_key(|(index, _)| *index);
        let mut retry_ms = None;
        for (_, reject) in &refused {
            self.tell_reject(asker, *reject);
            if matches!(reject, Reject::Overloaded | Reject::Quota) {
                retry_ms = Some(random::retry_ms(RETRY_MS_BASE));
            }
        }
        let answer = {
            let mut state = self.mailbox.lock();
            let exchanges = &mut state.exchanges;
            exchanges.answer_post(&post, &refused, &wanted, wants_snapshot, retry_ms)
        };
        drop(taking);
        answer
    }

    pub(super) async fn answer_put(
        &self,
        caller: Caller,
        mut put: Put,
        taking: Taking,
    ) -> Result<Vec<u8>, Reject> {
        let (channel, plane) = (put.channel(), put.plane);
        let chunks = std::mem::take(&mut put.chunks);
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let taken = self
            .ask_host(caller, deadline, |host| host.put(channel, plane, chunks))
            .await?;
        let answer = {
            let mut state = self.mailbox.lock();
            state.exchanges.answer_put(&put, &taken.wanted)
        };
        drop(taking);
        answer
    }
}

/// Hands the items of a post to the host, all before the first is answered, so that one commit can
/// hold them; each is answered in its place.
fn take_in_order(
    host: &dyn Host,
    channel: ChannelId,
    posted: Vec<(Option<Plane>, Vec<u8>)>,
) -> HostAnswer<Vec<Result<Taken, Reject>>> {
    let posted = posted.into_iter();
    let works: Vec<_> = posted
        .map(|(plane, envelope)| host.posted(channel, plane, envelope))
        .collect();
    Box::pin(async move {
        let mut taken = Vec::new();
        for work in works {
            taken.push(work.await);
        }
        Ok(taken)
    })
}
