//! A writer's link to one mailbox in a process of its own, for one tenant: collects, delivers, fills anew.
//!
//! ```text
//!  Down --Connect--> Asking --challenge--> Greeting --welcome--> Open: one collect and one work at a time
//! ```
//!
//! Drain [`WriterLink::poll_output`] after every input. What the mailbox says is authenticated by its
//! session and believed for nothing but pace: the engine verifies every envelope. Refuses to let a
//! mailbox have more signed than it lost, and to hold more than a bounded part of what it lacks.

mod answers;
mod handshake;
mod io;
mod outbox;
mod pump;
#[cfg(test)]
mod tests;
mod wishes;

pub use io::{Event, ExchangeId, Input, Letter, Output, Piece};

use crate::cbor::Writer;
use crate::context::{Now, Random};
use crate::frame::{Wanted, WantedBody};
use crate::id::{ChannelId, Tenant, Thumbprint};
use crate::key::{PublicKey, Signer};
use crate::limits::{HOLD_S_MAX, LINK_ENROLLED_MAX, LINK_FETCHES_MAX};
use crate::record::{RecordError, Table, Write, read};
use crate::reject::Reject;
use crate::revision::{ArrivalNumber, BundleNumber, Knock, StoreEpoch};
use crate::session::{ClientSession, Link};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use outbox::Outbox;
use wishes::{Wish, Wishes};

/// What the link is given with every input.
pub struct Context<'a> {
    /// The moment.
    pub now: Now,
    /// Random bytes.
    pub random: &'a mut dyn Random,
    /// The tenant's writer key.
    pub signer: &'a dyn Signer,
}

/// Which mailbox a link is to, and for whom.
#[derive(Debug, Clone)]
pub struct LinkIdentity {
    /// Thumbprint of the genesis root key.
    pub root: Thumbprint,
    /// The tenant.
    pub tenant: Tenant,
    /// The mailbox's key, as the bundle names it.
    pub mailbox: PublicKey,
}

/// One exchange under way.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    exchange: ExchangeId,
    counter: u16,
}

/// What an exchange beside the collect is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Deliver,
    Bodies(ChannelId),
    Fetch(ChannelId),
    Enrolled,
}

/// An open session.
#[derive(Debug)]
struct Open {
    session: ClientSession,
    collect: Option<InFlight>,
    /// When the collect under way began.
    collect_since_ms: u64,
    collect_after_ms: u64,
    work: Option<(InFlight, Work)>,
    work_after_ms: u64,
}

/// The link's state.
#[derive(Debug)]
pub struct WriterLink {
    identity: LinkIdentity,
    bundle: BundleNumber,
    link: Link<ExchangeId, Open>,
    /// The mailbox's store, and what of it is durable here.
    store: StoreEpoch,
    taken: ArrivalNumber,
    /// What was collected, and the last of it that the controller was given.
    seen: ArrivalNumber,
    given: ArrivalNumber,
    store_changed_ms: Option<u64>,
    hold_s: Option<u64>,
    hold_s_max: u64,
    outbox: Outbox,
    /// Bodies that the mailbox lacks of the snapshot that was delivered last.
    lacking: VecDeque<WantedBody>,
    puts: usize,
    enrolled: VecDeque<(Knock, Vec<u8>)>,
    fetches: BTreeMap<ChannelId, Vec<Wanted>>,
    wishes: Wishes,
    refilling: Option<ChannelId>,
    exchanges: u64,
    outputs: VecDeque<Output>,
}

impl WriterLink {
    /// Starts a link that is down. `bundle` is the one held; `record` is what [`Self::record_key`] finds in
    /// [`Table::Relays`].
    ///
    /// # Errors
    /// [`RecordError`] when the record cannot be read.
    pub fn new(
        identity: LinkIdentity,
        bundle: BundleNumber,
        record: Option<&[u8]>,
    ) -> Result<Self, RecordError> {
        let (mut store, mut taken) = (StoreEpoch::new(0), ArrivalNumber::new(0));
        if let Some(record) = record {
            let key = Self::record_key(&identity);
            (store, taken) = read(Table::Relays, &key, record, |reader| {
                reader.array_of(2)?;
                let store = StoreEpoch::new(reader.uint()?);
                Ok((store, ArrivalNumber::new(reader.uint()?)))
            })?;
        }
        Ok(Self {
            identity,
            bundle,
            link: Link::default(),
            store,
            taken,
            seen: taken,
            given: taken,
            store_changed_ms: None,
            hold_s: None,
            hold_s_max: HOLD_S_MAX,
            outbox: Outbox::default(),
            lacking: VecDeque::new(),
            puts: 0,
            enrolled: VecDeque::new(),
            fetches: BTreeMap::new(),
            wishes: Wishes::default(),
            refilling: None,
            exchanges: 0,
            outputs: VecDeque::new(),
        })
    }

    /// Where the link keeps its record: the mailbox's thumbprint, then the tenant.
    #[must_use]
    pub fn record_key(identity: &LinkIdentity) -> Vec<u8> {
        let mailbox = identity.mailbox.thumbprint();
        let mut key = mailbox.as_bytes().to_vec();
        key.extend_from_slice(identity.tenant.as_str().as_bytes());
        key
    }

    /// Takes one input. Afterwards drain [`Self::poll_output`].
    pub fn handle_input(&mut self, context: &mut Context<'_>, input: Input<'_>) {
        let now_ms = context.now.mono_ms;
        match input {
            Input::Connect => self.connect(),
            Input::Hold { seconds } => self.hold_s = Some(seconds),
            Input::Answer { exchange, frame } => self.handle_answer(context, exchange, frame),
            Input::Failed { exchange } => self.handle_failure(now_ms, exchange),
            Input::Deliver(letter) => self.deliver(now_ms, letter),
            Input::Enrolled { knock, frame } => {
                self.enrolled.retain(|(held, _)| *held != knock);
                if self.enrolled.len() >= LINK_ENROLLED_MAX {
                    self.enrolled.pop_front();
                }
                self.enrolled.push_back((knock, frame));
            }
            Input::Fetch { channel, wanted } => {
                let is_known = self.fetches.contains_key(&channel);
                if is_known || self.fetches.len() < LINK_FETCHES_MAX {
                    self.fetches.insert(channel, wanted);
                }
            }
            Input::Refill { channels } => self.outbox.note_lacking(channels),
            Input::Refilled { channel } => {
                self.refilling.take_if(|held| *held == channel);
            }
            Input::Taken { arrival } => self.take(arrival),
            Input::Timeout => {}
        }
        self.pump(context);
    }

    fn deliver(&mut self, now_ms: u64, letter: Letter) {
        if let Some(channel) = self.outbox.push(letter) {
            self.want_snapshot(now_ms, channel);
        }
        if let Some(number) = self.outbox.newest_bundle() {
            self.bundle = self.bundle.max(BundleNumber::new(number.number()));
        }
    }

    /// What was collected up to here needs not come again.
    fn take(&mut self, arrival: ArrivalNumber) {
        // Behind what was given there is only what nobody needs to take.
        let taken = if arrival >= self.given {
            self.seen
        } else {
            arrival
        };
        if taken > self.taken && taken <= self.seen {
            self.taken = taken;
            self.persist();
        }
    }

    fn persist(&mut self) {
        let mut writer = Writer::new();
        writer
            .array(2)
            .uint(self.store.number())
            .uint(self.taken.number());
        let write = Write {
            table: Table::Relays,
            key: Self::record_key(&self.identity),
            value: Some(writer.into_bytes()),
        };
        self.outputs.push_back(Output::Persist(Vec::from([write])));
    }

    /// Asks for a snapshot unless one waits already: now, or as soon as it may.
    fn want_snapshot(&mut self, now_ms: u64, channel: ChannelId) {
        if self.outbox.has_snapshot(channel) {
            return;
        }
        self.outbox.break_chain(channel);
        if self.wishes.ask(now_ms, channel, Wish::Snapshot) {
            self.outputs.push_back(Output::SnapshotWanted { channel });
        }
    }

    /// Asks for what could not be asked for when it was missed.
    fn ask_late(&mut self, now_ms: u64) {
        while let Some((channel, wish)) = self.wishes.take_due(now_ms) {
            match wish {
                Wish::Snapshot if self.outbox.is_broken(channel) => {
                    self.outputs.push_back(Output::SnapshotWanted { channel });
                }
                // One went out meanwhile.
                Wish::Snapshot => {}
                Wish::Refill => self.outbox.note_lacking(Vec::from([channel])),
            }
        }
    }

    /// The moment, in the driver's milliseconds, at which [`Input::Timeout`] is due, if any.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let open = self.link.open()?;
        let is_collect_due = open.collect.is_none() && self.hold_s.is_some();
        let collect_ms =
            (is_collect_due && self.seen == self.taken).then_some(open.collect_after_ms);
        let is_work_due = open.work.is_none() && self.has_work();
        let work_ms = is_work_due.then_some(open.work_after_ms);
        let due = [collect_ms, work_ms, self.wishes.due_ms()];
        due.into_iter().flatten().min()
    }

    /// Takes the next output, in order. `None` when the input is fully drained.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// True while frames may be exchanged.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.open().is_some()
    }

    /// The mailbox's store, 0 when it was never heard of.
    #[must_use]
    pub const fn store(&self) -> StoreEpoch {
        self.store
    }

    /// What was collected and is durable here.
    #[must_use]
    pub const fn cursor(&self) -> ArrivalNumber {
        self.taken
    }

    /// Bytes of letters that wait.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.outbox.size_bytes()
    }

    fn has_work(&self) -> bool {
        !(self.enrolled.is_empty()
            && self.lacking.is_empty()
            && self.fetches.is_empty()
            && self.outbox.is_idle())
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Ends the session: the driver waits as after a failure and connects again.
    fn give_up(&mut self, reject: Reject) {
        self.event(Event::Rejected { reject });
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.link.end();
        self.outbox.begin_session();
        self.lacking.clear();
        // What was given and not taken yet will be; what comes twice is judged twice.
        self.outputs.push_back(Output::Reconnect);
    }
}
