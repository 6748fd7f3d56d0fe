//! The device engine against a mailbox whose every answer is written here.

mod accept;
mod actual;
mod cursor;
mod diagram;
mod elsewhere;
mod encryption;
mod evidence;
mod filed;
mod heartbeat;
mod intents;
mod life;
mod lost;
mod order;
mod overtaken;
mod pace;
mod receipts;
mod report;
mod restored;
mod sizes;
mod speech;
mod stray;
mod streams;
mod wire;
