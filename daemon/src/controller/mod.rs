//! The controller: made by [`init`], driven by [`run`].
//!
//! Root keys are used once, by `init`; a running controller holds writer and mailbox keys only.

mod certificate;
pub mod driver;
mod host;
pub mod init;
mod replies;
pub mod run;
pub mod waiting;
pub mod work;
