//! Which exchange is due: the collect beside one work, work in the order of what waits longest for it.
//!
//! Refuses a second exchange of either sort, and a collect before what the last one brought is taken.

use super::outbox::Outbox;
use super::{Context, InFlight, Open, Output, Work, WriterLink};
use crate::frame::{BodyChunk, Collect, Delivery, Item, UpFrame, WantedBody};
use crate::id::ChannelId;
use crate::limits::{BODY_CHUNK_BYTES_MAX, HOLD_S_MAX, PUT_BYTES_MAX};
use crate::session::Request;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Bytes around the bytes of a chunk: array, digest, size, offset, head.
const CHUNK_OVERHEAD_BYTES: usize = 48;
/// Bytes of a deliver-bodies frame for its channel id.
const CHANNEL_BYTES: usize = 17;

impl WriterLink {
    /// Starts whatever is due in an open session.
    pub(super) fn pump(&mut self, context: &Context<'_>) {
        let now_ms = context.now.mono_ms;
        let Some(open) = self.link.open() else {
            return;
        };
        let is_idle = open.collect.is_none() && open.work.is_none();
        if open.session.is_over(now_ms) || (is_idle && open.session.is_renewal_due(now_ms)) {
            return self.disconnect();
        }
        self.ask_late(now_ms);
        if self.refilling.is_none()
            && let Some(channel) = self.outbox.next_refill()
        {
            self.refilling = Some(channel);
            self.outputs.push_back(Output::RefillWanted { channel });
        }
        self.pump_work(now_ms);
        self.pump_collect(now_ms);
    }

    fn pump_work(&mut self, now_ms: u64) {
        let Some(open) = self.link.open_mut() else {
            return;
        };
        if open.work.is_some() || open.work_after_ms > now_ms {
            return;
        }
        // A newer snapshot took the place of the one that they are of.
        let outbox = &self.outbox;
        let is_held = |one: &WantedBody| outbox.rest_of(one.channel, &one.wanted).is_some();
        self.lacking.retain(is_held);
        let next = if let Some((knock, enrolled)) = self.enrolled.front() {
            let frame = UpFrame::DeliverEnrolled {
                knock: *knock,
                enrolled,
            };
            Some((Work::Enrolled, open.session.seal_request(&frame)))
        } else if let Some((channel, chunks)) = next_bodies(&self.lacking, &self.outbox) {
            let frame = UpFrame::DeliverBodies {
                channel,
                plane: crate::id::Plane::Desired,
                chunks,
            };
            Some((Work::Bodies(channel), open.session.seal_request(&frame)))
        } else if let Some((channel, wanted)) = self.fetches.first_key_value() {
            let frame = UpFrame::FetchBodies {
                channel: *channel,
                plane: crate::id::Plane::Actual,
                wanted: wanted.clone(),
            };
            Some((Work::Fetch(*channel), open.session.seal_request(&frame)))
        } else {
            next_deliver(&mut self.outbox, open)
        };
        let Some((work, sealed)) = next else { return };
        match sealed {
            Ok(Request { counter, bytes }) => {
                let exchange = self.exchange(bytes, None);
                if let Some(open) = self.link.open_mut() {
                    open.work = Some((InFlight { exchange, counter }, work));
                }
            }
            // What no peer would take must not stand in the way of all that waits behind it.
            Err(reject) => {
                match work {
                    Work::Enrolled => {
                        self.enrolled.pop_front();
                    }
                    Work::Fetch(channel) => {
                        self.fetches.remove(&channel);
                    }
                    Work::Bodies(_) => self.lacking.clear(),
                    Work::Deliver => {}
                }
                self.give_up(reject);
            }
        }
    }

    fn pump_collect(&mut self, now_ms: u64) {
        let is_taken = self.seen == self.taken;
        let Some(open) = self.link.open_mut() else {
            return;
        };
        if open.collect.is_some() || open.collect_after_ms > now_ms || !is_taken {
            return;
        }
        let Some(seconds) = self.hold_s.take() else {
            return;
        };
        let hold_s = seconds.min(self.hold_s_max).min(HOLD_S_MAX);
        let collect = UpFrame::Collect(Collect {
            hold_s: u16::try_from(hold_s).unwrap_or(u16::MAX),
            store: self.store,
            cursor: self.taken,
        });
        match open.session.seal_request(&collect) {
            Ok(Request { counter, bytes }) => {
                let exchange = self.exchange(bytes, Some(hold_s));
                if let Some(open) = self.link.open_mut() {
                    open.collect = Some(InFlight { exchange, counter });
                    open.collect_since_ms = now_ms;
                }
            }
            Err(reject) => self.give_up(reject),
        }
    }
}

type Sealed = (Work, Result<Request, crate::reject::Reject>);

fn next_deliver(outbox: &mut Outbox, open: &mut Open) -> Option<Sealed> {
    let letters = outbox.take_frame();
    let deliveries: Vec<Delivery<'_>> = letters
        .into_iter()
        .map(|letter| Delivery {
            channel: letter.channel,
            item: Item {
                plane: letter.plane,
                envelope: &letter.envelope,
            },
        })
        .collect();
    if deliveries.is_empty() {
        return None;
    }
    let sealed = open.session.seal_request(&UpFrame::Deliver(deliveries));
    Some((Work::Deliver, sealed))
}

/// Cuts as much of what is lacking as fits into one frame.
fn next_bodies<'a>(
    lacking: &VecDeque<WantedBody>,
    outbox: &'a Outbox,
) -> Option<(ChannelId, Vec<BodyChunk<'a>>)> {
    let channel = lacking.front()?.channel;
    let mut room = PUT_BYTES_MAX - CHANNEL_BYTES;
    let mut chunks = Vec::new();
    for one in lacking.iter().filter(|one| one.channel == channel) {
        let Some(rest) = outbox.rest_of(channel, &one.wanted) else {
            continue;
        };
        let Some(space) = room.checked_sub(CHUNK_OVERHEAD_BYTES + 1) else {
            break;
        };
        let length = rest.bytes.len().min(BODY_CHUNK_BYTES_MAX).min(space + 1);
        let bytes = rest.bytes.get(..length).unwrap_or_default();
        room = room.saturating_sub(CHUNK_OVERHEAD_BYTES + length);
        chunks.push(BodyChunk {
            digest: one.wanted.digest,
            size: rest.size as u64,
            offset: one.wanted.offset,
            bytes,
        });
    }
    (!chunks.is_empty()).then_some((channel, chunks))
}
