//! A whole relay over TLS on loopback: devices post and writers collect, writers deliver and
//! devices poll, across restarts; and what a relay, a foreign tenant or an old key cannot do.
#![expect(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a test")]

mod both_ways;
mod refusals;
mod restored;
mod site;
