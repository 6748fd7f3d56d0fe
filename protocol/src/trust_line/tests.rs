//! Trust lines and relay lines: what people break when they copy them, and what they may not hold.

use super::*;
use crate::testing::{TestKeys, signer};
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;

fn trust_line() -> TrustLine {
    let mut keys = TestKeys::new();
    keys.rotate_writer("writer 2", 2);
    TrustLine {
        root: keys.domain(),
        recovery: keys.trust().recovery(),
        bundles: keys.bundles.clone(),
    }
}

fn relay_line() -> RelayLine {
    use crate::key::Signer as _;
    RelayLine {
        key: signer("relay").public_key().clone(),
        urls: vec!["https://relay.test".into()],
        tls_ca: Some(vec![1, 2, 3]),
    }
}

//= spec/relays.md#trust-line type=test
//# A mailbox MUST accept the bundles of a trust line by #bundle, starting from the thumbprints of
//# the same line, before it believes anything under them.
#[test]
fn trust_line_gives_the_trust_of_its_bundles_and_of_no_others() {
    let line = trust_line();
    let read = TrustLine::parse(&line.text().unwrap()).unwrap();
    assert_eq!(read, line);
    assert_eq!(read.trust().unwrap().number().number(), 2);
    let pinned_elsewhere = TrustLine {
        root: Thumbprint::from_bytes([1; 32]),
        ..line.clone()
    };
    let recovered_elsewhere = TrustLine {
        recovery: Thumbprint::from_bytes([1; 32]),
        ..line.clone()
    };
    let without_first = TrustLine {
        bundles: line.bundles[1..].to_vec(),
        ..line.clone()
    };
    let damaged = TrustLine {
        bundles: vec![vec![0x84, 0x40, 0xa0, 0x40, 0x40]],
        ..line
    };
    for (line, reject) in [
        (pinned_elsewhere, Reject::BundleRoot),
        (recovered_elsewhere, Reject::BundleRoot),
        (without_first, Reject::BundleGap),
        (damaged, Reject::CborTruncated),
    ] {
        let read = TrustLine::parse(&line.text().unwrap()).unwrap();
        assert_eq!(read.trust().map(|_| ()), Err(reject));
    }
}

#[test]
fn relay_line_survives_its_text_form() {
    let with_ca = relay_line();
    let without_ca = RelayLine {
        tls_ca: None,
        ..relay_line()
    };
    for line in [with_ca, without_ca] {
        assert_eq!(RelayLine::parse(&line.text().unwrap()), Ok(line));
    }
}

//= spec/relays.md#trust-line type=test
//# A reader MUST ignore white space before and after such a line and refuse any inside it.
//= spec/relays.md#trust-line type=test
//# A reader MUST refuse a trust line of more than 87397 characters, and a relay line of more than
//# 16384.
#[test]
fn line_broken_by_copying_is_refused_by_its_fault() {
    let (trust, relay) = (trust_line().text().unwrap(), relay_line().text().unwrap());
    assert!(TrustLine::parse(&format!("\r\n\t {trust}\n")).is_ok());
    assert!(RelayLine::parse(&format!("  {relay}\n\n")).is_ok());
    let (head, tail) = trust.split_at(40);
    let cases = [
        (format!("{head} {tail}"), LineError::Base64),
        (format!("{head}\n{tail}"), LineError::Base64),
        (format!("{trust}="), LineError::Base64),
        (relay.clone(), LineError::Prefix(TRUST_LINE_PREFIX)),
        (
            head.replace("1:", "2:"),
            LineError::Prefix(TRUST_LINE_PREFIX),
        ),
        (
            format!("{TRUST_LINE_PREFIX}{}", "A".repeat(87_383)),
            LineError::Length(87_397),
        ),
        (
            TRUST_LINE_PREFIX.into(),
            LineError::Content(Reject::CborTruncated),
        ),
    ];
    for (text, error) in cases {
        assert_eq!(TrustLine::parse(&text), Err(error), "{error}");
        assert!(!error.to_string().contains(tail));
    }
    let (head, tail) = relay.split_at(40);
    let cases = [
        (format!("{head} {tail}"), LineError::Base64),
        (trust, LineError::Prefix(RELAY_LINE_PREFIX)),
        (
            format!("{RELAY_LINE_PREFIX}{}", "A".repeat(16_384)),
            LineError::Length(16_384),
        ),
    ];
    for (text, error) in cases {
        assert_eq!(RelayLine::parse(&text), Err(error), "{error}");
    }
}

//= spec/relays.md#trust-line type=test
//# A reader MUST refuse such a line whose map has another key, a missing one, or a form outside the
//# CBOR profile.
#[test]
fn content_that_breaks_a_rule_is_refused() {
    let cases: [(&[u8], Reject); 6] = [
        (&[0xa0], Reject::Shape),
        (&[0x80], Reject::Shape),
        (&[0xa1, 1, 0], Reject::Shape),
        (&[0xa2, 2, 0, 1, 0], Reject::CborUnsortedKey),
        (&[0xbf, 0xff], Reject::CborIndefinite),
        (&[0xa2, 1, 0, 2, 0, 0], Reject::CborTrailing),
    ];
    for (content, reject) in cases {
        let text = wrap_line(TRUST_LINE_PREFIX, content);
        let refused = TrustLine::parse(&text).map(|_| ());
        assert_eq!(refused, Err(LineError::Content(reject)), "{content:x?}");
        let text = wrap_line(RELAY_LINE_PREFIX, content);
        let refused = RelayLine::parse(&text).map(|_| ());
        assert_eq!(refused, Err(LineError::Content(reject)), "{content:x?}");
    }
}

#[test]
fn line_that_no_reader_takes_is_not_written() {
    let without_bundles = TrustLine {
        bundles: vec![],
        ..trust_line()
    };
    assert_eq!(without_bundles.text(), Err(Reject::Shape));
    let large = TrustLine {
        bundles: vec![vec![0; 40_000]; 2],
        ..trust_line()
    };
    assert_eq!(large.text(), Err(Reject::Oversize));
    let urls = [
        vec![],
        vec!["".into()],
        vec!["u".repeat(513)],
        vec!["u".into(); 9],
    ];
    for urls in urls {
        let line = RelayLine {
            urls,
            ..relay_line()
        };
        assert!(matches!(line.text(), Err(LineError::Content(_))));
    }
}

//= spec/relays.md#trust-line type=test
//# A reader MUST refuse a trust line of more than 87397 characters, and a relay line of more than
//# 16384.
#[test]
fn line_up_to_its_characters_is_looked_at_and_a_longer_one_is_not() {
    let trust = |chars: usize| TrustLine::parse(&"x".repeat(chars)).map(|_| ());
    assert_eq!(trust(87_397), Err(LineError::Prefix(TRUST_LINE_PREFIX)));
    assert_eq!(trust(87_398), Err(LineError::Length(87_397)));
    let relay = |chars: usize| RelayLine::parse(&"x".repeat(chars)).map(|_| ());
    assert_eq!(relay(16_384), Err(LineError::Prefix(RELAY_LINE_PREFIX)));
    assert_eq!(relay(16_385), Err(LineError::Length(16_384)));
}

#[test]
fn trust_line_of_the_largest_content_is_written_and_one_byte_more_is_oversize() {
    let of = |bytes: usize| {
        let line = TrustLine {
            bundles: vec![vec![0; bytes]],
            ..trust_line()
        };
        line.text().map(|_| ())
    };
    // Map, three labels, two thumbprints with their heads, the array's head.
    let around = 1 + 3 + 2 * 34 + 1;
    assert_eq!(of(65_536 - around), Ok(()));
    assert_eq!(of(65_536 - around + 1), Err(Reject::Oversize));
}

#[test]
fn error_of_a_line_says_what_is_wrong_with_it() {
    for (error, said) in [
        (LineError::Prefix("p1."), "the line does not begin with p1."),
        (LineError::Length(9), "the line is longer than 9 characters"),
        (LineError::Base64, "does not belong there, or is cut off"),
        (LineError::Content(Reject::Shape), "(shape: "),
    ] {
        assert!(error.to_string().contains(said), "{error}");
    }
}
