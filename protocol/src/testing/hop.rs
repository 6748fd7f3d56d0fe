//! What stands between controller and devices: a mailbox, as the world uses it.
//!
//! ```text
//!  controller --admit, take, show_bundles--> Hop --handle: answered, held, or handed up--> device
//! ```
//!
//! [`TestMailbox`](super::TestMailbox) is one, as simple as can be; a crate with another one brings it along. Refuses
//! to know a clock, dice or the network: the world has them.

use super::handled::{Asked, Handled, HeldPoll};
use crate::controller::Post;
use crate::frame::Wanted;
use crate::id::{Channel, ChannelId, Incarnation};
use crate::key::{MemorySigner, PublicKey};
use crate::reject::Reject;
use crate::revision::{Epoch, Generation, Revision, Seq};
use crate::trust::{BundleStep, Trust};
use alloc::vec::Vec;
use core::fmt::Debug;

/// A head of a desired plane, and a report that is acknowledged, where there are any.
pub type Held = (Option<(Generation, Revision)>, Option<(Epoch, Seq)>);

/// One mailbox that serves the devices of a world.
pub trait Hop: Debug {
    /// Forgets every session, as a restarted mailbox does. What is kept stays.
    fn restart(&mut self);

    /// What a file for this channel would hold: the bundles, the chain, and the bodies that it names.
    #[must_use]
    fn file_of(&self, channel: ChannelId) -> Vec<Vec<u8>>;

    /// How many keys it has.
    #[must_use]
    fn keys(&self) -> usize;

    /// Takes a further key, which bundles from `first` on list; the former keys answer older bundles.
    fn rotate(&mut self, signer: MemorySigner, first: u64);

    /// A controller was started with this trust, and with this mailbox where they are one process. Returns true when
    /// it holds nothing any more: the controller fills it.
    fn begin(&mut self, trust: &Trust, bundles: &[Vec<u8>]) -> bool;

    /// Forgets what it kept of every channel, which it may not.
    fn lose(&mut self);

    /// Tells whether it serves a device on this channel; what is posted for others is kept nowhere.
    #[must_use]
    fn is_serving(&self, channel: ChannelId) -> bool;

    /// The newest head of the desired plane and the newest acknowledgement that it holds, or holds back.
    #[must_use]
    fn held(&self, channel: ChannelId) -> Held;

    /// Serves a device from now on; another incarnation or a key of no rotation starts with nothing. Returns true
    /// when it does.
    fn admit(
        &mut self,
        channel: Channel,
        incarnation: Incarnation,
        key: PublicKey,
        next: Option<PublicKey>,
    ) -> bool;

    /// Serves a device no more.
    fn evict(&mut self, channel: ChannelId);

    /// Takes a post of the controller. Returns true when a snapshot is wanted.
    fn take(&mut self, channel: ChannelId, generation: Generation, post: Post, now_ms: u64)
    -> bool;

    /// Takes what the controller holds of the actual plane.
    fn set_actual_held(&mut self, channel: ChannelId, revision: Revision);

    /// Shows a channel nothing new from now on, but a heartbeat every `drip_ms` if that is given.
    fn freeze(&mut self, channel: ChannelId, drip_ms: Option<u64>);

    /// Shows a channel everything again. Returns true when a snapshot is wanted.
    fn thaw(&mut self, channel: ChannelId, now_ms: u64) -> bool;

    /// Tells one of the older things of a channel again in the next answer to a poll.
    fn tell_again(&mut self, channel: ChannelId, which: u64);

    /// Envelopes of the longest chain.
    #[must_use]
    fn entries_max(&self) -> usize;

    /// Takes what the controller hands to mailboxes: the newest bundle, and which ones lead to it.
    fn show_bundles(&mut self, steps: Vec<BundleStep>);

    /// Tells whether a poll that was looked at before may be answered otherwise now.
    #[must_use]
    fn is_stirred(&self) -> bool;

    /// Tells the same of one poll, unless the device is asked for its plane.
    #[must_use]
    fn is_stirred_for(&self, held: &HeldPoll) -> bool;

    /// Tells whether the device is asked for its plane now and then while it holds this poll.
    #[must_use]
    fn is_asking(&self, held: &HeldPoll) -> bool;

    /// Every held poll was looked at.
    fn settle(&mut self);

    /// Tells whether the controller should sign a heartbeat before an idle answer.
    fn wants_heartbeat(&mut self, held: &HeldPoll, now_ms: u64) -> bool;

    /// Handles one frame of a client.
    ///
    /// # Errors
    /// Whatever the sessions refuse; the caller answers with a `refused` frame.
    fn handle(&mut self, frame: &[u8], now_ms: u64) -> Result<Handled, Reject>;

    /// Answers a post or a put once the controller has taken it: what was refused, by place in the
    /// post, and the bodies that it lacks.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    fn answer_post(
        &mut self,
        asked: Asked,
        refused: &[(u32, u16)],
        wanted: Vec<Wanted>,
    ) -> Result<Vec<u8>, Reject>;

    /// Answers a held poll when something is newer, or with nothing when its time is over.
    ///
    /// # Errors
    /// `session-unknown` when the session ended meanwhile.
    fn release(
        &mut self,
        held: &HeldPoll,
        is_over: bool,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, Reject>;
}
