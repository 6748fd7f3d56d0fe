//! The `postern` command: controller, device, operator commands, demo, inspection.
//!
//! Reading order: [`cli`] (what may be typed), [`config`] (what may be written), [`controller`]
//! and [`device`] (the two drivers around the protocol's engines), [`operator`] (how commands
//! reach a running controller), [`applier`] (how state reaches the application).
//! Time is read in [`clock`] only, random bytes in [`random`], private keys in [`keys`].

#![expect(
    unreachable_pub,
    reason = "a program has no outside: pub says here what other modules may use"
)]

mod accounts;
mod applier;
mod cli;
mod clock;
mod config;
mod conformance;
mod controller;
mod demo;
mod device;
mod exit;
mod filed;
mod folder;
mod inspect;
mod keys;
mod operator;
mod random;
mod records;
mod signals;
mod tasks;
mod telemetry;
#[cfg(test)]
mod tests;

fn main() -> std::process::ExitCode {
    cli::main()
}
