//! The device's whole vocabulary on one screen.
//!
//! What is not a variant here cannot enter or leave the engine. Refuses to hold behaviour.

use crate::id::Thumbprint;
use crate::kind::MessageKind;
use crate::message::{EvidenceCode, IntentNote};
use crate::receipt::{Lost, Receipt};
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{BundleNumber, KeyGeneration, Revision};
use crate::signed_time::SignedTime;
use crate::state::{Change, Path};
use alloc::string::String;
use alloc::vec::Vec;

/// Ties an exchange to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// What came of applying a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The revision.
    pub revision: Revision,
    /// 0 for success; else an exit status, or negative for a signal, a time-out, or a failed rendering.
    pub status: i64,
    /// What the application printed, for the report; cut to `RESULT_OUTPUT_BYTES_MAX`.
    pub output: String,
}

/// How the action of an intent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActOutcome {
    /// It ran to its end.
    Finished {
        /// 0 for success; else an exit status, or negative for a signal or a time-out.
        status: i64,
        /// What it printed, for the report; cut to `RESULT_OUTPUT_BYTES_MAX`.
        output: String,
    },
    /// It may run at most once, and whether it ran before the restart is not known.
    Interrupted,
}

/// What the driver tells the device.
#[derive(Debug)]
pub enum Input<'a> {
    /// The process started.
    Start,
    /// A route is there and waiting is over: open a session.
    Connect,
    /// The answer to an exchange.
    Answer {
        /// The exchange.
        exchange: ExchangeId,
        /// The body that came back.
        frame: &'a [u8],
    },
    /// An exchange failed on the way, and the driver has waited long enough.
    Failed {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// The route in use leads to another mailbox than before: the session and what is under way in it
    /// are of no more use. Answered with [`Output::Reconnect`] unless there was none.
    OtherMailbox,
    /// A revision was applied, or not.
    Applied(Applied),
    /// The next poll may start and may be held this long. Each poll takes one such word.
    Hold {
        /// Seconds, at most `HOLD_S_MAX`.
        seconds: u64,
    },
    /// The next poll may start, as a stream: its answers come one by one, each as an [`Input::Answer`], and
    /// its end as an [`Input::Failed`]. The stream before it stays until its first answer verified.
    Stream(StreamAsk),
    /// The bodies that the route in use is known to carry, in bytes. To be told again when it
    /// changes; until it is told, everything up to `FRAME_BYTES_MAX` counts as carried.
    Sizes {
        /// Largest request.
        up_bytes_max: usize,
        /// Largest answer to ask for; 0 when not even the smallest useful one passes.
        down_bytes_max: usize,
    },
    /// The moment of [`super::Device::poll_timeout`] came.
    Timeout,
    /// Changes of the actual plane, made by the application; together they are one decision.
    WriteActual {
        /// Names the answer: [`Event::ActualWritten`] or [`Event::ActualRefused`].
        ticket: u64,
        /// What changes, in order. The section `intent` is written by the engine alone.
        changes: Vec<Change>,
    },
    /// The action of an [`Output::Act`] ended.
    Acted {
        /// The intent.
        path: Path,
        /// The value that it had.
        value: u64,
        /// How it ended.
        outcome: ActOutcome,
    },
    /// Opens or closes the way to the application: while closed nothing is applied and no action
    /// starts. What runs already goes on. Open until somebody says otherwise.
    Gate {
        /// True when the application may be touched.
        is_open: bool,
    },
    /// Asks the controller to count another key as this device's: an enrol-request envelope that
    /// the next key signed. The present key stays in use until [`Event::KeyConfirmed`].
    RotateKey {
        /// The untagged envelope; its token is the first 8 bytes of the present key's thumbprint.
        request: Vec<u8>,
    },
    /// Ends the membership: reported until the controller acknowledges it, then [`Event::Left`].
    Leave,
    /// One frame of a file of types 14, 17 and 23, as `FileFrames` gives it. Works without a session.
    Filed {
        /// The frame.
        frame: &'a [u8],
    },
}

/// A frame to carry to the mailbox.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Names the answer.
    pub id: ExchangeId,
    /// The body to send.
    pub frame: Vec<u8>,
    /// Seconds that the mailbox may hold the answer; `None` when it answers at once.
    pub hold_s: Option<u64>,
    /// True for a stream, whose answers come one by one.
    pub is_stream: bool,
}

/// How a stream is to be; out of range it is refused with `shape` before it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamAsk {
    /// Milliseconds after which an idle mailbox answers, 250..=60000; from 5000 where it is no probe.
    pub interval_ms: u16,
    /// Answers that are taken at most, 1..=1024; at most 8 are a probe.
    pub frames: u16,
    /// Bytes to which each answer is filled up, 0..=4096; 16384 for a probe.
    pub pad: u16,
}

/// Why nothing of a stream is taken any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The first answer of the next one verified, or a poll was answered.
    Replaced,
    /// All its answers came.
    Complete,
    /// The mailbox does not know streams (unsigned, advisory).
    Unknown,
    /// An answer of it was refused.
    Refused(Reject),
    /// Something in it was refused, or has to be named in a poll: a poll is due.
    PollDue,
}

/// What the driver does for the device, in order.
#[derive(Debug)]
pub enum Output {
    /// Make durable before anything behind this leaves the process.
    Persist(Vec<Write>),
    /// Carry a frame and bring back the answer.
    Exchange(Exchange),
    /// Bring the application to this revision of [`super::Device::state`].
    Apply {
        /// The revision.
        revision: Revision,
    },
    /// Run the action of an intent, then give [`Input::Acted`]. That it was taken is durable already.
    Act {
        /// The intent, in the section `intent` of the desired state.
        path: Path,
        /// Its value: several increments seen together are one action.
        value: u64,
        /// True after a restart that left the end of the action unknown: what may run at most once
        /// is answered with [`ActOutcome::Interrupted`].
        is_retry: bool,
    },
    /// The session is of no more use: wait as after a failure, then give [`Input::Connect`].
    Reconnect,
    /// Something that people or metrics want to know.
    Event(Event),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session with a mailbox is open and the mailbox proved its key.
    Connected,
    /// The mailbox stated the time in the welcome of this session.
    TimeStated {
        /// The time.
        time: SignedTime,
    },
    /// An answer verified: the route works. `is_empty` tells that a hold ran out with no news.
    Answered {
        /// The exchange.
        exchange: ExchangeId,
        /// True when nothing new came.
        is_empty: bool,
    },
    /// Nothing of a stream is taken any more: its reader may stop.
    StreamEnded {
        /// The exchange.
        exchange: ExchangeId,
        /// Why.
        why: StreamEnd,
    },
    /// An answer of a stream verified; followed by [`Event::Answered`].
    Streamed {
        /// The exchange.
        exchange: ExchangeId,
        /// Its place, from 0.
        index: u16,
        /// Milliseconds from the request to this answer, by the mailbox's clock.
        age_ms: u64,
    },
    /// A revision is durable here.
    Accepted {
        /// The revision.
        revision: Revision,
        /// Whether a delta or a snapshot brought it.
        kind: MessageKind,
        /// Bytes of the envelope.
        bytes: usize,
    },
    /// A revision was applied, or not.
    Applied(Applied),
    /// The controller holds the report of this number and all before it.
    ReportAcknowledged {
        /// The report's number.
        rseq: u64,
    },
    /// A mailbox can no longer hand over what it took.
    Lost {
        /// The key of the mailbox.
        mailbox: Thumbprint,
        /// What is lost.
        lost: Lost,
    },
    /// A mailbox put aside something that this device posted; told once. Nothing changed.
    Receipt {
        /// The key of the mailbox.
        mailbox: Thumbprint,
        /// What it did, and with which message.
        receipt: Receipt,
    },
    /// A newer bundle counts.
    BundleAccepted {
        /// Its number.
        number: BundleNumber,
    },
    /// Something waits because the route in use carries no body as large as it needs. It is tried
    /// again every ten minutes, and at once when the driver tells of a larger bound.
    HeldBack {
        /// A report that cannot be sent, or a snapshot whose bodies cannot be fetched.
        kind: MessageKind,
        /// Bytes of the envelope; 0 for bodies, whose sizes are not known before they come.
        bytes: usize,
    },
    /// Something that a peer sent was refused; nothing changed.
    Rejected {
        /// Why.
        reject: Reject,
    },
    /// The mailbox says that it refused (unsigned, advisory).
    RefusedByMailbox {
        /// Its reason, if it is in the registry.
        reject: Option<Reject>,
    },
    /// The mailbox asks this device to go to another one, which the bundle lists.
    MoveAsked {
        /// Its URL, as the bundle writes it.
        url: String,
    },
    /// A write of the actual plane is durable.
    ActualWritten {
        /// The ticket of [`Input::WriteActual`].
        ticket: u64,
        /// The head of the plane now.
        revision: Revision,
        /// False when nothing differed: that is no decision and got no number.
        is_change: bool,
    },
    /// A write of the actual plane was refused as a whole.
    ActualRefused {
        /// The ticket of [`Input::WriteActual`].
        ticket: u64,
        /// Why.
        reject: Reject,
    },
    /// The controller signed that it holds this revision of the actual plane.
    ActualAcknowledged {
        /// The revision.
        revision: Revision,
    },
    /// Something became of an intent; it stands in the report, too.
    IntentNoted {
        /// What.
        note: IntentNote,
    },
    /// Keys of the channel are durable: what is written from now on is encrypted.
    PlaneKeysTaken {
        /// Their generation.
        generation: KeyGeneration,
    },
    /// The controller repeated a nonce of this device: freshness is measured from here.
    Anchored,
    /// The controller fell silent for longer than allowed, or was heard again.
    FreshnessChanged {
        /// True when it fell silent.
        is_stale: bool,
    },
    /// The controller counts this key as the device's: every input from now on must come with its signer.
    KeyConfirmed {
        /// The new key.
        thumbprint: Thumbprint,
    },
    /// The controller holds the report that says that this device leaves. Nothing is exchanged any more.
    Left,
    /// A mailbox took what the device holds against the writer of its desired plane.
    EvidencePosted {
        /// What the writer did.
        code: EvidenceCode,
    },
}
