//! Who is at the other end: three signed steps, then short authenticated frames.
//!
//! ```text
//!  device, writer                           mailbox
//!  Asking   --ask-------------------------> (nothing stored)
//!           <------------------challenge--- window key, ephemeral key
//!  Greeting --hello (signed)--------------> PendingSession
//!           <------------welcome (signed)---
//!  ClientSession --first frame with a tag-> ServerSession confirmed, an older one displaced
//! ```
//!
//! SIGMA: both ends sign the same transcript, the first frame confirms the keys. A challenge
//! costs the mailbox no memory; a hello never displaces a session. Refuses clocks and
//! randomness: seeds and times are arguments.

mod client;
mod greeter;
mod handover;
mod keys;
mod link;
mod mailbox;
mod need;
mod replay;
mod table;
#[cfg(test)]
mod tests;
mod window;

pub use client::{Asking, ClientSession, Greeting, Request};
pub use greeter::{Admitted, Greeter, Identity};
pub use handover::{HANDED_SESSION_BYTES, HandedSession};
pub use keys::{SessionKeys, Transcript, ephemeral_public};
pub use link::{Link, LinkPhase};
pub use mailbox::{
    AgreedHello, MailboxHandshake, MailboxKey, PendingSession, ReceivedHello, ServerSession,
    Welcomed,
};
pub use need::NeedLimiter;
pub use replay::ReplayWindow;
pub use table::{Opened, Sessions};
pub use window::{EphemeralWindow, EphemeralWindows};
