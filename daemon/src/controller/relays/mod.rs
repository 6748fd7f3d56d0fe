//! The relays of this controller: mailboxes in other processes, to which it dials out.
//!
//! Which they are stands in the bundle; how to get there in `controller.toml`; what vouches for
//! their TLS beside the system, in `relays/` of the controller's folder. Refuses to take a TLS
//! anchor as authority over messages.

mod anchors;

pub use anchors::{anchor_folder, read_anchor, write_anchor};
