//! Draws what becomes of the desired plane in a mailbox, by playing it.

#[path = "../../../../protocol/tests/diagrams/page.rs"]
mod page;
#[path = "../../../../protocol/tests/diagrams/states.rs"]
mod states;

use crate::fixtures::{delta, snapshot_of};
use crate::mailbox::lane::Lane;
use crate::mailbox::{Chunk, MailboxLimits, Space, Stamp};
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::Digest;
use postern_protocol::revision::{Generation, Revision};

const EPOCH: u64 = 10;
const GENERATION: Generation = Generation::new(1);
const SPACE: Space = Space {
    quota_bytes: 1 << 20,
    free_bytes: 1 << 20,
};
const NO_SPACE: Space = Space {
    quota_bytes: 0,
    free_bytes: 1 << 20,
};

const EVENTS: [&str; 8] = [
    "a snapshot above it, bodies held",
    "a snapshot above it, bodies missing",
    "the missing bodies",
    "a delta that continues it",
    "a delta that continues it, no room",
    "a delta from another base",
    "a snapshot below it",
    "all of it was collected",
];

/// Plays a row of events on a lane and names what it holds.
fn play(row: &[usize]) -> String {
    let (mut lane, limits) = (Lane::default(), MailboxLimits::default());
    let body = b"a body".to_vec();
    for event in row {
        let on_its_way = lane.head_on_its_way();
        let seq = |head: Option<Revision>| head.map_or(50, |head| head.seq.number());
        let (head, highest) = (seq(lane.head().map(|head| head.revision)), seq(on_its_way));
        let mut bring = |space, envelope: &[u8]| {
            let received = ReceivedEnvelope::parse(envelope).expect("an envelope");
            // What is refused is seen by what the lane holds afterwards.
            let _posted = lane.post(&limits, space, GENERATION, &received, Stamp::default());
        };
        let above = highest + 10;
        match *event {
            0 => bring(SPACE, &snapshot_of(EPOCH, above, above, &[])),
            1 => {
                let fresh = above.to_be_bytes().to_vec();
                bring(
                    SPACE,
                    &snapshot_of(EPOCH, above, above, &[body.clone(), fresh]),
                );
            }
            2 => {
                let fresh = highest.to_be_bytes().to_vec();
                for bytes in [body.clone(), fresh] {
                    let chunk = Chunk {
                        digest: Digest::of(&bytes),
                        size: bytes.len() as u64,
                        offset: 0,
                        bytes,
                    };
                    let _put = lane.put(SPACE, &chunk, Stamp::default());
                }
            }
            3 => bring(SPACE, &delta(EPOCH, head, head + 1)),
            4 => bring(NO_SPACE, &delta(EPOCH, head, head + 1)),
            5 => bring(SPACE, &delta(EPOCH, head + 3, head + 4)),
            6 if on_its_way.is_some() => bring(SPACE, &snapshot_of(EPOCH, 1, 1, &[])),
            7 => {
                lane.forget(u64::MAX);
            }
            _ => {}
        }
    }
    let chain = match (&lane.chain, lane.has_gap) {
        (None, _) => "nothing",
        (Some(_), false) => "a chain",
        (Some(_), true) => "a chain behind its writer",
    };
    let pending = lane.pending.as_ref();
    pending.map_or_else(
        || chain.to_owned(),
        |_| format!("{chain}, and a snapshot that waits for bodies"),
    )
}

#[test]
fn desired_plane_is_drawn_as_it_moves() {
    let section = (
        "A snapshot or delta comes to a mailbox",
        "`Lane` in `relay/src/mailbox/lane.rs`, for #mailboxes; a delta on nothing is refused with `nothing-stored`",
        states::draw(&EVENTS, &play),
    );
    page::check(env!("CARGO_MANIFEST_DIR"), &[section]);
}
