//! Which mailbox this device turns to, and along which route: the part of the driver around the routes.
//!
//! ```text
//!   ask of a session --race--> challenge wins --> engine --hello--> welcome: proven      (no: race without it)
//!   route fails twice --race for another--> same mailbox: the session goes on there
//!                                      '--> another one: a new session
//!   better route answers three times --ask, hello, welcome beside the session--> used from now on
//!   told to move, to a listed URL; another network --> new session
//! ```
//!
//! An ask costs a mailbox no memory; the handshake that follows proves who answers. Refuses to leave a
//! mailbox that works for one that only answers on TCP, and to take a challenge for a proof.

mod prove;

use super::run::{Driver, Happening};
use crate::clock;
use crate::exit::CommandError;
use crate::routes::{Address, Change, Loss, Raced, WayId};
use postern_protocol::device::{Exchange, ExchangeId, Input};
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::Thumbprint;
use postern_protocol::reject::Reject;
use postern_protocol::trust::Trust;
pub(super) use prove::Proving;
use std::time::Duration;

/// What the driver remembers between two mailboxes.
#[derive(Debug)]
pub(super) struct Homing {
    /// The URLs of the join line: used as long as the bundle does not name others, and after those.
    joined: Vec<String>,
    /// True while a bundle was accepted whose URLs nobody looked at.
    has_bundle: bool,
    /// Where the mailbox in use wants this device to go.
    moves_to: Option<String>,
    /// How long the next session waits, where a failure has decided that.
    pause: Option<Duration>,
    /// The way that won the race for the present handshake, until the welcome proves it.
    unproven: Option<WayId>,
    /// True while a race decides on the routes of another network.
    is_elsewhere: bool,
}

impl Homing {
    /// Begins with the URLs of the join line.
    pub(super) const fn new(joined: Vec<String>) -> Self {
        Self {
            joined,
            has_bundle: false,
            moves_to: None,
            pause: None,
            unproven: None,
            is_elsewhere: false,
        }
    }

    /// The URLs of the join line.
    pub(super) fn joined(&self) -> &[String] {
        &self.joined
    }

    /// Remembers that the bundle may list other mailboxes.
    pub(super) const fn note_bundle(&mut self) {
        self.has_bundle = true;
    }

    /// Remembers that the mailbox in use wants this device to go to a URL of the bundle.
    pub(super) fn note_move(&mut self, url: String) {
        self.moves_to = Some(url);
    }

    /// A mailbox refused for a reason that passes by itself: that is not the fault of the way to it.
    pub(super) const fn note_refusal(&mut self, reject: Option<Reject>) {
        if let Some(Reject::Overloaded | Reject::Quota) = reject {
            self.unproven = None;
        }
    }

    /// Takes the pause before the next session, where one is decided.
    pub(super) const fn take_pause(&mut self) -> Option<Duration> {
        self.pause.take()
    }

    /// Takes the way on which a handshake is under way or ended without a proof.
    pub(super) const fn take_unproven(&mut self) -> Option<WayId> {
        self.unproven.take()
    }

    /// True while a handshake is under way on the way that won.
    pub(super) const fn is_proving(&self) -> bool {
        self.unproven.is_some()
    }
}

/// Returns the mailbox addresses in order of preference: as the bundle lists them, then those of the join
/// line that it does not list.
pub(super) fn addresses(trust: &Trust, joined: &[String]) -> Vec<Address> {
    let listed = trust.mailboxes().iter();
    let listed = listed.map(|mailbox| mailbox.urls.as_slice());
    Address::of_all(listed.chain([joined]))
}

/// Returns the mailbox URLs in the order of [`addresses`].
pub(super) fn urls(trust: &Trust, joined: &[String]) -> Vec<String> {
    let addresses = addresses(trust, joined);
    addresses.into_iter().map(|address| address.url).collect()
}

impl Driver {
    /// Takes up the URLs of a new bundle, looks at the network, and asks better ways again when it is time.
    pub(super) fn look_at_routes(&mut self) -> Result<(), CommandError> {
        if std::mem::take(&mut self.homing.has_bundle) {
            let addresses = addresses(self.engine.trust(), &self.homing.joined);
            if let Some(ask) = self.ask_frame() {
                let listed = self.listed();
                self.routes.note_asker(ask, listed);
            }
            if self.routes.replace_addresses(&addresses) {
                self.begin_elsewhere(Duration::ZERO)?;
            }
            self.prepare(false);
        }
        //= spec/postern.md#answer
        //# A device that is told to move SHOULD begin a session there at once, and go on to other
        //# mailboxes when that fails.
        if let Some(url) = self.homing.moves_to.take()
            && self.routes.move_to(&url)
        {
            let transport = self.routes.current_name();
            tracing::info!(transport, "the mailbox sends this device to another one");
            self.begin_elsewhere(Duration::ZERO)?;
        }
        if self.routes.look() {
            self.race_elsewhere()?;
        }
        for probe in self.routes.poll_probes() {
            let sender = self.sender.clone();
            let _task = crate::tasks::spawn(async move {
                let answer = probe.ask().await;
                let _closed = sender.send(Happening::Probed(probe.way, answer)).await;
            });
        }
        Ok(())
    }

    /// Finds out which proxies a PAC script names before anything leaves, and says which ways there are.
    pub(super) async fn prepare_first(&mut self) {
        if let Some(preparation) = self.routes.preparation() {
            let pause = preparation.run().await;
            let _first = self.routes.handle_prepared();
            self.later(pause, Happening::PreparationDue);
        }
        for explanation in self.routes.explain() {
            tracing::info!(reason = explanation, "way to a mailbox");
        }
    }

    /// Asks the PAC script again, beside the loop; as a matter of `routine`, and again later, or once.
    pub(super) fn prepare(&self, routine: bool) {
        let Some(preparation) = self.routes.preparation() else {
            return;
        };
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let pause = preparation.run().await;
            let _closed = sender
                .send(Happening::Prepared(routine.then_some(pause)))
                .await;
        });
    }

    /// Takes up the proxies that the script names now.
    pub(super) fn handle_prepared(&mut self, again: Option<Duration>) -> Result<(), CommandError> {
        if let Some(pause) = again {
            self.later(pause, Happening::PreparationDue);
        }
        if self.routes.handle_prepared() {
            return self.begin_elsewhere(Duration::ZERO);
        }
        Ok(())
    }

    fn ask_frame(&self) -> Option<Vec<u8>> {
        let number = self.engine.trust().number();
        let bundle = Some(number).filter(|number| number.number() > 0);
        PlainFrame::Ask { bundle }.encode().ok()
    }

    fn listed(&self) -> Vec<Thumbprint> {
        let mailboxes = self.engine.trust().mailboxes().iter();
        mailboxes.map(|one| one.key.thumbprint()).collect()
    }

    /// Carries the ask of a session along every way, as the ladder orders them.
    pub(super) fn race(&mut self, exchange: Exchange) {
        let listed = self.listed();
        let contest = self.routes.race(exchange.frame, listed);
        let (sender, id) = (self.sender.clone(), exchange.id);
        let _task = crate::tasks::spawn(async move {
            let raced = contest.run().await;
            let _closed = sender.send(Happening::Raced(Some(id), raced)).await;
        });
    }

    /// Looks for another way than the one in use, which goes on meanwhile.
    pub(super) fn race_for_replacement(&mut self) {
        let contest = self.routes.race_for_replacement();
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let raced = contest.run().await;
            let _closed = sender.send(Happening::Raced(None, raced)).await;
        });
    }

    /// Another network: what is under way may hang, and another way may be the best.
    fn race_elsewhere(&mut self) -> Result<(), CommandError> {
        if self.is_connected {
            self.homing.is_elsewhere = true;
            self.race_for_replacement();
            return Ok(());
        }
        self.begin_elsewhere(Duration::ZERO)?;
        // A long pause may be under way, which was for the network before.
        self.later(Duration::ZERO, Happening::ConnectDue);
        Ok(())
    }

    /// Takes the end of a race.
    pub(super) fn handle_raced(
        &mut self,
        exchange: Option<ExchangeId>,
        raced: Raced,
    ) -> Result<(), CommandError> {
        for (way, loss) in &raced.failures {
            self.note_loss(*way, loss, raced.won.is_some());
        }
        let Some(ended) = self.routes.handle_raced(raced) else {
            // A newer race took its place: the engine must not wait for this one.
            return exchange.map_or(Ok(()), |id| self.feed_failure(id));
        };
        match (ended, exchange) {
            (Ok(won), Some(id)) => {
                self.routes.handle_won(won.way);
                self.homing.unproven = Some(won.way);
                self.feed(Input::Answer {
                    exchange: id,
                    frame: &won.frame,
                })
            }
            (Ok(won), None) => {
                let change = self.routes.handle_won(won.way);
                let is_elsewhere = std::mem::take(&mut self.homing.is_elsewhere);
                if is_elsewhere || change == Change::Mailbox {
                    return self.begin_elsewhere(Duration::ZERO);
                }
                Ok(())
            }
            (Err(failures), Some(id)) => {
                let is_asked = failures.iter().any(|(way, loss)| match loss {
                    Loss::Failed(error) => self.ask_time(id, *way, error),
                    Loss::Refused(_) | Loss::NoMailbox { .. } => false,
                });
                if is_asked {
                    return Ok(());
                }
                self.lose(id, failures)
            }
            (Err(_), None) => {
                let pause = self.routes.handle_lost();
                if std::mem::take(&mut self.homing.is_elsewhere) {
                    return self.begin_elsewhere(pause);
                }
                Ok(())
            }
        }
    }

    fn note_loss(&mut self, way: WayId, loss: &Loss, is_won: bool) {
        let transport = self.routes.name_of(way);
        match loss {
            // Nobody has to act: another way was as good, and the ladder knows why this one was not.
            Loss::Failed(error) if is_won => {
                tracing::debug!(%error, code = error.code(), transport, "a way lost the race");
            }
            Loss::Failed(error) => {
                tracing::warn!(%error, code = error.code(), transport, "exchange failed");
                self.counts.count_failure(error.code());
            }
            Loss::NoMailbox { bytes, .. } => {
                self.note_no_mailbox(*bytes);
                self.counts.count_failure(loss.code());
            }
            Loss::Refused(_) => tracing::debug!(transport, "a mailbox refuses to be asked"),
        }
    }

    /// Nobody won the race for a session: the next one comes after a pause, which all who failed may make longer.
    fn lose(&mut self, id: ExchangeId, failures: Vec<(WayId, Loss)>) -> Result<(), CommandError> {
        self.is_connected = false;
        let wished = failures.iter().map(|(_, loss)| match loss {
            Loss::Failed(error) => error.retry_after_s(),
            Loss::Refused(_) | Loss::NoMailbox { .. } => None,
        });
        let wished = wished.collect::<Option<Vec<_>>>().unwrap_or_default();
        let least = Duration::from_secs(wished.into_iter().min().unwrap_or_default());
        let pause = Loss::shorten(self.routes.handle_lost(), &failures).saturating_add(least);
        let refusals = failures.into_iter().filter_map(|(_, loss)| match loss {
            Loss::Refused(frame) => Some(frame),
            Loss::Failed(_) | Loss::NoMailbox { .. } => None,
        });
        let Some(frame) = refusals.last() else {
            self.later(pause, Happening::FailureDue(id));
            return Ok(());
        };
        self.homing.pause = Some(pause);
        let fed = self.feed(Input::Answer {
            exchange: id,
            frame: &frame,
        });
        self.homing.pause = None;
        fed
    }

    /// The welcome verified: who answers is proven.
    pub(super) fn note_connected(&mut self) {
        let transport = self.routes.current_name();
        tracing::info!(device = self.name(), transport, "session open");
        self.displaced.note_open(clock::mono_ms());
        if let Some(way) = self.homing.take_unproven() {
            self.routes.handle_verified(way);
        }
    }

    /// Begins a session at the mailbox that the routes lead to now, after a pause.
    pub(super) fn begin_elsewhere(&mut self, pause: Duration) -> Result<(), CommandError> {
        self.homing.pause = Some(pause);
        let fed = self.feed(Input::OtherMailbox);
        // Without a session there was nothing to end, and its beginning is on its way already.
        self.homing.pause = None;
        fed
    }
}

#[cfg(test)]
mod tests;
