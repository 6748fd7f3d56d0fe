//! The house rules, as tests over the whole workspace: each names the file, the line and what to do.
//!
//! They read text only; nothing here compiles or runs the code that it judges.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a rule that cannot be checked has to fail"
)]

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/attacks.rs"]
mod attacks;
#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/registry.rs"]
mod registry;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/time.rs"]
mod time;
