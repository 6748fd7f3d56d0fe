//! The device engine against a mailbox whose every answer is written here.

mod accept;
mod report;
mod wire;
