//! Finds out, hop by hop, which ways out of a site work, and what to ask its network's people for.
//!
//! ```text
//!   Case (dialer, targets) --examine--> every way of every target at once --> Report --> tree | JSON
//! ```
//!
//! Every way that the proxy policy allows is walked with connections of its own, up to a frame that only
//! a mailbox answers. The report holds hosts, addresses, issuers and text of others, escaped and cut;
//! never a credential. Codes stand in `egress/CODES.md`; its own are A01, A02, L02, L03 and L05. Refuses to walk what the policy
//! forbids: it says so instead.

mod buffering;
mod mtu;
mod place;
mod remedy;
mod report;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

pub use buffering::Canaries;
pub use place::{ClockReport, IssuerReport, NetworkReport};
pub use report::{
    Answerer, HopReport, Outcome, Report, Settings, State, TargetReport, Verdict, WayReport,
};
pub use walk::{Case, Target, examine};
