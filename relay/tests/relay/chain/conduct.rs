//! What neighbours of a relay cannot do, and what it does when one of them fails or has lost its store.
//!
//! Either neighbour may lie: it can delay and drop, and nothing else.

use super::*;

//= spec/relays.md#chains type=test
//# A mailbox MUST admit as a mailbox only a key that its bundle names and does not revoke, and not its own.
#[tokio::test]
async fn mailbox_that_the_bundle_does_not_name_is_not_admitted() {
    let relay = Place::new().start();
    for stranger in [99, 4, 6] {
        let refused = as_mailbox(&relay, stranger, 1).await;
        assert_eq!(
            refused.err(),
            Some(Reject::NotAdmitted.code()),
            "{stranger}"
        );
    }
    let own = as_mailbox(&relay, MAILBOX, 2).await;
    assert_eq!(own.err(), Some(Reject::NotAdmitted.code()), "itself");
    assert!(as_mailbox(&relay, PLANT, 3).await.is_ok());
}

//= spec/relays.md#chains type=test
//# A mailbox MUST refuse frame 12 in a session that a mailbox opened with `session-role`.
#[tokio::test]
async fn mailbox_may_answer_no_enrolment_and_ask_nothing_as_a_device() {
    let relay = Place::new().start();
    let mut session = as_mailbox(&relay, PLANT, 1).await.unwrap();
    let frame = UpFrame::DeliverEnrolled {
        knock: Knock::new(1),
        enrolled: &[1],
    };
    let refused = relay.ask(&mut session, &frame).await;
    assert_eq!(refused.err(), Some(Reject::SessionRole.code()));
    let posted = report(1);
    let items = vec![Item {
        plane: ACTUAL,
        envelope: &posted,
    }];
    let mut session = as_mailbox(&relay, PLANT, 2).await.unwrap();
    let refused = relay.ask(&mut session, &UpFrame::Post(items)).await;
    assert_eq!(refused.err(), Some(Reject::SessionRole.code()));
}

//= spec/relays.md#chains type=test
//# A mailbox MUST judge each envelope that another mailbox brings by its signature alone, as a post of the device
//# that the channel names.
#[tokio::test]
async fn downstream_relay_forges_no_post() {
    let relay = Place::new().start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut session = as_mailbox(&relay, PLANT, 2).await.unwrap();
    let by = |key: u8, role, kind| seal_by(&signer(key), role, kind, [1, 1, 0], vec![0x80]);
    let own = channel().id();
    let other = ChannelId::from_bytes([1; 16]);
    let cases = [
        (
            own,
            ACTUAL,
            by(PLANT, Role::Device, MessageKind::Report),
            Reject::KeyUnknown,
        ),
        (
            own,
            DESIRED,
            by(4, Role::Writer, MessageKind::ReportAck),
            Reject::SignerRole,
        ),
        (
            own,
            ACTUAL,
            by(PLANT, Role::Mailbox, MessageKind::Receipt),
            Reject::SignerRole,
        ),
        (other, ACTUAL, report(1), Reject::NotAdmitted),
        (own, DESIRED, report(1), Reject::PlaneMismatch),
    ];
    let items: Vec<_> = cases
        .iter()
        .map(|(channel, plane, bytes, _)| (Some(*channel), *plane, bytes.clone()))
        .collect();
    let (refused, _) = relay.deliver(&mut session, &items).await;
    let expected: Vec<(u32, u16)> = (0..)
        .zip(&cases)
        .map(|(at, (.., reject))| (at, reject.code()))
        .collect();
    assert_eq!(refused, expected);
    let tampered = {
        let mut bytes = report(1);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        (Some(own), ACTUAL, bytes)
    };
    let bundle = (None, None, first_bundle());
    let (refused, _) = relay.deliver(&mut session, &[tampered, bundle]).await;
    let expected = [
        (0, Reject::SignatureInvalid.code()),
        (1, Reject::SignerRole.code()),
    ];
    assert_eq!(refused, expected);
    let (_, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    assert_eq!(entries, [], "nothing of it was taken");
    let (refused, _) = relay
        .deliver(&mut session, &[(Some(own), ACTUAL, report(1))])
        .await;
    assert_eq!(refused, []);
}

/// The session's tag stands for what a writer delivers: so its relay can be brought to hold, and to show downstream,
/// what nobody signed.
//= spec/relays.md#chains type=test
//# A relay MUST verify each envelope that its upstream shows, as if it had come over an untrusted way.
#[tokio::test]
async fn upstream_relay_forges_no_state() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    chain.enterprise.admit(&mut writer).await;
    let mut device = device_at(&chain.cell).await;
    let mut forged = seal(Role::Writer, MessageKind::ReportAck, [1, 1, 0], vec![0x80]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let id = Some(channel().id());
    let refused = chain
        .enterprise
        .deliver(&mut writer, &[(id, DESIRED, forged.clone())])
        .await;
    assert_eq!(
        refused,
        (Vec::new(), 0),
        "the tag of the session stands for it there"
    );
    let state = bring_state(&chain.enterprise, &mut writer, &[]).await;
    polled(&chain.cell, &mut device, std::slice::from_ref(&state)).await;
    let (_, plant) = chain.plant.relay.upstream().unwrap();
    assert_eq!(plant.refused, 1, "{plant:?}");
    let (_, cell) = chain.cell.relay.upstream().unwrap();
    assert_eq!(cell.refused, 0, "it never came so far");
}

//= spec/relays.md#chains type=test
//# A relay whose upstream names another store epoch than before MUST bring everything that it holds again.
#[tokio::test]
async fn plant_that_lost_its_store_is_filled_from_both_sides() {
    let place = Place::new();
    let enterprise = Arc::new(place.start());
    let (old, new) = (Hop::new(PLANT, MAILBOX), Hop::new(PLANT, MAILBOX));
    let plant = old.start(&enterprise);
    let cell_hop = Hop::new(CELL, PLANT);
    let cell = cell_hop.start(&plant);
    let mut writer = enterprise.writer(1).await;
    enterprise.admit(&mut writer).await;
    let mut device = device_at(&cell).await;
    assert_eq!(cell.post(&mut device, &[report(1)]).await, []);
    collected(&enterprise, &mut writer, &report(1)).await;
    // The plant's relay goes, and another one with the same key and an empty store takes its place.
    cell_hop.way.lead(None);
    // Two with one key would end each other's session at the enterprise again and again.
    drop(plant);
    let plant = new.start(&enterprise);
    cell_hop.way.lead(Some(&plant));
    assert_eq!(cell.post(&mut device, &[report(2)]).await, []);
    collected(&enterprise, &mut writer, &report(2)).await;
    let state = bring_state(&enterprise, &mut writer, &[vec![0xa0; 300]]).await;
    polled(&cell, &mut device, std::slice::from_ref(&state)).await;
}

//= spec/relays.md#chains type=test
//# A relay MUST NOT acknowledge for a writer what its upstream has not answered for.
#[tokio::test]
async fn cell_that_was_cut_off_catches_up() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    chain.enterprise.admit(&mut writer).await;
    let mut device = device_at(&chain.cell).await;
    let (_, _, hop) = &chain._places;
    hop.way.lead(None);
    let state = bring_state(&chain.enterprise, &mut writer, &[]).await;
    assert_eq!(chain.cell.post(&mut device, &[report(1)]).await, []);
    let tenant = TenantId::of(genesis(), &tenant("acme"));
    let account = chain.cell.relay.durable().account(tenant);
    assert_eq!(
        (account.arrivals, account.cursor),
        (1, 0),
        "kept, not acknowledged"
    );
    hop.way.lead(Some(&chain.plant));
    polled(&chain.cell, &mut device, std::slice::from_ref(&state)).await;
    collected(&chain.enterprise, &mut writer, &report(1)).await;
    let (_, stats) = chain.cell.relay.upstream().unwrap();
    assert!(stats.is_open, "{stats:?}");
    until("what was taken further on is acknowledged", || async {
        let account = chain.cell.relay.durable().account(tenant);
        (account.cursor == 1).then_some(())
    })
    .await;
}

//= spec/relays.md#chains type=test
//# A relay MUST NOT count an envelope that it holds already as a new arrival.
#[tokio::test]
async fn relays_that_dial_each_other_pass_an_envelope_once() {
    let (one, two) = (Hop::new(MAILBOX, PLANT), Hop::new(PLANT, MAILBOX));
    let mut first = one.place.start();
    first.relay.dial(UpstreamConfig {
        key: signer(PLANT).public_key().clone(),
        carry: Arc::clone(&one.way) as Arc<dyn Carry>,
    });
    let first = Arc::new(first);
    let second = two.start(&first);
    one.way.lead(Some(&second));
    let mut writer = first.writer(1).await;
    first.admit(&mut writer).await;
    let mut device = device_at(&second).await;
    assert_eq!(second.post(&mut device, &[report(1)]).await, []);
    collected(&first, &mut writer, &report(1)).await;
    let state = bring_state(&first, &mut writer, &[]).await;
    polled(&second, &mut device, std::slice::from_ref(&state)).await;
    // A second report has the next number on either side: the first was not counted again.
    assert_eq!(second.post(&mut device, &[report(2)]).await, []);
    collected(&first, &mut writer, &report(2)).await;
    for relay in [&first, &second] {
        let mut own = relay.writer(9).await;
        let (_, entries) = relay.collect(&mut own, 0, (0, 0)).await;
        assert_eq!(entries, [(2, report(2))]);
    }
    one.way.lead(None);
    two.way.lead(None);
}

#[tokio::test]
async fn mailbox_is_shown_what_writers_brought_and_nothing_of_devices() {
    let relay = Place::new().start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let state = bring_state(&relay, &mut writer, &[]).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let mut session = as_mailbox(&relay, PLANT, 3).await.unwrap();
    let (store, entries) = relay.collect(&mut session, 0, (0, 0)).await;
    let envelopes: Vec<Vec<u8>> = entries.iter().map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(envelopes, [first_bundle(), admission(1, |_| {}), state]);
    assert_ne!(store, 0);
    // A cursor that was never counted here is none.
    let (_, again) = relay.collect(&mut session, 0, (store, 1_000)).await;
    assert_eq!(again, entries);
    let frame = UpFrame::FetchBodies {
        channel: channel().id(),
        plane: Plane::Actual,
        wanted: vec![Wanted {
            digest: Digest::of(b"x"),
            offset: 0,
        }],
    };
    let refused = relay.ask(&mut session, &frame).await;
    assert_eq!(refused.err(), Some(Reject::NotAdmitted.code()));
}
