//! The requests of writers from their step to the bytes of their answer.
//!
//! A collect waits like a poll; what a writer brings is answered only after the host. Refuses to
//! answer a delivery that the host did not take.

use super::answer::{Answerer, Asker, Parking};
use super::clock::after_ms;
use super::host_queue::Caller;
use super::random;
use crate::exchange::{
    Bodies, Collecting, Collector, Deliver, Delivered, Enrolled, WriterAsked, WriterStep,
};
use crate::limits::{DRAIN_RETRY_MS_BASE, HOST_ANSWER_MS_MAX, RETRY_MS_BASE};
use postern_protocol::Reject;

impl Answerer {
    pub(super) async fn answer_writer(
        &self,
        asker: Asker,
        step: WriterStep,
        parked: Parking,
    ) -> Result<Vec<u8>, Reject> {
        match step {
            WriterStep::Collect(collecting) => self.answer_collect(&collecting, parked).await,
            WriterStep::Deliver(deliver) => self.answer_delivery(asker, deliver).await,
            WriterStep::Bodies(bodies) => self.answer_bodies(asker, bodies).await,
            WriterStep::Enrolled(enrolled) => self.answer_enrolled(asker, enrolled).await,
        }
    }

    async fn answer_collect(
        &self,
        collecting: &Collecting,
        parked: Parking,
    ) -> Result<Vec<u8>, Reject> {
        let held = &collecting.held;
        // What a mailbox collects is acknowledged by the devices that read it there.
        if let Collector::Writer(tenant) = held.asked.collector {
            self.host.read_to(tenant, collecting.read_to);
        }
        let is_refused = match parked {
            Parking::Parked(place, woken) => !self.wait_counted(held.until_ms, place, woken).await,
            Parking::NotAsked => false,
            Parking::Full => true,
        };
        let state = self.mailbox.lock();
        let retry_ms = if state.is_draining {
            Some(random::retry_ms(DRAIN_RETRY_MS_BASE))
        } else if is_refused {
            Some(random::retry_ms(RETRY_MS_BASE))
        } else {
            None
        };
        state.exchanges.release_collect(held, retry_ms)
    }

    async fn answer_delivery(&self, asker: Asker, deliver: Deliver) -> Result<Vec<u8>, Reject> {
        let Deliver { asked, items } = deliver;
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let delivered = self
            .ask_host(
                Caller::Collector(asked.collector),
                deadline,
                |host| match asked.collector {
                    Collector::Writer(tenant) => host.delivered(tenant, items),
                    Collector::Mailbox(_) => host.carried(items),
                },
            )
            .await?;
        self.answer_delivered(asker, asked, &delivered)
    }

    async fn answer_bodies(&self, asker: Asker, bodies: Bodies) -> Result<Vec<u8>, Reject> {
        let Bodies {
            asked,
            channel,
            plane,
            chunks,
        } = bodies;
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let delivered = self
            .ask_host(
                Caller::Collector(asked.collector),
                deadline,
                |host| match asked.collector {
                    Collector::Writer(tenant) => {
                        host.delivered_bodies(tenant, channel, plane, chunks)
                    }
                    Collector::Mailbox(_) => host.carried_bodies(channel, plane, chunks),
                },
            )
            .await?;
        self.answer_delivered(asker, asked, &delivered)
    }

    async fn answer_enrolled(&self, asker: Asker, enrolled: Enrolled) -> Result<Vec<u8>, Reject> {
        let Enrolled {
            asked,
            tenant,
            knock,
            frame,
        } = enrolled;
        let deadline = after_ms(HOST_ANSWER_MS_MAX);
        let taken = self
            .ask_host(Caller::Collector(asked.collector), deadline, |host| {
                host.enrolled(tenant, knock, frame)
            })
            .await;
        // In its session: outside of it nobody's word counts, and the writer would say it for ever.
        let refused = taken.err().map(|reject| (0, reject));
        let delivered = Delivered {
            refused: refused.into_iter().collect(),
            ..Delivered::default()
        };
        self.answer_delivered(asker, asked, &delivered)
    }

    fn answer_delivered(
        &self,
        asker: Asker,
        asked: WriterAsked,
        delivered: &Delivered,
    ) -> Result<Vec<u8>, Reject> {
        let mut retry_ms = None;
        for (_, reject) in &delivered.refused {
            self.tell_reject(asker, *reject);
            if matches!(reject, Reject::Overloaded | Reject::Quota) {
                retry_ms = Some(random::retry_ms(RETRY_MS_BASE));
            }
        }
        let state = self.mailbox.lock();
        state.exchanges.answer_deliver(asked, delivered, retry_ms)
    }
}
