//! What `proxy.schemes` refuses, with the line and what was meant.
//!
//! Apart from the other keys of a device, because there are many ways to write a list.

use super::{check, device, problems};

const SCHEMES_REFUSED: &[(&str, usize, &str, &str)] = &[
    (
        "[proxy]\nurl = \"http://p:1\"\nschemes = [\"bassic\"]",
        3,
        "proxy.schemes",
        "did you mean \"basic\"?",
    ),
    (
        "[proxy]\nurl = \"http://p:1\"\nschemes = []",
        3,
        "proxy.schemes",
        "names no scheme",
    ),
    (
        "[proxy]\nurl = \"http://p:1\"\nschemes = \"ntlm\"",
        3,
        "proxy.schemes",
        "a list of texts",
    ),
    (
        "[proxy]\nurl = \"socks5h://p\"\nschemes = [\"basic\"]",
        3,
        "proxy.schemes",
        "SOCKS",
    ),
];

#[test]
fn device_with_bad_schemes_is_refused_with_place() {
    for (text, line, key, words) in SCHEMES_REFUSED.iter().copied() {
        check(&problems(device(text)), line, key, words);
    }
}

#[test]
fn device_with_schemes_keeps_their_order() {
    let text = "[proxy]\nurl = \"http://p.test:1\"\nschemes = [\"digest\", \"Basic\"]";
    let config = device(text).unwrap();
    let schemes = &config.proxy.choice().unwrap().schemes;
    assert_eq!(schemes.to_string(), "Digest, Basic");
}
