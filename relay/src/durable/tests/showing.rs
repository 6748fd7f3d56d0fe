//! What a commit made durable is shown to collects all at once, whatever order its channels have.

use super::{Running, admission, admit, device_signer, domain_channel};
use crate::fixtures::INCARNATION;
use crate::server::Host as _;
use crate::store::MemoryStore;
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::revision::{Epoch, Seq};
use std::sync::Arc;
use std::time::Duration;

/// Devices that post at once; a commit takes up to 256 of them.
const DEVICES: usize = 300;

fn report_of(device: &str) -> Vec<u8> {
    let kind = MessageKind::Report;
    let has_digest = kind.check_digest_presence(Seq::new(1), true).is_ok();
    let header = Header {
        kind,
        epoch: Epoch::new(1),
        seq: Seq::new(1),
        base: Seq::new(0),
        digest: has_digest.then(|| Digest::of(device.as_bytes())),
    };
    let channel = domain_channel(device);
    let binding = Binding::Device {
        channel: &channel,
        incarnation: INCARNATION,
    };
    let payload = vec![0x80];
    let sealed = Draft { header, payload }.seal(Role::Device, binding, &device_signer());
    sealed.unwrap().into_bytes()
}

/// A reader that looks all the while must never see an arrival before the one below it: its cursor would pass what
/// it was not given yet.
#[tokio::test]
async fn collect_beside_commits_of_many_devices_skips_no_arrival() {
    let store = MemoryStore::new();
    let names: Vec<String> = (0..DEVICES)
        .map(|number| format!("press-{number}"))
        .collect();
    for name in &names {
        admit(&store, &admission(name, 1 << 20));
    }
    let running = Arc::new(Running::open(Arc::new(store)));
    let posts: Vec<_> = names
        .iter()
        .map(|name| (domain_channel(name).id(), report_of(name)))
        .collect();
    let looking = Arc::clone(&running);
    let reader = std::thread::spawn(move || {
        let mut cursor = 0;
        while cursor < DEVICES as u64 {
            for one in looking.collect(cursor) {
                assert_eq!(one.arrival, cursor + 1, "an arrival was passed over");
                cursor = one.arrival;
            }
            // The other side needs the lock now and then.
            std::thread::park_timeout(Duration::from_micros(20));
        }
    });
    let posting: Vec<_> = posts
        .into_iter()
        .map(|(channel, report)| running.host.posted(channel, Some(Plane::Actual), report))
        .collect();
    for posted in posting {
        assert!(posted.await.is_ok());
    }
    reader.join().unwrap();
}
