//! The relays of this controller: mailboxes in other processes, to which it dials out.
//!
//! ```text
//!   engine's thread --posts--> Relays --letters--> link (one task a relay and tenant) --frames--> relay
//!          ^------- work: posted, put, enrol, refill, persist ------'
//! ```
//!
//! Which they are stands in the bundle; how to get there in `controller.toml`; what vouches for
//! their TLS beside the system, in `relays/` of the controller's folder. Reading order: [`Relays`]
//! (what the engine's thread sees), `link` (one task). Refuses to take a TLS anchor as authority
//! over messages, and to let a relay that is slow or gone slow the engine down.

mod anchors;
mod carry;
mod link;
mod race;
mod start;
#[cfg(test)]
mod tests;

pub use anchors::{anchor_folder, is_behind, read_anchor, write_anchor, write_behind};
pub use start::Starter;

use link::LinkTask;
use postern_protocol::controller::{Post, Ticket};
use postern_protocol::id::{ChannelId, Tenant, Thumbprint};
use postern_protocol::writer_link::Letter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Letters that may wait for a link's task, which takes them at once. Arbitrary; beyond it the
/// relay is filled anew, so that nothing is lost.
const LETTERS_MAX: usize = 4_096;

/// What the engine's thread tells a link.
#[derive(Debug)]
pub(super) enum ToLink {
    /// Bring this to the relay.
    Letter(Letter),
    /// Everything of the channel that this link asked for came before this.
    Refilled(ChannelId),
}

/// Names a link for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(u64);

/// What the engine's thread knows of a link.
#[derive(Debug)]
struct Held {
    id: LinkId,
    tenant: Tenant,
    relay: Thumbprint,
    letters: mpsc::Sender<ToLink>,
    /// Set when a letter found no room: the link then asks for everything anew.
    is_behind: Arc<AtomicBool>,
    /// Whether a session is open now.
    is_open: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Whether a relay is reached, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayShown {
    /// Thumbprint of the relay's key.
    pub relay: Thumbprint,
    /// The tenant.
    pub tenant: Tenant,
    /// Whether a session is open now.
    pub is_open: bool,
}

/// All links, as the engine's thread and the operators' desk share them.
#[derive(Debug, Clone, Default)]
pub struct Relays {
    held: Arc<Mutex<Links>>,
}

#[derive(Debug, Default)]
struct Links {
    made: u64,
    links: Vec<Held>,
    /// Who asked for the channel that the engine is handing out, by the request's ticket.
    refilling: Vec<(Ticket, LinkId, ChannelId)>,
}

impl Relays {
    fn lock(&self) -> MutexGuard<'_, Links> {
        // A panic elsewhere leaves the list usable: each change is made as a whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when there is nobody to post to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().links.is_empty()
    }

    /// Hands a post to every relay of the tenant.
    pub fn post(&self, tenant: &Tenant, channel: ChannelId, post: &Post) {
        for link in self
            .lock()
            .links
            .iter()
            .filter(|link| link.tenant == *tenant)
        {
            link.tell(ToLink::Letter(Letter::of(channel, post.clone())));
        }
    }

    /// Hands a bundle to every relay.
    pub fn post_bundle(&self, envelope: &[u8]) {
        for link in &self.lock().links {
            link.tell(ToLink::Letter(Letter::bundle(envelope.to_vec())));
        }
    }

    /// Remembers which link a request to fill one relay is for.
    pub fn note_refill(&self, ticket: Ticket, link: LinkId, channel: ChannelId) {
        self.lock().refilling.push((ticket, link, channel));
    }

    /// Hands a post to the one relay that is being filled.
    pub fn refill(&self, ticket: Ticket, channel: ChannelId, post: Post) {
        let links = self.lock();
        if let Some(link) = links.asker(ticket) {
            link.tell(ToLink::Letter(Letter::of(channel, post)));
        }
    }

    /// The channel is filled, or nothing is to be told of it; other tickets change nothing.
    pub fn end_refill(&self, ticket: Ticket) {
        let mut links = self.lock();
        let mut refilling = links.refilling.iter();
        let found = refilling.find(|(held, _, _)| *held == ticket);
        let Some((_, _, channel)) = found.copied() else {
            return;
        };
        if let Some(link) = links.asker(ticket) {
            link.tell(ToLink::Refilled(channel));
        }
        links.refilling.retain(|(held, _, _)| *held != ticket);
    }

    /// Every link and whether it is open.
    #[must_use]
    pub fn shown(&self) -> Vec<RelayShown> {
        let links = self.lock();
        let shown = links.links.iter().map(|link| RelayShown {
            relay: link.relay,
            tenant: link.tenant.clone(),
            is_open: link.is_open.load(Ordering::Relaxed),
        });
        shown.collect()
    }

    /// Ends every link and starts these in their place.
    fn replace(&self, tasks: Vec<LinkTask>) {
        let mut links = self.lock();
        for link in links.links.drain(..) {
            link.task.abort();
        }
        links.refilling.clear();
        for task in tasks {
            links.made += 1;
            let id = LinkId(links.made);
            let (letters, received) = mpsc::channel(LETTERS_MAX);
            let (tenant, relay) = (task.tenant().clone(), task.relay());
            let (is_behind, is_open) = task.flags();
            let task = crate::tasks::spawn(task.run(id, received)).abort_handle();
            links.links.push(Held {
                id,
                tenant,
                relay,
                letters,
                is_behind,
                is_open,
                task,
            });
        }
    }
}

impl Links {
    fn asker(&self, ticket: Ticket) -> Option<&Held> {
        let mut refilling = self.refilling.iter();
        let (_, id, _) = refilling.find(|(held, _, _)| *held == ticket)?;
        self.links.iter().find(|link| link.id == *id)
    }
}

impl Held {
    fn tell(&self, what: ToLink) {
        if self.letters.try_send(what).is_err() {
            self.is_behind.store(true, Ordering::Relaxed);
        }
    }
}
