//! The controller: made by [`init`], driven by [`run`].
//!
//! Root keys are used once, by `init`; a running controller holds writer and mailbox keys only.

pub mod driver;
mod certificate;
mod host;
pub mod init;
pub mod run;
mod replies;
pub mod waiting;
pub mod work;
