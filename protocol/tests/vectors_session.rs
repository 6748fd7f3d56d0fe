//! Runs the published vectors of frames, sessions, bundles, enrolment and sizes.
//!
//! Every operation goes through the functions that devices, controllers and mailboxes use. A
//! file of another operation is left to `vectors.rs`; a file of ours with no row is a failure.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot read its vectors has to fail"
)]

#[path = "support/greeting.rs"]
mod greeting;
#[expect(
    dead_code,
    reason = "what the other runner of vectors needs stands there too"
)]
mod support;

use postern_protocol::Reject;
use postern_protocol::enrol::{
    EnrolRequest, Enrolling, JoinSecret, ReceivedEnrolRequest, VerifiedEnrolRequest,
    accept_enrolled,
};
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::frame::{
    Direction, FrameKey, PlainFrame, SessionFrame, StreamIndex, check_exchange, frame_type,
    seal_down, seal_up,
};
use postern_protocol::id::{
    Challenge, Channel, ChannelId, DeviceName, Digest, Incarnation, Plane, SessionId, Tenant,
    Thumbprint,
};
use postern_protocol::key::{MemorySigner, PublicKey, Signer};
use postern_protocol::kind::Role;
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::{
    Admitted, Asking, ClientSession, Identity, NeedLimiter, PendingSession, ReceivedHello,
    ServerSession, SessionKeys, Sessions, Transcript, ephemeral_public,
};
use postern_protocol::trust::Trust;
use serde_json::Value as Json;
use support::{bytes, files, hex_of, text, uint};

/// What one vector gives: its outputs as JSON members, or a reject.
type Given = Result<Vec<(&'static str, Json)>, Reject>;

/// Runs one vector of one operation.
type Run = fn(&Json) -> Given;

/// The operations that run here.
const OPERATIONS: &[(&str, Run)] = &[
    ("frame.parse", parse),
    ("session.derive", derive),
    ("session.challenge", challenge),
    ("session.hello", hello),
    ("session.welcome", welcome),
    ("session.greeting", greeting::greeting),
    ("session.up", up),
    ("session.down", down),
    ("session.stream", stream),
    ("session.switch", switch),
    ("need.limit", need),
    ("exchange.answer", exchange),
    ("bundle.accept", bundle),
    ("enrol.request", enrol_request),
    ("enrol.answer", enrol_answer),
    ("bytes", size),
];

fn array<const N: usize>(json: &Json, member: &str) -> [u8; N] {
    bytes(json, member)
        .try_into()
        .unwrap_or_else(|_| panic!("{member} has another length"))
}

fn thumbprint(json: &Json, member: &str) -> Thumbprint {
    Thumbprint::from_bytes(array(json, member))
}

fn rows<'a>(json: &'a Json, member: &str) -> &'a [Json] {
    json[member]
        .as_array()
        .unwrap_or_else(|| panic!("{member} is no list in {json}"))
}

fn channel_of(json: &Json, root: Thumbprint) -> Channel {
    Channel {
        root,
        tenant: Tenant::parse(text(json, "tenant")).expect("a tenant"),
        device: DeviceName::parse(text(json, "device")).expect("a device"),
    }
}

fn keys_of(json: &Json) -> SessionKeys {
    SessionKeys {
        up: FrameKey::from_bytes(array(json, "key_up")),
        down: FrameKey::from_bytes(array(json, "key_down")),
    }
}

fn parse(test: &Json) -> Given {
    let input = bytes(test, "input");
    let direction = match text(test, "direction") {
        "up" => Direction::Up,
        "down" => Direction::Down,
        "file" => Direction::File,
        other => panic!("{other} is no direction"),
    };
    let found = frame_type(&input)?;
    if found.is_in_session() {
        parse_in_session(&input, direction)?;
    } else {
        let frame = PlainFrame::decode(&input, direction)?;
        assert_eq!(frame.encode(), Ok(input.clone()), "encoded again");
    }
    Ok(vec![
        ("type", found.number().into()),
        ("bytes", input.len().into()),
    ])
}

//= spec/postern.md#sessions type=test
//# The tag MUST be the first 8 bytes of HMAC-SHA256(key, all bytes of the frame before the tag),
//# with key_up for types that go up and key_down for types that go down.
fn parse_in_session(input: &[u8], direction: Direction) -> Result<(), Reject> {
    let frame = SessionFrame::split(input, direction)?;
    let body = frame.danger_unverified_body()?;
    let published = files();
    let (_, keys) = published
        .iter()
        .find(|(name, _)| name == "06-sessions/up.json")
        .expect("the keys of the session");
    let keys = keys_of(&keys["tests"][0]);
    let again = if direction == Direction::Up {
        let decoded = body.decode_up()?;
        assert_eq!(frame.verify(&keys.up)?.counter(), body.counter());
        seal_up(&keys.up, frame.session(), body.counter(), &decoded)
    } else {
        let decoded = body.decode_down()?;
        assert_eq!(frame.verify(&keys.down)?.counter(), body.counter());
        seal_down(&keys.down, frame.session(), body.counter(), &decoded)
    };
    assert_eq!(again, Ok(input.to_vec()), "encoded again");
    Ok(())
}

//= spec/postern.md#hello type=test
//# Both ends MUST verify the other's signature and recompute the transcript, else
//# `digest-mismatch`.
fn derive(test: &Json) -> Given {
    let seed: [u8; 32] = array(test, "mailbox_seed");
    let transcript = Transcript {
        mailbox: thumbprint(test, "mailbox_thumbprint"),
        challenge: Challenge::from_bytes(array(test, "challenge")),
        device_ephemeral: array(test, "device_ephemeral"),
        mailbox_ephemeral: array(test, "mailbox_ephemeral"),
        channel: ChannelId::from_bytes(array(test, "channel_id")),
    };
    assert_eq!(ephemeral_public(&seed), transcript.mailbox_ephemeral);
    let digest = transcript.digest();
    let keys = SessionKeys::agree(&seed, &transcript.device_ephemeral, &digest)?;
    let device: [u8; 32] = array(test, "device_seed");
    assert_eq!(ephemeral_public(&device), transcript.device_ephemeral);
    let other = SessionKeys::agree(&device, &transcript.mailbox_ephemeral, &digest)?;
    assert_eq!(other.up.danger_bytes(), keys.up.danger_bytes());
    Ok(vec![
        ("transcript", hex_of(digest.as_bytes())),
        ("key_up", hex_of(keys.up.danger_bytes())),
        ("key_down", hex_of(other.down.danger_bytes())),
    ])
}

/// Returns the published key with this thumbprint; the list of the vectors names thumbprints only.
fn published_key(thumbprint: &str) -> PublicKey {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../interop-vectors/v1/keys.json"
    );
    let keys: Json = serde_json::from_slice(&std::fs::read(path).expect("keys")).expect("JSON");
    let row = rows(&keys, "keys")
        .iter()
        .find(|row| row["thumbprint"] == thumbprint)
        .expect("a published key");
    PublicKey::from_bytes(&bytes(row, "public_key")).expect("a key")
}

fn challenge(test: &Json) -> Given {
    let mailboxes: Vec<PublicKey> = rows(test, "mailboxes")
        .iter()
        .map(|one| published_key(one.as_str().expect("text")))
        .collect();
    let signer = MemorySigner::from_seed(&[1; 32]);
    let channel = Channel {
        root: signer.public_key().thumbprint(),
        tenant: Tenant::parse("acme").expect("a tenant"),
        device: DeviceName::parse("press-7").expect("a device"),
    };
    let device = Identity::device(&channel, Incarnation::from_bytes([2; 16]), &signer);
    let (asking, _) = Asking::start(BundleNumber::new(0))?;
    asking
        .handle_challenge(&bytes(test, "frame"), &mailboxes, device, &[3; 32])
        .map(|_| vec![])
}

fn hello(test: &Json) -> Given {
    let frame = bytes(test, "frame");
    let hello = ReceivedHello::parse(&frame)?;
    let known: Vec<(Channel, Incarnation, PublicKey)> = rows(test, "channels")
        .iter()
        .filter(|row| bytes(row, "channel_id") == hello.channel().as_bytes())
        .map(|row| {
            let key = PublicKey::from_bytes(&bytes(row, "public_key")).expect("a key");
            let channel = channel_of(row, thumbprint(row, "root"));
            (
                channel,
                Incarnation::from_bytes(array(row, "incarnation")),
                key,
            )
        })
        .collect();
    let candidates: Vec<Admitted<'_>> = known
        .iter()
        .map(|(channel, incarnation, key)| Admitted::device(channel, *incarnation, key))
        .collect();
    if candidates.is_empty() {
        return Err(Reject::NotAdmitted);
    }
    let seed: [u8; 32] = rows(test, "issued")
        .iter()
        .find(|row| bytes(row, "challenge") == hello.unverified_challenge().as_bytes())
        .map(|row| array(row, "mailbox_seed"))
        .ok_or(Reject::ChallengeUnknown)?;
    let mailbox = thumbprint(test, "mailbox_thumbprint");
    let agreed = hello.verify(mailbox, &seed, &candidates, |_| false)?;
    Ok(vec![
        ("transcript", hex_of(agreed.transcript.as_bytes())),
        ("key_up", hex_of(agreed.keys.up.danger_bytes())),
        ("key_down", hex_of(agreed.keys.down.danger_bytes())),
    ])
}

fn welcome(test: &Json) -> Given {
    let mailbox = PublicKey::from_bytes(&bytes(test, "mailbox_key"))?;
    let channel = channel_of(test, thumbprint(test, "root"));
    let signer = MemorySigner::from_seed(&[1; 32]);
    let incarnation = Incarnation::from_bytes(array(test, "incarnation"));
    let device = Identity::device(&channel, incarnation, &signer);
    let (asking, _) = Asking::start(BundleNumber::new(0))?;
    let seed = array(test, "device_seed");
    let challenge = bytes(test, "challenge_frame");
    let (greeting, _) = asking.handle_challenge(&challenge, [&mailbox], device, &seed)?;
    let session = greeting.handle_welcome(&bytes(test, "frame"), 0)?;
    let mut given = vec![("session_id", hex_of(session.id().as_bytes()))];
    given.extend(session.time().map(|time| ("unix_s", time.unix_s().into())));
    Ok(given)
}

fn pending(json: &Json, number: u8) -> PendingSession {
    let id = SessionId::from_bytes(array(json, "session_id"));
    let transcript = Digest::from_bytes([number; 32]);
    PendingSession::new(ServerSession::new(id, keys_of(json), transcript, u64::MAX))
}

/// Runs steps and returns their one reject, if any; each step must do what it says.
fn steps(test: &Json, mut take: impl FnMut(&Json) -> Result<(), Reject>) -> Given {
    let mut refusal = None;
    for step in rows(test, "steps") {
        let given = take(step);
        let wanted = step.get("error").map(|_| text(step, "error"));
        assert_eq!(given.err().map(Reject::as_str), wanted, "{step}");
        refusal = refusal.or(given.err());
    }
    refusal.map_or(Ok(vec![]), Err)
}

fn up(test: &Json) -> Given {
    let mut sessions = Sessions::new(4);
    sessions.offer("device", pending(test, 1), 0)?;
    steps(test, |step| {
        sessions.open(&bytes(step, "frame"), 0).map(|_| ())
    })
}

fn down(test: &Json) -> Given {
    let id = SessionId::from_bytes(array(test, "session_id"));
    let session = ClientSession::new(id, keys_of(test), BundleNumber::new(1), 60, 0);
    steps(test, |step| {
        let counter = u16::try_from(uint(step, "request")).expect("a counter");
        session
            .open_answer(counter, &bytes(step, "frame"))
            .map(|_| ())
    })
}

//= spec/postern.md#stream type=test
//# A device MUST refuse an answer whose index is not the next one with `stream-order`.
fn stream(test: &Json) -> Given {
    let id = SessionId::from_bytes(array(test, "session_id"));
    let session = ClientSession::new(id, keys_of(test), BundleNumber::new(1), 60, 0);
    let number = |member| u16::try_from(uint(test, member)).expect("16 bits");
    let (request, mut index) = (number("request"), StreamIndex::new(number("frames")));
    steps(test, |step| {
        let frame = bytes(step, "frame");
        let taken = session.open_stream_answer(request, &mut index, &frame);
        taken.map(|_| ())
    })
}

fn switch(test: &Json) -> Given {
    let mut sessions = Sessions::new(4);
    sessions.offer("device", pending(&test["older"], 1), 0)?;
    let mut is_newer_welcomed = false;
    steps(test, |step| {
        let opened = sessions.open(&bytes(step, "frame"), 0).map(|_| ());
        if !is_newer_welcomed {
            is_newer_welcomed = true;
            sessions.offer("device", pending(&test["newer"], 2), 0)?;
        }
        opened
    })
}

fn need(test: &Json) -> Given {
    let mut limiter = NeedLimiter::default();
    steps(test, |step| {
        limiter.take(
            Plane::from_number(uint(step, "plane"))?,
            uint(step, "at_ms"),
        )
    })
}

fn exchange(test: &Json) -> Given {
    let status = u16::try_from(uint(test, "status")).expect("a status");
    check_exchange(status, &bytes(test, "body")).map(|_| vec![])
}

/// Bundles lie in files with their tag, which frames strip.
fn untagged(hex: &str) -> Vec<u8> {
    let tagged = support::unhex(hex);
    ReceivedEnvelope::parse_tagged(&tagged)
        .map(|envelope| envelope.as_bytes().to_vec())
        .unwrap_or(tagged)
}

fn bundle(test: &Json) -> Given {
    let (genesis, recovery) = (thumbprint(test, "genesis"), thumbprint(test, "recovery"));
    let held: Vec<Vec<u8>> = rows(test, "held")
        .iter()
        .map(|one| untagged(one.as_str().expect("text")))
        .collect();
    let held = held.iter().map(Vec::as_slice);
    let trust = Trust::from_chain(genesis, recovery, held).expect("what is held is valid");
    let next = trust.offer(&untagged(text(test, "incoming")))?;
    let message_id = next.held().expect("a bundle").message_id();
    Ok(vec![("message_id", hex_of(message_id.as_bytes()))])
}

/// The controller's part of an enrolment, as its engine does it.
fn enrol_request(test: &Json) -> Given {
    let frame = bytes(test, "frame");
    let received = ReceivedEnrolRequest::open(&frame)?;
    let invitation = rows(test, "invitations")
        .iter()
        .find(|row| bytes(row, "token") == received.token().as_bytes())
        .ok_or(Reject::TokenUnknown)?;
    let secret = JoinSecret::from_bytes(array(invitation, "secret"));
    let tenant = Tenant::parse(text(invitation, "tenant"))?;
    let verified = received.verify(&secret, thumbprint(test, "root"), &tenant)?;
    let VerifiedEnrolRequest {
        request: EnrolRequest { device, .. },
        key,
        message_id,
    } = verified;
    if device.as_str() != text(invitation, "device") {
        return Err(Reject::TokenUnknown);
    }
    let is_used_by_another = invitation["used_by"]
        .as_str()
        .is_some_and(|used_by| used_by != key.thumbprint().to_string());
    if is_used_by_another {
        return Err(Reject::TokenUsed);
    }
    Ok(vec![("message_id", hex_of(message_id.as_bytes()))])
}

fn enrol_answer(test: &Json) -> Given {
    let channel = channel_of(test, thumbprint(test, "genesis"));
    let request = untagged(text(test, "request"));
    let binding = Binding::Tenant {
        root: channel.root,
        tenant: &channel.tenant,
    };
    let expected = Expected {
        role: Role::Enrolling,
        plane: None,
    };
    let request = ReceivedEnvelope::parse(&request)?
        .unverified_message_id(expected, binding)
        .expect("a request binds its tenant");
    let device_key = PublicKey::from_bytes(&bytes(test, "public_key"))?.thumbprint();
    let enrolling = Enrolling {
        channel: &channel,
        incarnation: Incarnation::from_bytes(array(test, "incarnation")),
        device_key,
        request,
    };
    let frame = bytes(test, "frame");
    let (_, answer) = accept_enrolled(&frame, thumbprint(test, "recovery"), &enrolling)?;
    let mut given = vec![("bundle_number", answer.bundle.number().into())];
    given.extend(answer.time.map(|time| ("unix_s", time.unix_s().into())));
    Ok(given)
}

fn size(test: &Json) -> Given {
    let input = bytes(test, "input");
    match text(test, "form") {
        "envelope" => ReceivedEnvelope::parse(&input).map(|_| ())?,
        "frame" => {
            let found = frame_type(&input)?;
            if found.is_in_session() {
                parse_in_session(&input, found.direction())?;
            } else {
                PlainFrame::decode(&input, found.direction())?;
            }
        }
        other => panic!("{other} is no form"),
    }
    assert!(input.len() as u64 <= uint(test, "budget"));
    Ok(vec![("bytes", input.len().into())])
}

fn check(name: &str, given: Given, test: &Json) -> Option<String> {
    let wanted = test.get("error").map(|_| text(test, "error"));
    match given {
        Ok(outputs) if wanted.is_none() => outputs
            .into_iter()
            .find(|(member, value)| test.get(*member).is_some_and(|known| known != value))
            .map(|(member, value)| format!("{name}: {member} is {value}, not {}", test[member])),
        Ok(_) => Some(format!("{name}: accepted, not {wanted:?}")),
        Err(reject) if Some(reject.as_str()) == wanted => None,
        Err(reject) => Some(format!("{name}: {reject}, not {wanted:?}")),
    }
}

#[test]
fn vectors_of_sessions_all_agree() {
    let mut failures = Vec::new();
    let published = files();
    for (operation, run) in OPERATIONS {
        let tests: Vec<&Json> = published
            .iter()
            .filter(|(_, file)| file["operation"] == *operation)
            .flat_map(|(_, file)| rows(file, "tests"))
            .collect();
        assert!(!tests.is_empty(), "{operation} has no vector");
        let refused = tests
            .iter()
            .filter_map(|test| check(text(test, "name"), run(test), test));
        failures.extend(refused);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
