//! What the controller's files and keys do, without a running controller.

mod relays;
mod rotation;
