//! The `postern-relay` command: makes, runs, checks and watches a relay.
//!
//! Reading order: [`cli`] (what may be typed), [`config`] (what may be written), [`run`] (the loop
//! of a running relay), [`operable`] (the relay as this program knows it), [`admin`] (how commands
//! reach it), [`drain`], [`handover`], [`health`], [`audit`], [`upstream`]. What all commands of Postern share is `postern-console`.

#![expect(
    unreachable_pub,
    reason = "a program has no outside: pub says here what other modules may use"
)]

mod admin;
mod audit;
mod check;
mod cli;
mod config;
mod drain;
mod handover;
mod health;
mod http;
mod limits;
mod make;
mod metrics;
mod operable;
mod run;
mod telemetry;
mod upstream;

fn main() -> std::process::ExitCode {
    cli::main()
}
