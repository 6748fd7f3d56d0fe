//! The controller: made by [`init`], driven by [`run`].
//!
//! Root keys are used by `init` and [`rotate`] only; a running controller holds writer and mailbox keys.

pub mod backup;
pub mod bundles;
pub mod driver;
pub mod hearing;
mod host;
pub mod init;
pub mod keyring;
pub mod metrics;
pub mod relays;
mod replies;
pub mod rotate;
pub mod run;
mod timer;
pub mod waiting;
pub mod work;

#[cfg(test)]
mod tests;
