//! Private key files.
