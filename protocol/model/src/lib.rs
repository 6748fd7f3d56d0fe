//! Holds nothing: the model stands in `tests/model.rs`. A crate of its own is compiled with optimisation in every
//! profile, and keeps the checker away from the crates that it checks.
#![no_std]
