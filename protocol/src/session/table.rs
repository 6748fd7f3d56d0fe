//! The sessions of a mailbox: bounded, at most one confirmed and one pending for each owner.
//!
//! ```text
//!  hello verified --offer--> pending --first frame that verifies--> confirmed (older one displaced)
//! ```
//!
//! A newcomer that nobody confirmed never costs a confirmed session its place: only the oldest
//! pending one goes. Refuses to grow beyond its capacity.

use super::handover::HandedSession;
use super::mailbox::{PendingSession, ReceivedHello, ServerSession};
use crate::frame::{Direction, SessionFrame, UpFrame};
use crate::id::SessionId;
use crate::limits::PENDING_SESSION_MS_MAX;
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Sessions by id; `K` names the owner of a session (a channel, or the caller's number for it).
#[derive(Debug)]
pub struct Sessions<K: Ord + Clone> {
    capacity: usize,
    sessions: BTreeMap<SessionId, Entry<K>>,
    owners: BTreeMap<K, Places>,
    /// Pending sessions in the order of their hellos.
    pending: BTreeMap<u64, SessionId>,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry<K> {
    owner: K,
    session: ServerSession,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Pending { arrival: u64, expires_ms: u64 },
    Confirmed,
}

#[derive(Debug, Default, Clone, Copy)]
struct Places {
    confirmed: Option<SessionId>,
    pending: Option<SessionId>,
}

/// A request that verified.
#[derive(Debug)]
pub struct Opened<'a, K> {
    /// Whose session it is.
    pub owner: K,
    /// The session, to seal the answer with.
    pub session: SessionId,
    /// To be repeated in the answer.
    pub counter: u16,
    /// The request.
    pub frame: UpFrame<'a>,
    /// The owner's older session that this frame displaced: its held polls end.
    pub displaced: Option<SessionId>,
}

impl<K: Ord + Clone> Sessions<K> {
    /// Starts an empty table for at most `capacity` sessions, pending ones included.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            pending: BTreeMap::new(),
            arrivals: 0,
        }
    }

    /// Sessions held, pending ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True when no session is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Looks up a session to seal an answer.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&ServerSession> {
        self.sessions.get(&id).map(|entry| &entry.session)
    }

    /// True while somebody has a session, a pending one included.
    #[must_use]
    pub fn is_owner(&self, owner: &K) -> bool {
        self.owners.contains_key(owner)
    }

    /// The owner's confirmed session.
    #[must_use]
    pub fn confirmed(&self, owner: &K) -> Option<SessionId> {
        self.owners.get(owner).and_then(|places| places.confirmed)
    }

    //= spec/postern.md#hello
    //# A mailbox MUST answer the same hello again with the same session, as long as that session
    //# lives.
    /// Finds the owner's session that came from the very same hello, so that one sent twice
    /// gets the same session. Nothing here is verified yet: the handshake checks the transcript.
    #[must_use]
    pub fn find_same(&self, owner: &K, hello: &ReceivedHello<'_>) -> Option<SessionId> {
        let places = self.owners.get(owner)?;
        [places.pending, places.confirmed]
            .into_iter()
            .flatten()
            .find(|id| {
                self.session(*id).is_some_and(|session| {
                    Some(session.transcript) == hello.unverified_transcript()
                })
            })
    }

    /// Takes a verified hello's session as the owner's pending one; the same hello again changes nothing.
    ///
    /// # Errors
    /// `overloaded` when only confirmed sessions fill the table, or when another session has the id.
    pub fn offer(&mut self, owner: K, offered: PendingSession, now_ms: u64) -> Result<(), Reject> {
        let session = offered.0;
        let id = session.id;
        //= spec/postern.md#hello
        //# A mailbox MUST choose a session id that no live session has.
        if let Some(held) = self.sessions.get(&id) {
            let is_same = held.owner == owner && held.session.transcript == session.transcript;
            return if is_same {
                Ok(())
            } else {
                Err(Reject::Overloaded)
            };
        }
        if let Some(replaced) = self.owners.get(&owner).and_then(|places| places.pending) {
            self.remove(replaced);
        }
        if self.sessions.len() >= self.capacity {
            let Some((_, oldest)) = self.pending.first_key_value() else {
                return Err(Reject::Overloaded);
            };
            self.remove(*oldest);
        }
        self.arrivals = self.arrivals.wrapping_add(1);
        let phase = Phase::Pending {
            arrival: self.arrivals,
            //= spec/postern.md#hello
            //# A mailbox MUST forget a session whose first frame has not come 60 s after the
            //# welcome.
            expires_ms: now_ms.saturating_add(PENDING_SESSION_MS_MAX),
        };
        self.pending.insert(self.arrivals, id);
        self.owners.entry(owner.clone()).or_default().pending = Some(id);
        let entry = Entry {
            owner,
            session,
            phase,
        };
        self.sessions.insert(id, entry);
        Ok(())
    }

    /// Opens a request; the first that verifies confirms its session and displaces the older one.
    ///
    /// # Errors
    /// Frame rejects; `session-unknown`, also for one whose time is over; those of [`ServerSession::open`].
    pub fn open<'a>(&mut self, bytes: &'a [u8], now_ms: u64) -> Result<Opened<'a, K>, Reject> {
        let frame = SessionFrame::split(bytes, Direction::Up)?;
        let id = frame.session();
        //= spec/postern.md#sessions
        //# A receiver MUST refuse a session id that it does not hold with `session-unknown`.
        let entry = self.sessions.get_mut(&id).ok_or(Reject::SessionUnknown)?;
        //= spec/postern.md#sessions
        //# A mailbox MUST end a session at the age that its welcome names, which is at most 86400
        //# s.
        if entry.is_over(now_ms) {
            self.remove(id);
            return Err(Reject::SessionUnknown);
        }
        //= spec/postern.md#rejects
        //# A peer MUST NOT be able to end a process, close another's session or change a state by
        //# what is refused.
        let (counter, body) = entry.session.open(&frame)?;
        let owner = entry.owner.clone();
        let displaced = self.confirm(id);
        Ok(Opened {
            owner,
            session: id,
            counter,
            frame: body,
            displaced,
        })
    }

    //= spec/postern.md#sessions
    //# A mailbox MUST keep the older session of a channel until the first frame that verifies under
    //# the new one.
    /// Makes a pending session its owner's confirmed one and returns the one that it displaced.
    fn confirm(&mut self, id: SessionId) -> Option<SessionId> {
        let entry = self.sessions.get_mut(&id)?;
        let arrival = match entry.phase {
            Phase::Pending { arrival, .. } => arrival,
            Phase::Confirmed => return None,
        };
        entry.phase = Phase::Confirmed;
        self.pending.remove(&arrival);
        let places = self.owners.entry(entry.owner.clone()).or_default();
        places.pending = None;
        let displaced = places.confirmed.replace(id);
        if let Some(older) = displaced {
            self.sessions.remove(&older);
        }
        displaced
    }

    /// Drops every session whose time is over and returns their ids. Costs the size of the table.
    pub fn expire(&mut self, now_ms: u64) -> Vec<SessionId> {
        let over: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, entry)| entry.is_over(now_ms))
            .map(|(id, _)| *id)
            .collect();
        for id in &over {
            self.remove(*id);
        }
        over
    }

    /// Drops an owner's sessions, as when its key is revoked, and returns their ids.
    pub fn remove_owner(&mut self, owner: &K) -> Vec<SessionId> {
        let places = self.owners.get(owner).copied().unwrap_or_default();
        let ids: Vec<SessionId> = [places.confirmed, places.pending]
            .into_iter()
            .flatten()
            .collect();
        for id in &ids {
            self.remove(*id);
        }
        ids
    }

    /// Gives every confirmed session away, for another process to go on with, and forgets all
    /// others: from now on this table knows none.
    pub fn take_confirmed(&mut self, now_ms: u64) -> Vec<(K, HandedSession)> {
        let all = core::mem::replace(self, Self::new(self.capacity)).sessions;
        all.into_values()
            .filter(|entry| matches!(entry.phase, Phase::Confirmed) && !entry.is_over(now_ms))
            .map(|entry| (entry.owner, HandedSession::pack(&entry.session, now_ms)))
            .collect()
    }

    /// Goes on with a confirmed session of another process, which packed it `gone_ms` ago.
    ///
    /// # Errors
    /// `shape` and `session-unknown` for one that cannot go on; `overloaded` for an id or owner
    /// that has a session here, and where the table is full.
    pub fn adopt(
        &mut self,
        owner: K,
        handed: &HandedSession,
        gone_ms: u64,
        now_ms: u64,
    ) -> Result<(), Reject> {
        let session = handed.unpack(gone_ms, now_ms)?;
        let id = session.id;
        let is_full = self.sessions.len() >= self.capacity;
        if is_full || self.sessions.contains_key(&id) || self.owners.contains_key(&owner) {
            return Err(Reject::Overloaded);
        }
        let places = Places {
            confirmed: Some(id),
            pending: None,
        };
        self.owners.insert(owner.clone(), places);
        let phase = Phase::Confirmed;
        let entry = Entry {
            owner,
            session,
            phase,
        };
        self.sessions.insert(id, entry);
        Ok(())
    }

    fn remove(&mut self, id: SessionId) {
        let Some(entry) = self.sessions.remove(&id) else {
            return;
        };
        if let Phase::Pending { arrival, .. } = entry.phase {
            self.pending.remove(&arrival);
        }
        if let Some(places) = self.owners.get_mut(&entry.owner) {
            places.pending = places.pending.filter(|held| *held != id);
            places.confirmed = places.confirmed.filter(|held| *held != id);
            if places.pending.is_none() && places.confirmed.is_none() {
                self.owners.remove(&entry.owner);
            }
        }
    }
}

impl<K> Entry<K> {
    const fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.session.expires_ms
            || match self.phase {
                Phase::Pending { expires_ms, .. } => now_ms >= expires_ms,
                Phase::Confirmed => false,
            }
    }
}
