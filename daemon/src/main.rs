//! The `postern` command: controller, device, operator commands, demo, inspection.
//!
//! Reading order: [`cli`] (what may be typed), [`config`] (what may be written), [`controller`]
//! and [`device`] (the two drivers around the protocol's engines), [`operator`] (how commands
//! reach a running controller), [`applier`] (how state reaches the application).
//! What all commands of Postern share (errors, output, key files, time, random bytes) is `postern-console`.

#![expect(
    unreachable_pub,
    reason = "a program has no outside: pub says here what other modules may use"
)]

mod accounts;
mod applier;
mod cli;
mod config;
mod conformance;
mod controller;
mod demo;
mod device;
mod filed;
mod inspect;
mod operator;
mod records;
mod signals;
mod tasks;
#[cfg(test)]
mod tests;

use postern_console::{clock, exit, folder, keys, pem, random, routes, telemetry};

fn main() -> std::process::ExitCode {
    cli::main()
}
