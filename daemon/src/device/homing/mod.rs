//! Which mailbox this device turns to: the order of the bundle, another after a failure, the best one again.
//!
//! ```text
//!   bundle --urls--> routes          failure --begin_elsewhere--> new session at the next mailbox
//!   told to move, to a listed URL --> new session there
//!   comeback due --probe--> ask, challenge --handle_probed--> new session at the better mailbox
//! ```
//!
//! A probe is an ask, which costs a mailbox no memory; the handshake that follows proves who answers.
//! Refuses to leave a mailbox that works for one that only answers on TCP.

use super::run::{Driver, Happening};
use crate::exit::CommandError;
use crate::routes::WayId;
use postern_protocol::device::Input;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::Thumbprint;
use postern_protocol::trust::Trust;
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
}

impl Homing {
    /// Begins with the URLs of the join line.
    pub(super) const fn new(joined: Vec<String>) -> Self {
        Self {
            joined,
            has_bundle: false,
            moves_to: None,
            pause: None,
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

    /// Takes the pause before the next session, where one is decided.
    pub(super) const fn take_pause(&mut self) -> Option<Duration> {
        self.pause.take()
    }
}

/// Returns the mailbox URLs in order of preference: as the bundle lists them, then those of the join
/// line that it does not list.
pub(super) fn urls(trust: &Trust, joined: &[String]) -> Vec<String> {
    let listed = trust.mailboxes().iter().flat_map(|mailbox| &mailbox.urls);
    let mut urls: Vec<String> = Vec::new();
    for url in listed.chain(joined) {
        if !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    urls
}

/// Tells whether an answer to an ask is the challenge of a mailbox that the bundle lists.
fn is_challenge(body: &[u8], listed: &[Thumbprint]) -> bool {
    match PlainFrame::decode(body, Direction::Down) {
        Ok(PlainFrame::Challenge { mailbox, .. }) => listed.contains(&mailbox),
        Ok(_) | Err(_) => false,
    }
}

impl Driver {
    /// Takes up the URLs of a new bundle, and asks better ways again when it is time.
    pub(super) fn look_at_routes(&mut self) -> Result<(), CommandError> {
        if std::mem::take(&mut self.homing.has_bundle) {
            let urls = urls(self.engine.trust(), &self.homing.joined);
            if self.routes.replace_urls(&urls) {
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
        let probes = self.routes.poll_probes();
        if probes.is_empty() {
            return Ok(());
        }
        let bundle = Some(self.engine.trust().number());
        let Ok(ask) = (PlainFrame::Ask { bundle }).encode() else {
            return Ok(());
        };
        let mailboxes = self.engine.trust().mailboxes().iter();
        let listed: Vec<_> = mailboxes.map(|one| one.key.thumbprint()).collect();
        let sender = self.sender.clone();
        let _task = crate::tasks::spawn(async move {
            let mut found = None;
            for probe in probes {
                let body = probe.ask(ask.clone()).await;
                if body.is_some_and(|body| is_challenge(&body, &listed)) {
                    found = Some(probe.way);
                    break;
                }
            }
            let _closed = sender.send(Happening::Probed(found)).await;
        });
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

    /// Takes what the better ways answered.
    pub(super) fn handle_probed(&mut self, found: Option<WayId>) -> Result<(), CommandError> {
        if self.routes.handle_probed(found) {
            tracing::info!(
                transport = self.routes.current_name(),
                "a better mailbox answers again"
            );
            return self.begin_elsewhere(Duration::ZERO);
        }
        Ok(())
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
