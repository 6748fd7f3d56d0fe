//! Sessions that go on in another process, which begins where this one ends.
//!
//! Refuses to keep what it gave away: a frame that comes afterwards is `session-unknown` here.

use super::{Exchanges, Owner};
use crate::mailbox::Mailboxes;
use postern_protocol::Reject;
use postern_protocol::session::HandedSession;

impl Exchanges {
    /// Gives every confirmed session away and drops all mailboxes, which the next process reads from
    /// its store: both at once might not fit into the machine.
    pub(crate) fn hand_over(&mut self, now_ms: u64) -> Vec<(Owner, HandedSession)> {
        self.mailboxes = Mailboxes::new(self.limits.mailbox);
        self.sessions.take_confirmed(now_ms)
    }

    /// Goes on with a session that another process gave away `gone_ms` ago.
    ///
    /// # Errors
    /// Those of [`adopt`](postern_protocol::session::Sessions::adopt).
    pub(crate) fn take_over(
        &mut self,
        owner: Owner,
        session: &HandedSession,
        gone_ms: u64,
        now_ms: u64,
    ) -> Result<(), Reject> {
        self.sessions.adopt(owner, session, gone_ms, now_ms)
    }
}
