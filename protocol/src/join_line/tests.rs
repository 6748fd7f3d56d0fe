use super::*;
use alloc::format;
use alloc::vec;

fn line() -> JoinLine {
    JoinLine {
        urls: vec!["https://box.example/".into()],
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
        token: TokenId::from_bytes([3; 8]),
        secret: JoinSecret::from_bytes([0xab; 32]),
        tls_ca: None,
        mailbox: None,
    }
}

fn text_of(content: &[u8]) -> String {
    format!(
        "{JOIN_LINE_PREFIX}{}",
        Base64UrlUnpadded::encode_string(content)
    )
}

//= spec/lives.md#join-line type=test
//# A device MUST ignore white space before and after the line and refuse any inside it.
#[test]
fn join_line_survives_the_text_form() {
    let lines = [
        line(),
        JoinLine {
            tls_ca: Some(vec![4; 700]),
            ..line()
        },
        JoinLine {
            mailbox: Some(Thumbprint::from_bytes([5; 32])),
            ..line()
        },
    ];
    for line in lines {
        let text = line.danger_text().unwrap();
        assert_eq!(JoinLine::parse(&text), Ok(line.clone()));
        assert_eq!(JoinLine::parse(&format!(" \t{}\r\n", *text)), Ok(line));
    }
}

//= spec/lives.md#join-line type=test
//# A device MUST ignore white space before and after the line and refuse any inside it.
//= spec/lives.md#join-line type=test
//# A device MUST refuse a join line of more than 16384 characters.
#[test]
fn join_line_that_copying_broke_is_refused_by_name() {
    let text = line().danger_text().unwrap();
    let body = text.strip_prefix(JOIN_LINE_PREFIX).unwrap();
    let long = format!("{JOIN_LINE_PREFIX}{}", "A".repeat(JOIN_LINE_CHARS_MAX));
    let cases = [
        (String::new(), JoinLineError::Prefix),
        (body.into(), JoinLineError::Prefix),
        (format!("postern2:{body}"), JoinLineError::Prefix),
        (format!("Postern1:{body}"), JoinLineError::Prefix),
        (long, JoinLineError::Length),
        (format!("{}=", *text), JoinLineError::Base64),
        (
            text.replace("postern1:", "postern1: "),
            JoinLineError::Base64,
        ),
        (format!("{JOIN_LINE_PREFIX}+/+/"), JoinLineError::Base64),
        (
            JOIN_LINE_PREFIX.into(),
            JoinLineError::Content(Reject::CborTruncated),
        ),
    ];
    for (text, error) in cases {
        assert_eq!(JoinLine::parse(&text), Err(error), "{text}");
    }
}

#[test]
fn join_line_cut_anywhere_is_refused() {
    let text = line().danger_text().unwrap();
    for length in 0..text.len() {
        assert!(JoinLine::parse(&text[..length]).is_err(), "{length}");
    }
}

//= spec/lives.md#join-line type=test
//# A device MUST refuse a join line whose map has another key, a missing one, or a form outside the
//# CBOR profile.
#[test]
fn join_line_with_another_content_is_refused() {
    let mut unknown = line().encode();
    unknown[0] += 1;
    unknown.extend_from_slice(&[0x0a, 0x00]);
    let mut missing = line().encode();
    missing[0] -= 1;
    missing.truncate(missing.len() - 35);
    let name = line().encode();
    let at = name.windows(4).position(|part| part == b"acme").unwrap();
    let mut name = name;
    name[at] = b'A';
    let mut trailing = line().encode();
    trailing.push(0);
    let cases = [
        (unknown, Reject::Shape),
        (missing, Reject::Shape),
        (name, Reject::NameInvalid),
        (trailing, Reject::CborTrailing),
        (vec![0xa0], Reject::Shape),
    ];
    for (content, reject) in cases {
        let error = JoinLine::parse(&text_of(&content));
        assert_eq!(error, Err(JoinLineError::Content(reject)));
    }
}

#[test]
fn join_line_that_nobody_would_take_is_not_written() {
    let no_url = JoinLine {
        urls: vec![],
        ..line()
    };
    let error = no_url.danger_text().map(|_| ());
    assert_eq!(error, Err(JoinLineError::Content(Reject::Shape)));
    let large = JoinLine {
        tls_ca: Some(vec![4; 20_000]),
        ..line()
    };
    assert_eq!(large.danger_text().map(|_| ()), Err(JoinLineError::Length));
}

#[test]
fn join_line_never_shows_its_secret() {
    let shown = format!("{:?}", line());
    assert!(shown.contains("JoinSecret(..)"));
    assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
    let error = JoinLineError::Content(Reject::Shape);
    assert!(format!("{error}").contains("shape"));
}

//= spec/lives.md#join-line type=test
//# A device MUST refuse a join line of more than 16384 characters.
#[test]
fn join_line_of_16384_characters_is_looked_at_and_a_longer_one_is_not() {
    let of = |chars: usize| JoinLine::parse(&"x".repeat(chars)).map(|_| ());
    assert_eq!(of(16_384), Err(JoinLineError::Prefix));
    assert_eq!(of(16_385), Err(JoinLineError::Length));
}
