//! The two ends of a session, to be drawn: the client's link, and what a mailbox holds of one owner.
//!
//! Each row of events is played from the beginning, with frames that both ends made.
//! Refuses to describe a step: what happens is what the code does.

use postern_protocol::frame::{FrameKey, Poll, UpFrame, seal_up};
use postern_protocol::id::{
    Channel, DeviceName, Digest, Incarnation, SessionId, Tenant, Thumbprint,
};
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::limits::PENDING_SESSION_MS_MAX;
use postern_protocol::revision::{BundleNumber, Revision};
use postern_protocol::session::{
    Admitted, Asking, EphemeralWindows, Identity, Link, MailboxHandshake, MailboxKey,
    PendingSession, ReceivedHello, ServerSession, SessionKeys, Sessions,
};

const BUNDLE: BundleNumber = BundleNumber::new(1);
const LIFE: Incarnation = Incarnation::from_bytes([5; 16]);
/// Milliseconds that a confirmed session lives: longer than a pending one.
const AGE_MS: u64 = 3_600_000;

/// A device and a mailbox that know each other.
struct Ends {
    device: MemorySigner,
    mailbox: MemorySigner,
    channel: Channel,
    windows: EphemeralWindows,
}

impl Ends {
    fn new() -> Self {
        Self {
            device: MemorySigner::from_seed(&[1; 32]),
            mailbox: MemorySigner::from_seed(&[2; 32]),
            channel: Channel {
                root: Thumbprint::from_bytes([7; 32]),
                tenant: Tenant::parse("acme").expect("a name"),
                device: DeviceName::parse("press-7").expect("a name"),
            },
            windows: EphemeralWindows::new([3; 32], 0),
        }
    }

    fn handshake(&self) -> MailboxHandshake<'_> {
        MailboxHandshake {
            windows: &self.windows,
            keys: vec![MailboxKey::only(&self.mailbox)],
            bundle: BUNDLE,
            age_max_s: AGE_MS / 1_000,
            time: None,
        }
    }

    fn challenge(&self) -> Vec<u8> {
        let (_, ask) = Asking::start(BUNDLE).expect("an ask");
        let challenge = self.handshake().answer_ask(&ask, [4; 8]);
        challenge.expect("a challenge")
    }

    fn identity(&self) -> Identity<'_> {
        Identity::device(&self.channel, LIFE, &self.device)
    }

    fn welcome(&self, hello: &[u8]) -> Vec<u8> {
        let hello = ReceivedHello::parse(hello).expect("a hello");
        let admitted = [Admitted::device(
            &self.channel,
            LIFE,
            self.device.public_key(),
        )];
        let id = SessionId::from_bytes([9; 4]);
        let welcomed = self
            .handshake()
            .handle_hello(&hello, &admitted, |_| false, id, 0);
        welcomed.expect("a welcome").frame
    }
}

pub(crate) const LINK_EVENTS: [&str; 6] = [
    "a way is there, ask",
    "challenge, hello",
    "challenge that breaks a rule",
    "welcome",
    "welcome that breaks a rule",
    "refusal, failure, or its end",
];

/// Plays a row of events on a client's link and names its phase.
pub(crate) fn play_link(row: &[usize]) -> String {
    let ends = Ends::new();
    let mut link: Link<u8, ()> = Link::default();
    let mut hello = None;
    for event in row {
        let mailboxes = [ends.mailbox.public_key()];
        let mut greet = |frame: &[u8]| {
            let greeted = link.greet(2, frame, mailboxes, ends.identity(), &[11; 32]);
            hello = greeted.ok().flatten().or(hello.take());
        };
        match *event {
            0 => {
                link.ask(1, BUNDLE).expect("an ask");
            }
            1 => greet(&ends.challenge()),
            2 => greet(b"no challenge"),
            3 => {
                let welcome = hello.as_deref().map(|hello| ends.welcome(hello));
                let frame = welcome.unwrap_or_else(|| b"nobody was greeted".to_vec());
                let is_greeting = link.is_greeting(2);
                let taken = link.welcome(&frame, 0, |_, _| ());
                assert_eq!(taken.is_ok_and(|is_open| is_open), is_greeting);
            }
            4 => {
                let _refused = link.welcome(b"no welcome", 0, |_, _| ());
            }
            _ => link.end(),
        }
    }
    format!("{:?}", link.phase())
}

pub(crate) const OWNER_EVENTS: [&str; 6] = [
    "a hello verifies",
    "a frame of the newer session verifies",
    "a frame of the older session verifies",
    "a minute passes",
    "the sessions are over",
    "its key counts no more",
];

fn frame(session: u8, counter: u16) -> Vec<u8> {
    let poll = UpFrame::Poll(Poll {
        hold_s: 0,
        bundle: BUNDLE,
        acked: None,
        desired: Revision::NONE,
        actual: None,
        receipt: None,
    });
    let key = FrameKey::from_bytes([session; 32]);
    let id = SessionId::from_bytes([session; 4]);
    seal_up(&key, id, counter, &poll).expect("a frame")
}

fn pending(session: u8, now_ms: u64) -> PendingSession {
    let keys = SessionKeys {
        up: FrameKey::from_bytes([session; 32]),
        down: FrameKey::from_bytes([session; 32]),
    };
    let id = SessionId::from_bytes([session; 4]);
    let transcript = Digest::from_bytes([session; 32]);
    PendingSession::new(ServerSession::new(id, keys, transcript, now_ms + AGE_MS))
}

/// Plays a row of events on what a mailbox holds of one owner, and names what that is.
pub(crate) fn play_owner(row: &[usize]) -> String {
    let mut table: Sessions<u8> = Sessions::new(8);
    let (mut now_ms, mut newest) = (0, 0);
    for (place, event) in row.iter().enumerate() {
        let counter = u16::try_from(place + 1).expect("few events");
        match *event {
            0 => {
                newest += 1;
                let offered = table.offer(1, pending(newest, now_ms), now_ms);
                offered.expect("there is room");
            }
            // What is refused changes nothing: the state shows it.
            1 => drop(table.open(&frame(newest, counter), now_ms)),
            2 => {
                let confirmed = table.confirmed(&1).map(|id| id.as_bytes()[0]);
                if let Some(older) = confirmed {
                    drop(table.open(&frame(older, counter), now_ms));
                }
            }
            3 => {
                now_ms += PENDING_SESSION_MS_MAX;
                table.expire(now_ms);
            }
            4 => {
                now_ms += AGE_MS;
                table.expire(now_ms);
            }
            _ => drop(table.remove_owner(&1)),
        }
    }
    let is_confirmed = table.confirmed(&1).is_some();
    match (is_confirmed, table.len()) {
        (_, 0) => "no session",
        (false, _) => "one that waits for its first frame",
        (true, 1) => "a confirmed one",
        (true, _) => "a confirmed one, and a newer one that waits",
    }
    .to_owned()
}
