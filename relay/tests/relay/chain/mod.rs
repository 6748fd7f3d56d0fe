//! Relays behind relays: a cell's dials the plant's, the plant's dials the enterprise's, a controller dials that.
//!
//! Each is a whole relay on loopback; only the way between them is the test's, so that it can be cut and lie.

mod conduct;
mod flows;

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

pub const DESIRED: Option<Plane> = Some(Plane::Desired);
pub const ACTUAL: Option<Plane> = Some(Plane::Actual);
/// Looks for something that takes its time: half a minute of pauses.
pub const LOOKS_MAX: usize = 1_500;

/// A way that leads to a relay, or nowhere.
#[derive(Default)]
pub struct Way {
    pub to: Mutex<Option<Arc<Running>>>,
}

impl Way {
    pub fn lead(&self, to: Option<&Arc<Running>>) {
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
            // A link that asks again at once may be told to wait, as by any mailbox.
            to.try_exchange(frame).await.map_err(|status| CarryError {
                text: format!("status {status}"),
                retry_after_s: None,
            })
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
pub struct Hop {
    pub place: Place,
    pub way: Arc<Way>,
    pub upstream: u8,
}

impl Hop {
    pub fn new(key: u8, upstream: u8) -> Self {
        Self {
            place: Place::keyed(key),
            way: Arc::default(),
            upstream,
        }
    }

    pub fn start(&self, to: &Arc<Running>) -> Arc<Running> {
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
pub struct Chain {
    pub enterprise: Arc<Running>,
    pub plant: Arc<Running>,
    pub cell: Arc<Running>,
    pub _places: (Place, Hop, Hop),
}

impl Chain {
    pub fn start() -> Self {
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
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    for _look in 0..LOOKS_MAX {
        looks.tick().await;
        if let Some(found) = ask().await {
            return found;
        }
    }
    panic!("{what}: not within {LOOKS_MAX} looks");
}

pub async fn device_at(relay: &Running) -> ClientSession {
    let mut seed = 100;
    until("the admission comes down", || {
        seed += 1;
        async move { relay.try_device(seed).await.ok() }
    })
    .await
}

/// Collects at `relay` until an envelope is there.
pub async fn collected(relay: &Running, writer: &mut ClientSession, envelope: &[u8]) {
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
pub async fn polled(relay: &Running, device: &mut ClientSession, expected: &[Vec<u8>]) {
    let device = tokio::sync::Mutex::new(device);
    until("the envelopes come down", || async {
        let mut device = device.lock().await;
        let found = relay.poll(&mut device).await;
        (found == expected).then_some(())
    })
    .await;
}

pub async fn bring_state(
    relay: &Running,
    writer: &mut ClientSession,
    bodies: &[Vec<u8>],
) -> Vec<u8> {
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

/// Greets as a mailbox of the bundle.
pub async fn as_mailbox(relay: &Running, key: u8, seed: u8) -> Result<ClientSession, u16> {
    let signer = signer(key);
    relay
        .try_open(Identity::mailbox(genesis(), &signer), seed)
        .await
}
