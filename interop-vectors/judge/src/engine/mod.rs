//! The operation `engine.step`: a whole conversation with one device engine in one request.
//!
//! ```text
//!   config --> Node (engine, store, clock, draws)      Carrier (requests sent, keys of their sessions)
//!   step   --> time passes -> input -> outputs -> posts answered -> what the step shows
//! ```
//!
//! The carrier plays the mailbox as far as nobody could be told apart from another one: it seals what a
//! step says under the counter of the request that it answers, and takes every post. Refuses to
//! choose: when something is answered, and with what, stands in the steps.

mod carrier;
mod config;
mod node;
mod shown;
#[cfg(test)]
mod tests;
mod turn;

#[cfg(feature = "all")]
pub(crate) use node::{Draws, Node};

use crate::request::{Given, member, scenario};
use config::Config;
use serde_json::Value as Json;
use turn::Conversation;

/// Runs a conversation.
pub(crate) fn step(request: &Json) -> Given {
    let config = Config::read(member(request, "config")?)?;
    let mut conversation = Conversation::new(config)?;
    scenario(request, |step| conversation.take(step))
}
