//! Relays behind relays: a cell's dials the plant's, the plant's dials the enterprise's, a controller dials that.
//!
//! Each is a whole relay on loopback; only the way between them is the test's, so that it can be cut and lie.

use super::site::{
    CELL, MAILBOX, PLANT, Place, Running, admission, channel, delta, first_bundle, genesis,
    refusal, report, seal, seal_by, signer, snapshot, tenant, whole,
};
use postern_protocol::Reject;
use postern_protocol::admission::AdmissionStatus;
use postern_protocol::frame::{Collect, Item, PlainFrame, UpFrame, Wanted};
use postern_protocol::id::{ChannelId, Digest, Plane, TenantId, TokenId};
use postern_protocol::key::Signer as _;
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{ArrivalNumber, Knock, StoreEpoch};
use postern_protocol::session::{ClientSession, Identity};
use postern_relay::upstream::{Carried, Carry, CarryError, Held, UpstreamConfig};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DESIRED: Option<Plane> = Some(Plane::Desired);
const ACTUAL: Option<Plane> = Some(Plane::Actual);

/// A way that leads to a relay, or nowhere.
#[derive(Default)]
struct Way {
    to: Mutex<Option<Arc<Running>>>,
}

impl Way {
    fn lead(&self, to: Option<&Arc<Running>>) {
        *self.to.lock().unwrap() = to.cloned();
    }
}

impl Carry for Way {
    fn carry(&self, frame: Vec<u8>, _hold_s: u64) -> Carried<'_> {
        let to = self.to.lock().unwrap().clone();
        Box::pin(async move {
            let Some(to) = to else {
                return Err(CarryError {
                    text: "the way is cut".into(),
                    retry_after_s: None,
                });
            };
            Ok(to.exchange(frame).await)
        })
    }

    fn hold_s(&self) -> u64 {
        60
    }

    fn note_held(&self, _held: Held) {}

    fn pause(&self, _failures: u32, _retry_after_s: Option<u64>) -> Duration {
        Duration::from_millis(20)
    }
}

/// A relay with a way to the one that it dials.
struct Hop {
    place: Place,
    way: Arc<Way>,
    upstream: u8,
}

impl Hop {
    fn new(key: u8, upstream: u8) -> Self {
        Self {
            place: Place::keyed(key),
            way: Arc::default(),
            upstream,
        }
    }

    fn start(&self, to: &Arc<Running>) -> Arc<Running> {
        self.way.lead(Some(to));
        let mut running = self.place.start();
        running.relay.dial(UpstreamConfig {
            key: signer(self.upstream).public_key().clone(),
            carry: Arc::clone(&self.way) as Arc<dyn Carry>,
        });
        Arc::new(running)
    }
}

/// Cell, plant and enterprise.
struct Chain {
    enterprise: Arc<Running>,
    plant: Arc<Running>,
    cell: Arc<Running>,
    _places: (Place, Hop, Hop),
}

impl Chain {
    fn start() -> Self {
        let place = Place::new();
        let enterprise = Arc::new(place.start());
        let (plant_hop, cell_hop) = (Hop::new(PLANT, MAILBOX), Hop::new(CELL, PLANT));
        let plant = plant_hop.start(&enterprise);
        let cell = cell_hop.start(&plant);
        Self {
            enterprise,
            plant,
            cell,
            _places: (place, plant_hop, cell_hop),
        }
    }
}

/// Asks again until something is so; each question waits for a while by itself.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn device_at(relay: &Running) -> ClientSession {
    let mut seed = 100;
    until("the admission comes down", || {
        seed += 1;
        async move { relay.try_device(seed).await.ok() }
    })
    .await
}

/// Collects at `relay` until an envelope is there.
async fn collected(relay: &Running, writer: &mut ClientSession, envelope: &[u8]) {
    let writer = tokio::sync::Mutex::new(writer);
    until("the envelope comes up", || async {
        let mut writer = writer.lock().await;
        let (_, entries) = relay.collect(&mut writer, 1, (0, 0)).await;
        entries
            .iter()
            .any(|(_, held)| held == envelope)
            .then_some(())
    })
    .await;
}

/// Polls at `relay` until exactly these envelopes are there.
async fn polled(relay: &Running, device: &mut ClientSession, expected: &[Vec<u8>]) {
    let device = tokio::sync::Mutex::new(device);
    until("the envelopes come down", || async {
        let mut device = device.lock().await;
        let found = relay.poll(&mut device).await;
        (found == expected).then_some(())
    })
    .await;
}

async fn bring_state(relay: &Running, writer: &mut ClientSession, bodies: &[Vec<u8>]) -> Vec<u8> {
    let state = snapshot(Role::Writer, 1, bodies);
    let item = (Some(channel().id()), DESIRED, state.clone());
    assert_eq!(relay.deliver(writer, &[item]).await.1, bodies.len());
    for body in bodies {
        let frame = UpFrame::DeliverBodies {
            channel: channel().id(),
            plane: Plane::Desired,
            chunks: vec![whole(body)],
        };
        relay.ask(writer, &frame).await.unwrap();
    }
    state
}

#[tokio::test]
async fn state_goes_down_two_hops_with_its_bodies_and_changes_follow() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    chain.enterprise.admit(&mut writer).await;
    let bodies = [vec![0xa0; 9_000], vec![0xa1; 70]];
    let state = bring_state(&chain.enterprise, &mut writer, &bodies).await;
    let mut device = device_at(&chain.cell).await;
    polled(&chain.cell, &mut device, std::slice::from_ref(&state)).await;
    let wanted = Wanted {
        digest: Digest::of(&bodies[0]),
        offset: 0,
    };
    let frame = UpFrame::Fetch {
        plane: Plane::Desired,
        wanted: vec![wanted],
    };
    let (counter, answer) = chain.cell.ask(&mut device, &frame).await.unwrap();
    let held = super::site::open_bodies(&device, counter, &answer);
    assert_eq!(held, [whole(&bodies[0])]);
    let change = (Some(channel().id()), DESIRED, delta(Role::Writer, 2));
    chain.enterprise.deliver(&mut writer, &[change]).await;
    polled(&chain.cell, &mut device, &[state, delta(Role::Writer, 2)]).await;
}

#[tokio::test]
async fn posts_go_up_two_hops_with_their_bodies() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    chain.enterprise.admit(&mut writer).await;
    let mut device = device_at(&chain.cell).await;
    let body = vec![0xa0; 40_000];
    let actual = snapshot(Role::Device, 1, std::slice::from_ref(&body));
    assert_eq!(chain.cell.post(&mut device, &[actual.clone()]).await, []);
    for offset in [0, 20_000] {
        let piece = postern_protocol::frame::BodyChunk {
            digest: Digest::of(&body),
            size: body.len() as u64,
            offset,
            bytes: &body[usize::try_from(offset).unwrap()..][..20_000],
        };
        let frame = UpFrame::Put {
            plane: Plane::Actual,
            chunks: vec![piece],
        };
        chain.cell.ask(&mut device, &frame).await.unwrap();
    }
    let posts = [delta(Role::Device, 2), report(1)];
    assert_eq!(chain.cell.post(&mut device, &posts).await, []);
    for envelope in [&actual, &posts[0], &posts[1]] {
        collected(&chain.enterprise, &mut writer, envelope).await;
    }
    let frame = UpFrame::FetchBodies {
        channel: channel().id(),
        plane: Plane::Actual,
        wanted: vec![Wanted {
            digest: Digest::of(&body),
            offset: 0,
        }],
    };
    let (counter, answer) = chain.enterprise.ask(&mut writer, &frame).await.unwrap();
    let held = super::site::open_bodies(&writer, counter, &answer);
    assert_eq!(held[0].size, body.len() as u64);
}

#[tokio::test]
async fn enrolment_at_the_cell_is_answered_from_the_far_end() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    let enrol = PlainFrame::Enrol {
        token: TokenId::from_bytes([9; 8]),
        mac: [8; 32],
        request: &report(7),
    };
    let enrol = enrol.encode().unwrap();
    let (bundle, answer) = (first_bundle(), report(8));
    let answer = PlainFrame::Enrolled {
        bundles: vec![&bundle],
        answer: &answer,
    };
    let answer = answer.encode().unwrap();
    let asking = chain.cell.exchange(enrol.clone());
    let answering = async {
        let knock = knocked(&chain.enterprise, &mut writer, &enrol).await;
        let frame = UpFrame::DeliverEnrolled {
            knock,
            enrolled: &answer,
        };
        chain.enterprise.ask(&mut writer, &frame).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asking, answering);
    let asked = match refusal(&asked) {
        // It was told to ask again: the same frame finds the same knock.
        Some(code) => {
            assert_eq!(code, Reject::EnrolPending.code());
            until("the answer comes down", || async {
                let again = chain.cell.exchange(enrol.clone()).await;
                refusal(&again).is_none().then_some(again)
            })
            .await
        }
        None => asked,
    };
    assert_eq!(asked, answer);
}

#[tokio::test]
async fn enrolment_refused_at_the_far_end_is_refused_at_the_cell() {
    let chain = Chain::start();
    let (mut acme, mut other) = (
        chain.enterprise.writer(1).await,
        chain.enterprise.other_writer(2).await,
    );
    let enrol = PlainFrame::Enrol {
        token: TokenId::from_bytes([9; 8]),
        mac: [8; 32],
        request: &report(7),
    };
    let enrol = enrol.encode().unwrap();
    let refused = PlainFrame::Refused {
        code: Reject::EnrolMac.code(),
        retry_ms: None,
    };
    let refused = refused.encode().unwrap();
    let first = chain.cell.exchange(enrol.clone());
    let answering = async {
        for writer in [&mut acme, &mut other] {
            let knock = knocked(&chain.enterprise, writer, &enrol).await;
            let frame = UpFrame::DeliverEnrolled {
                knock,
                enrolled: &refused,
            };
            chain.enterprise.ask(writer, &frame).await.unwrap();
        }
    };
    let (first, ()) = tokio::join!(first, answering);
    let pending = Reject::EnrolPending.code();
    assert!([pending, Reject::EnrolMac.code()].contains(&refusal(&first).unwrap()));
    until("the refusal comes down", || async {
        let again = chain.cell.exchange(enrol.clone()).await;
        (refusal(&again) == Some(Reject::EnrolMac.code())).then_some(())
    })
    .await;
}

async fn knocked(relay: &Running, writer: &mut ClientSession, enrol: &[u8]) -> Knock {
    let writer = tokio::sync::Mutex::new(writer);
    until("the enrolment comes up", || async {
        let mut writer = writer.lock().await;
        let collect = Collect {
            hold_s: 1,
            store: StoreEpoch::new(0),
            cursor: ArrivalNumber::new(0),
        };
        let frame = UpFrame::Collect(collect);
        let (counter, answer) = relay.ask(&mut writer, &frame).await.unwrap();
        let collected = super::site::open_collected(&writer, counter, &answer);
        collected.entries.iter().find_map(|entry| match entry {
            postern_protocol::frame::Entry::Knock { knock, frame, .. } if *frame == enrol => {
                Some(*knock)
            }
            _ => None,
        })
    })
    .await
}

#[tokio::test]
async fn withdrawn_device_is_refused_at_the_cell() {
    let chain = Chain::start();
    let mut writer = chain.enterprise.writer(1).await;
    chain.enterprise.admit(&mut writer).await;
    let _device = device_at(&chain.cell).await;
    let withdrawn = admission(2, |admission| admission.status = AdmissionStatus::Withdrawn);
    let item = (Some(channel().id()), None, withdrawn);
    chain.enterprise.deliver(&mut writer, &[item]).await;
    let mut seed = 150;
    let code = until("the withdrawal comes down", || {
        seed += 1;
        let cell = &chain.cell;
        async move { cell.try_device(seed).await.err() }
    })
    .await;
    assert_eq!(code, Reject::NotAdmitted.code());
}

/// Greets as a mailbox of the bundle.
async fn as_mailbox(relay: &Running, key: u8, seed: u8) -> Result<ClientSession, u16> {
    let signer = signer(key);
    relay
        .try_open(Identity::mailbox(genesis(), &signer), seed)
        .await
}

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
