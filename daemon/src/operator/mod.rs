//! How operator commands reach a running controller: JSON lines over a Unix socket in its folder.
