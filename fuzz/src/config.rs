//! Any text as a configuration file: what every role shares, read as the roles read it.
//!
//! What must hold: a text is taken or refused with places inside it, and no refusal shows the user of a proxy's URL.
//! Refuses to look at files: the folder of the configuration is none.
//!
//! `console/tests/fuzz_corpus.rs` includes this file, so that the ordinary tests replay the corpus through it.

use postern_console::config::{ConfigError, egress, read_log, resolve};
use postern_egress::Variables;
use std::path::Path;

/// A password that stands in no text by chance.
const PASSWORD: &str = "hunter2hunter2";

/// A file is read, or refused with places that it has.
///
/// # Panics
/// When a refusal names no place, or shows the password of a proxy's URL.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (dir, file) = (Path::new("/nonexistent"), Path::new("device.toml"));
    let variables = Variables::default();
    let read = resolve(file, text, |root| {
        let log = read_log(root, |_section| {});
        let files = egress::read_ca_files(dir, root);
        let transport = egress::read_transport(root);
        let proxy = egress::read_proxy(dir, file, root, &variables)?;
        Some((log, files, transport, proxy))
    });
    let error = match read {
        Ok((log, _, transport, proxy)) => {
            // What was read can be shown.
            let shown = format!("{log:?} {transport:?} {proxy:?}");
            assert!(!has_secret(text) || !shown.contains(PASSWORD), "{shown}");
            return;
        }
        Err(error) => error,
    };
    let ConfigError::Refused { problems, .. } = &error else {
        panic!("there is no file to be unreadable: {error}")
    };
    assert!(!problems.is_empty(), "a refusal without a reason");
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    for problem in problems {
        assert!((1..=lines).contains(&problem.line), "{problem:?}");
        assert!(!problem.what.is_empty(), "{problem:?}");
    }
    let said = error.to_string();
    assert!(!has_secret(text) || !said.contains(PASSWORD), "{said}");
}

/// Tells whether the password stands where a URL has its own and nowhere else: other texts may be repeated.
fn has_secret(text: &str) -> bool {
    let as_user = format!("url = \"http://alice:{PASSWORD}@");
    text.matches(&as_user).count() == text.matches(PASSWORD).count()
        && text.lines().any(|line| line.starts_with(&as_user))
}
