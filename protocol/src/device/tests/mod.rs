//! The device engine against a mailbox whose every answer is written here.

mod accept;
mod order;
mod report;
mod sizes;
mod wire;
