//! What limits mean for a writer: its own apply, those of devices do not, and nobody else feels it.
//!
//! Refuses to measure: a rate that gives one exchange shows where it is asked.

use super::site::{Door, Place, admission, channel, report};
use postern_protocol::Reject;
use postern_protocol::frame::{Delivery, Item, UpFrame};
use postern_protocol::id::Plane;
use postern_protocol::session::ClientSession;
use postern_relay::limiter::{Guard, Rate};
use postern_relay::server::ServerLimits;

/// A rate that gives `burst` and then nothing while a test runs.
const fn only(burst: u32) -> Rate {
    Rate { burst, per_s: 1 }
}

async fn deliver_admission(
    relay: &super::site::Running,
    writer: &mut ClientSession,
    number: u64,
) -> Result<(), u16> {
    let envelope = admission(number, |_| {});
    let item = Item {
        plane: None,
        envelope: &envelope,
    };
    let delivery = Delivery {
        channel: Some(channel().id()),
        item,
    };
    let asked = relay.ask(writer, &UpFrame::Deliver(vec![delivery])).await;
    asked.map(|_| ())
}

async fn check_writer_limit(door: Door, limits: ServerLimits, guard: Guard) {
    let place = Place::with(door, limits);
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    for number in 2..4 {
        let late = deliver_admission(&relay, &mut writer, number).await;
        assert_eq!(late, Err(Reject::Overloaded.code()), "{guard:?}");
    }
    let metrics = relay.relay.mailbox().metrics();
    assert_eq!(metrics.limits_hit(guard), 2, "{guard:?}");
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let mut other = relay.other_writer(3).await;
    let (_, entries) = relay.collect(&mut other, 0, (0, 0)).await;
    assert_eq!(entries, []);
}

#[tokio::test]
async fn writer_beyond_a_limit_is_told_to_come_later_and_others_are_not() {
    for door in [Door::Https, Door::Quic] {
        let limits = ServerLimits {
            writer_messages: only(1),
            ..ServerLimits::default()
        };
        check_writer_limit(door, limits, Guard::WriterMessages).await;
    }
    let limits = ServerLimits {
        writer_bytes: only(1),
        ..ServerLimits::default()
    };
    check_writer_limit(Door::Https, limits, Guard::WriterBytes).await;
}

#[tokio::test]
async fn writer_does_not_use_up_what_devices_may() {
    let limits = ServerLimits {
        device_messages: only(1),
        device_bytes: only(1),
        tenant_messages: only(1),
        tenant_bytes: only(1),
        ..ServerLimits::default()
    };
    let relay = Place::with(Door::Https, limits).start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    for number in 2..6 {
        let delivered = deliver_admission(&relay, &mut writer, number).await;
        assert_eq!(delivered, Ok(()));
    }
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let item = Item {
        plane: Some(Plane::Actual),
        envelope: &report(2),
    };
    let late = relay.ask(&mut device, &UpFrame::Post(vec![item])).await;
    assert_eq!(late.map(|_| ()), Err(Reject::Overloaded.code()));
}
