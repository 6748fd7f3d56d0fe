//! Real envelopes: what the model sends is sealed, and what it receives is verified, by the code that devices run.
//!
//! Verification looks at bytes and never at a state, so each envelope is tried once, at every device and in every
//! forged form. Refuses payloads with bodies: the table of a snapshot is empty here.

use super::fleet::{DEVICES, Down, Form, digest, entries};
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope};
use postern_protocol::id::{Channel, Incarnation, Plane};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::Snapshot;
use postern_protocol::revision::{Epoch, Lineage, Seq};
use postern_protocol::state::SectionTable;
use postern_protocol::testing::{TestKeys, signer};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

/// What an attacker makes of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Forgery {
    /// Nothing.
    None,
    /// Somebody else signs the same.
    Stranger,
    /// The device signs the same about its own plane.
    Device,
    /// Another number under the old signature.
    Number,
    /// The writer signed it for an earlier life.
    EarlierLife,
}

impl Forgery {
    const ALL: [Self; 5] = [
        Self::None,
        Self::Stranger,
        Self::Device,
        Self::Number,
        Self::EarlierLife,
    ];
}

/// What counts as the place of an envelope, and whose signature counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trusting {
    /// The device's own channel and life, the writer's key.
    Real,
    /// Whatever channel the message names.
    AnyChannel,
    /// Any key that the attacker has, too.
    AnyKey,
    /// Any life of the device.
    AnyLife,
}

/// Who believed something that he must not believe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Believed {
    /// A device that the envelope is not for.
    pub(crate) elsewhere: bool,
    /// Anybody, a forgery.
    pub(crate) forged: bool,
}

struct Keys {
    writers: [MemorySigner; 4],
    stranger: MemorySigner,
    channels: [Channel; DEVICES],
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let all = TestKeys::new();
        Keys {
            writers: ["writer 1", "writer 2", "writer 3", "writer 4"].map(signer),
            stranger: signer("stranger"),
            channels: ["device-a", "device-b"].map(|name| all.channel(name)),
        }
    })
}

const LIVES: [Incarnation; 2] = [
    Incarnation::from_bytes([1; 16]),
    Incarnation::from_bytes([2; 16]),
];

fn seal(down: &Down, forgery: Forgery) -> Vec<u8> {
    let [earlier, present] = LIVES;
    let (kind, base, payload) = match &down.form {
        Form::Delta { base, .. } => (MessageKind::Delta, *base, vec![0x81, 0xa1, 0x61, 0x61, 1]),
        Form::Snapshot { lineage } => {
            let lineage = Lineage::new(entries(lineage), Epoch::new(down.mark.epoch));
            let lineage = lineage.expect("a writer lists what is earlier, ascending");
            let table = SectionTable::default();
            (
                MessageKind::Snapshot,
                0,
                Snapshot { table, lineage }.encode(),
            )
        }
    };
    let header = Header {
        kind,
        epoch: Epoch::new(down.mark.epoch),
        seq: Seq::new(down.mark.seq),
        base: Seq::new(base),
        digest: Some(digest(down.mark.content)),
    };
    let (role, incarnation, key) = match forgery {
        Forgery::None | Forgery::Number => (Role::Writer, present, writer(down)),
        Forgery::Stranger => (Role::Writer, present, &keys().stranger),
        Forgery::Device => (Role::Device, present, &keys().stranger),
        Forgery::EarlierLife => (Role::Writer, earlier, writer(down)),
    };
    let channel = &keys().channels[down.to];
    let binding = Binding::Device {
        channel,
        incarnation,
    };
    let sealed = Draft { header, payload }.seal(role, binding, key);
    let mut bytes = sealed.expect("it fits").into_bytes();
    if forgery == Forgery::Number {
        // The last byte of the protected bytes is one of the digest.
        let at = bytes.windows(2).position(|pair| pair == [0x58, 0x20]);
        bytes[at.expect("a digest") + 2] ^= 1;
    }
    bytes
}

fn writer(down: &Down) -> &'static MemorySigner {
    let place = usize::try_from(down.mark.generation - 1).expect("a few generations");
    &keys().writers[place]
}

/// The reject with which a device answers, if it does not believe.
fn refusal(device: usize, down: &Down, forgery: Forgery, trusting: Trusting) -> Option<Reject> {
    let bytes = seal(down, forgery);
    let received = match ReceivedEnvelope::parse(&bytes) {
        Ok(received) => received,
        Err(reject) => return Some(reject),
    };
    let place = if trusting == Trusting::AnyChannel {
        down.to
    } else {
        device
    };
    let mut counting = vec![writer(down).public_key()];
    if trusting == Trusting::AnyKey {
        counting.push(keys().stranger.public_key());
    }
    let [earlier, present] = LIVES;
    let lives = match trusting {
        Trusting::AnyLife => vec![present, earlier],
        Trusting::Real | Trusting::AnyChannel | Trusting::AnyKey => vec![present],
    };
    let expected = Expected {
        role: Role::Writer,
        plane: Some(Plane::Desired),
    };
    let answers = lives.into_iter().map(|incarnation| {
        let channel = &keys().channels[place];
        let binding = Binding::Device {
            channel,
            incarnation,
        };
        let verified = received.verify(expected, binding, counting.iter().copied(), |_| false);
        verified.err()
    });
    answers.min_by_key(Option::is_some).flatten()
}

/// What came of envelopes that were tried.
type Tried = HashMap<(Down, Trusting), Believed>;

/// Tries an envelope at every device, as it is and forged in every way.
pub(crate) fn try_everywhere(down: &Down, trusting: Trusting) -> Believed {
    static TRIED: OnceLock<Mutex<Tried>> = OnceLock::new();
    let tried = TRIED.get_or_init(Mutex::default);
    let key = (down.clone(), trusting);
    if let Some(believed) = tried.lock().expect("no panic").get(&key) {
        return *believed;
    }
    let genuine = refusal(down.to, down, Forgery::None, trusting);
    assert_eq!(genuine, None, "a genuine envelope has to count: {down:?}");
    let mut believed = Believed::default();
    for device in 0..DEVICES {
        for forgery in Forgery::ALL {
            let is_believed = refusal(device, down, forgery, trusting).is_none();
            believed.elsewhere |= is_believed && device != down.to;
            believed.forged |= is_believed && forgery != Forgery::None;
        }
    }
    tried.lock().expect("no panic").insert(key, believed);
    believed
}
