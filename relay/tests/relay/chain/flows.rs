//! What goes down and up over two hops: states with their bodies, changes, posts, enrolments, withdrawals.
//!
//! Refuses nothing by itself: every relay here is honest.

use super::*;

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
    let held = crate::site::open_bodies(&device, counter, &answer);
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
    assert_eq!(
        chain
            .cell
            .post(&mut device, std::slice::from_ref(&actual))
            .await,
        []
    );
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
    let held = crate::site::open_bodies(&writer, counter, &answer);
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
        let collected = crate::site::open_collected(&writer, counter, &answer);
        collected.entries.iter().find_map(|entry| match entry {
            postern_protocol::frame::Entry::Knock { knock, frame, .. } if *frame == enrol => {
                Some(*knock)
            }
            postern_protocol::frame::Entry::Knock { .. }
            | postern_protocol::frame::Entry::Envelope { .. } => None,
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
