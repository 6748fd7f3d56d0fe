//! What time it is, for certificates: asked for when they seem to be wrong, remembered, and shown.
//!
//! ```text
//!   certificate out of its period --> ask, hello over a relaxed connection --> welcome, verified
//!     --> a handshake that is strict at its time --> taken; everything is done again, strictly
//! ```
//!
//! The session of such a welcome is dropped: nothing but its time is used. Refuses to set the machine's clock, and to
//! commit for a time more than once a day.

#[cfg(test)]
mod tests;

use super::run::{Driver, Happening};
use crate::clock;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::records;
use crate::routes::{TimeAsk, WayId};
use postern_egress::{Period, TimeRefused, TransportError};
use postern_protocol::cbor::{Reader, Writer};
use postern_protocol::context::draw;
use postern_protocol::device::{ExchangeId, Identity};
use postern_protocol::key::{MemorySigner, PublicKey};
use postern_protocol::record::{RecordError, Table, Write, read};
use postern_protocol::reject::Reject;
use postern_protocol::revision::BundleNumber;
use postern_protocol::session::{Asking, Identity as Greeter};
use postern_protocol::signed_time::SignedTime;
use std::sync::Arc;

const TIME_KEY: &[u8] = b"signed-time";
/// Seconds by which a time has to differ from the stored one before it is worth a commit of its own: a day.
const OWN_COMMIT_S: u64 = 86_400;
/// Seconds by which it has to differ to ride along with another commit. Arbitrary.
const RIDE_ALONG_S: u64 = 3_600;
/// Seconds that the machine's clock may be off before somebody is told. Arbitrary, as Kerberos allows.
const OFF_S_MAX: u64 = 300;
/// Seconds by which the offset has to move to be shown anew: reading two clocks is not exact.
const SHOWN_STEP_S: u64 = 2;

/// The record of a time.
#[must_use]
pub fn to_write(unix_s: u64) -> Write {
    let mut writer = Writer::new();
    writer.uint(unix_s);
    Write {
        table: Table::Identity,
        key: TIME_KEY.into(),
        value: Some(writer.into_bytes()),
    }
}

/// Finds the time that was taken last.
///
/// # Errors
/// [`RecordError`] when it cannot be read.
pub fn find<'a>(
    records: impl IntoIterator<Item = (Table, &'a [u8], &'a [u8])>,
) -> Result<Option<u64>, RecordError> {
    let mut records = records.into_iter();
    let found = records.find(|(table, key, _)| *table == Table::Identity && *key == TIME_KEY);
    found
        .map(|(table, key, value)| read(table, key, value, |reader: &mut Reader<'_>| reader.uint()))
        .transpose()
}

/// What is remembered of time, and what people were told of it. Pure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeNotes {
    stored_s: Option<u64>,
    taken_s: Option<u64>,
    is_off: bool,
    shown_ahead_s: Option<i64>,
}

/// A change that people want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTurn {
    /// The machine's clock is off by more than five minutes.
    Off,
    /// It is right again.
    Right,
}

impl TimeNotes {
    /// Starts with what the store holds.
    #[must_use]
    pub fn new(stored_s: Option<u64>) -> Self {
        Self {
            stored_s,
            ..Self::default()
        }
    }

    /// Notes a time that was taken.
    pub const fn take(&mut self, unix_s: u64) {
        self.taken_s = Some(unix_s);
    }

    fn differs_by(&self, least_s: u64) -> Option<u64> {
        let taken_s = self.taken_s?;
        let is_far = self
            .stored_s
            .is_none_or(|stored_s| stored_s.abs_diff(taken_s) >= least_s);
        is_far.then_some(taken_s)
    }

    /// The time that should go with a commit that happens anyway; it counts as stored from here on.
    pub fn ride_along(&mut self) -> Option<Write> {
        let unix_s = self.differs_by(RIDE_ALONG_S)?;
        self.stored_s = Some(unix_s);
        Some(to_write(unix_s))
    }

    /// The time that is worth a commit of its own; it counts as stored from here on.
    pub fn own_commit(&mut self) -> Option<Write> {
        let unix_s = self.differs_by(OWN_COMMIT_S)?;
        self.stored_s = Some(unix_s);
        Some(to_write(unix_s))
    }

    /// Compares the machine's clock with the time taken; tells the first look that finds it off, or right again.
    pub fn look(&mut self, ahead_s: Option<i64>) -> Option<ClockTurn> {
        let ahead_s = ahead_s?;
        let is_moved = self
            .shown_ahead_s
            .is_none_or(|shown| shown.abs_diff(ahead_s) >= SHOWN_STEP_S);
        if is_moved {
            self.shown_ahead_s = Some(ahead_s);
        }
        let is_off = ahead_s.unsigned_abs() > OFF_S_MAX;
        match (std::mem::replace(&mut self.is_off, is_off), is_off) {
            (false, true) => Some(ClockTurn::Off),
            (true, false) => Some(ClockTurn::Right),
            (false, false) | (true, true) => None,
        }
    }

    /// Seconds that the machine's clock is ahead of the time taken, as it is shown.
    #[must_use]
    pub const fn ahead_s(&self) -> Option<i64> {
        self.shown_ahead_s
    }
}

/// Why no time was taken. The first failure of the way stands beside it in the log.
#[derive(Debug, thiserror::Error)]
pub enum TimeFault {
    /// The way failed beside the period, or is not right at the time that was stated.
    #[error(transparent)]
    Way(#[from] TransportError),
    /// The answer does not verify.
    #[error("the answer is refused ({0})")]
    Refused(Reject),
    /// The answer verifies and states a time before the release.
    #[error(transparent)]
    Early(#[from] TimeRefused),
    /// The answer verifies and states no time.
    #[error("the mailbox states no time")]
    Unstated,
}

impl From<Reject> for TimeFault {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// Who asks a mailbox for the time.
pub struct Asker {
    identity: Identity,
    mailboxes: Vec<PublicKey>,
    bundle: BundleNumber,
    signer: Arc<MemorySigner>,
}

impl Asker {
    //= spec/freshness.md#signed-time
    //# A device MUST take a time that came over such a connection only after a handshake that is strict
    //# at that time has succeeded.
    /// Asks over relaxed connections and proves the way at the time that comes back. The welcome's signature covers
    /// the ephemeral key that is drawn here, so that an earlier answer is none.
    ///
    /// # Errors
    /// [`TimeFault`]: no time may be taken.
    pub async fn ask(&self, way: &TimeAsk) -> Result<SignedTime, TimeFault> {
        let (asking, frame) = Asking::start(self.bundle)?;
        let challenge = way.carry(frame).await?;
        let Identity {
            channel,
            incarnation,
        } = &self.identity;
        let greeter = Greeter::device(channel, *incarnation, self.signer.as_ref());
        let seed = draw(&mut OsRandom);
        let (greeting, hello) =
            asking.handle_challenge(&challenge, &self.mailboxes, greeter, &seed)?;
        let welcome = way.carry(hello).await?;
        let session = greeting.handle_welcome(&welcome, clock::mono_ms())?;
        let time = session.time().ok_or(TimeFault::Unstated)?;
        way.prove(time.unix_s()).await?;
        Ok(time)
    }
}

impl Driver {
    /// Asks for the time after a certificate failed by its period alone. False when there is nothing to ask.
    pub(super) fn ask_time(&self, id: ExchangeId, way: WayId, error: &TransportError) -> bool {
        let ask = error.is_period().then(|| self.routes.time_ask(way));
        let Some(ask) = ask.flatten() else {
            return false;
        };
        let trust = self.engine.trust();
        let asker = Asker {
            identity: self.engine.identity().clone(),
            mailboxes: trust
                .mailboxes()
                .iter()
                .map(|mailbox| mailbox.key.clone())
                .collect(),
            bundle: trust.number(),
            signer: Arc::clone(&self.signer),
        };
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let result = asker.ask(&ask).await;
            let happening = Happening::TimeAsked { id, way, result };
            let _closed = sender.send(happening).await;
        });
        true
    }

    /// Goes on at once where a time was taken, and else as after any failure.
    pub(super) fn handle_time_asked(
        &mut self,
        id: ExchangeId,
        way: WayId,
        result: Result<SignedTime, TimeFault>,
    ) -> Result<(), CommandError> {
        let taken = match result {
            Ok(time) => self.take_time(time)?,
            Err(fault) => {
                tracing::warn!(reason = %fault, transport = self.routes.name_of(way), "time not taken");
                false
            }
        };
        if !taken {
            return self.fail_way(id, way);
        }
        self.end_way(id, way);
        self.handle(Happening::FailureDue(id))
    }

    //= spec/freshness.md#signed-time
    //# A device MUST take a time that came over any other connection only where the certificate of its
    //# session's way is valid at it.
    /// Takes the time that the welcome of a session stated, where the way's own certificate agrees.
    pub(super) fn hear_time(&mut self, time: SignedTime) -> Result<(), CommandError> {
        if is_witnessed(self.routes.period(), time) {
            return self.take_time(time).map(|_taken| ());
        }
        tracing::warn!(
            stated_unix_s = time.unix_s(),
            "the mailbox states a time at which its way's certificate is not valid"
        );
        Ok(())
    }

    fn take_time(&mut self, time: SignedTime) -> Result<bool, CommandError> {
        if let Err(refused) = self.routes.take_time(time.unix_s()) {
            tracing::warn!(reason = %refused, "time not taken");
            return Ok(false);
        }
        self.time.take(time.unix_s());
        if let Some(write) = self.time.own_commit() {
            let _durable = records::commit(self.store.as_ref(), vec![write])?;
            self.counts.commits += 1;
        }
        self.look_at_clock();
        Ok(true)
    }

    /// Compares the machine's clock with the time taken, and says so when it turned out wrong, or right again.
    pub(super) fn look_at_clock(&mut self) {
        let ahead_s = self.routes.time().report().ahead_s;
        match self.time.look(ahead_s) {
            Some(ClockTurn::Off) => tracing::warn!(
                clock_ahead_s = ahead_s,
                remedy = "set this machine's clock; certificates are checked at the signed time",
                "this machine's clock is off"
            ),
            Some(ClockTurn::Right) => {
                tracing::info!(
                    clock_ahead_s = ahead_s,
                    "this machine's clock is right again"
                );
            }
            None => {}
        }
    }
}

/// Tells whether a certificate that stands in for the way is valid at a stated time. Without one nothing is believed.
#[must_use]
pub fn is_witnessed(period: Option<Period>, time: SignedTime) -> bool {
    period.is_some_and(|period| period.contains(time.unix_s()))
}
