//! The house rules, as tests over the whole workspace: each names the file, the line and what to do.
//!
//! They read text only; nothing here compiles or runs the code that it judges.
