//! What a relay, a foreign tenant, an old key and a withdrawn device cannot do.
//!
//! Each refusal has its name, and changes nothing.

use super::site::{
    LIFE, Place, admission, channel, content, delta, device, genesis, mailbox, next_bundle, pinned,
    report, seal_by, signer, snapshot, tenant, writer,
};
use postern_protocol::Reject;
use postern_protocol::admission::AdmissionStatus;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::frame::{Collect, Delivery, Item, Poll, UpFrame};
use postern_protocol::id::{ChannelId, Incarnation, Plane};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{ArrivalNumber, BundleNumber, Generation, Revision, StoreEpoch};
use postern_protocol::session::Identity;
use postern_protocol::trust::Writership;

const DESIRED: Option<Plane> = Some(Plane::Desired);

#[tokio::test]
async fn deliveries_that_a_writer_may_not_make_are_refused_by_name() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    let id = Some(channel().id());
    let before = relay
        .deliver(&mut writer, &[(id, DESIRED, delta(Role::Writer, 2))])
        .await;
    assert_eq!(before.0, [(0, Reject::NotAdmitted.code())]);
    relay.admit(&mut writer).await;
    let stranger = seal_by(
        &signer(9),
        Role::Writer,
        MessageKind::ReportAck,
        [1, 1, 0],
        vec![0x80],
    );
    let another_place = ChannelId::from_bytes([1; 16]);
    let items = [
        (id, DESIRED, stranger),
        (id, Some(Plane::Actual), snapshot(Role::Writer, 1, &[])),
        (id, Some(Plane::Actual), report(1)),
        (id, None, admission(1, |one| one.quota_bytes = 1)),
        (Some(another_place), None, admission(2, |_| {})),
        (None, None, admission(2, |_| {})),
        (id, DESIRED, delta(Role::Writer, 2)),
    ];
    let (refused, _) = relay.deliver(&mut writer, &items).await;
    let expected = [
        Reject::KeyUnknown,
        Reject::PlaneMismatch,
        Reject::SignerRole,
        Reject::Equivocation,
        Reject::NotAdmitted,
        Reject::SignerRole,
        Reject::NothingStored,
    ];
    let expected: Vec<(u32, u16)> = (0..).zip(expected.map(Reject::code)).collect();
    assert_eq!(refused, expected);
    let mut other = relay.other_writer(2).await;
    let foreign = [
        (id, DESIRED, snapshot(Role::Writer, 1, &[])),
        (id, None, admission(3, |_| {})),
    ];
    let (refused, _) = relay.deliver(&mut other, &foreign).await;
    let codes = [Reject::NotAdmitted.code(), Reject::KeyUnknown.code()];
    assert_eq!(refused, (0..).zip(codes).collect::<Vec<_>>());
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn withdrawn_device_is_closed_and_a_new_life_begins_with_nothing() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let id = Some(channel().id());
    let withdrawal = admission(2, |one| one.status = AdmissionStatus::Withdrawn);
    assert_eq!(
        relay
            .deliver(&mut writer, &[(id, None, withdrawal)])
            .await
            .0,
        []
    );
    let poll = UpFrame::Poll(Poll {
        hold_s: 0,
        bundle: BundleNumber::new(1),
        acked: None,
        desired: Revision::NONE,
        actual: None,
        receipt: None,
    });
    let closed = relay.ask(&mut device, &poll).await;
    assert_eq!(closed.map(|_| ()), Err(Reject::SessionUnknown.code()));
    let refused = relay.try_device(3).await.map(|_| ());
    assert_eq!(refused, Err(Reject::NotAdmitted.code()));
    let stale = relay
        .deliver(&mut writer, &[(id, None, admission(1, |_| {}))])
        .await;
    assert_eq!(stale.0, [(0, Reject::AdmissionStale.code())]);
    let next = admission(3, |one| one.incarnation = Incarnation::from_bytes([8; 16]));
    assert_eq!(relay.deliver(&mut writer, &[(id, None, next)]).await.0, []);
    let old_life = relay.try_device(4).await.map(|_| ());
    assert_eq!(old_life, Err(Reject::SignatureInvalid.code()));
    assert_eq!(relay.collect(&mut writer, 0, (0, 0)).await.1, []);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn writer_whose_key_a_bundle_replaced_is_closed_and_refused() {
    let place = Place::new();
    let relay = place.start();
    let mut old = relay.writer(1).await;
    relay.admit(&mut old).await;
    let mut next = content();
    let writership = Writership {
        generation: Generation::new(2),
        key: signer(14).public_key().clone(),
    };
    next.writers.insert(tenant("acme"), writership);
    next.revoked.insert(writer().public_key().thumbprint());
    let forged = next.seal(None, genesis(), &signer(9)).unwrap().into_bytes();
    let items = [(None, None, forged), (None, None, next_bundle(&next))];
    let frame = deliver_frame(&items);
    // The session ends with the bundle that ends its key: the delivery is taken all the same.
    let _cut = relay.ask(&mut old, &frame).await;
    let again = relay.ask(&mut old, &frame).await.map(|_| ());
    assert_eq!(again, Err(Reject::SessionUnknown.code()));
    let (name, key) = (tenant("acme"), writer());
    let identity = Identity::writer(genesis(), &name, &key);
    let refused = relay.try_open(identity, 2).await.map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown.code()));
    let key = signer(14);
    let identity = Identity::writer(genesis(), &name, &key);
    let mut new = relay.try_open(identity, 3).await.unwrap();
    assert_eq!(new.bundle(), BundleNumber::new(2));
    assert_eq!(relay.collect(&mut new, 0, (0, 0)).await.1, []);
    assert_eq!(relay.relay.stats().bundle, BundleNumber::new(2));
    relay.relay.shutdown(100).await;
}

fn deliver_frame(items: &[(Option<ChannelId>, Option<Plane>, Vec<u8>)]) -> UpFrame<'_> {
    let deliveries = items.iter().map(|(channel, plane, envelope)| Delivery {
        channel: *channel,
        item: Item {
            plane: *plane,
            envelope,
        },
    });
    UpFrame::Deliver(deliveries.collect())
}

#[tokio::test]
async fn frames_of_the_other_end_are_refused_in_a_session() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    let collect = UpFrame::Collect(Collect {
        hold_s: 0,
        store: StoreEpoch::new(0),
        cursor: ArrivalNumber::new(0),
    });
    let wrong = Err(Reject::SessionRole.code());
    assert_eq!(relay.ask(&mut device, &collect).await.map(|_| ()), wrong);
    let need = UpFrame::Need {
        plane: Plane::Desired,
        held: Revision::NONE,
    };
    assert_eq!(relay.ask(&mut writer, &need).await.map(|_| ()), wrong);
    // Neither key opens the other's kind of session.
    let (name, key) = (tenant("acme"), signer(6));
    let identity = Identity::writer(genesis(), &name, &key);
    let refused = relay.try_open(identity, 5).await.map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown.code()));
    relay.relay.shutdown(100).await;
}

#[test]
fn what_a_relay_signs_counts_as_nothing_that_others_sign() {
    let (channel, relay) = (channel(), mailbox());
    let binding = Binding::Device {
        channel: &channel,
        incarnation: LIFE,
    };
    for kind in MessageKind::ALL {
        for (role, plane) in kind.rows() {
            let is_own = *role == Role::Mailbox;
            let claimed = kind.check_signer(Role::Mailbox, *plane);
            assert!(is_own || claimed.is_err() || kind == MessageKind::SessionHello);
        }
    }
    // Even where it writes the header of another, its key is not the one that is expected.
    let cases = [
        (
            Role::Writer,
            MessageKind::Delta,
            [1, 2, 1],
            DESIRED,
            writer(),
        ),
        (
            Role::Writer,
            MessageKind::ReportAck,
            [1, 1, 0],
            DESIRED,
            writer(),
        ),
        (
            Role::Device,
            MessageKind::Report,
            [1, 1, 0],
            Some(Plane::Actual),
            device(),
        ),
    ];
    for (role, kind, numbers, plane, expected_key) in cases {
        let minted = seal_by(&relay, role, kind, numbers, vec![0x80]);
        let received = ReceivedEnvelope::parse(&minted).unwrap();
        let expected = Expected { role, plane };
        let verified = received.verify(expected, binding, [expected_key.public_key()], |_| false);
        assert_eq!(verified.map(|_| ()), Err(Reject::KeyUnknown));
    }
    let minted = content().seal(None, genesis(), &relay).unwrap();
    let refused = pinned().offer(minted.as_bytes());
    assert_eq!(refused, Err(Reject::BundleRoot));
}
