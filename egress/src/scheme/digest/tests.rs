use super::*;

fn offer(values: &[&str]) -> Option<DigestChallenge> {
    let mut offered = Vec::new();
    for value in values {
        Challenge::read(value.as_bytes(), &mut offered);
    }
    DigestChallenge::strongest(&offered)
}

fn response(value: &str) -> &str {
    let (_, rest) = value.split_once("response=\"").unwrap();
    rest.split('"').next().unwrap()
}

const RFC_MD5: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
const RFC_SHA: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

/// RFC 7616, 3.9.1, whose request is a GET.
fn check_rfc(value: &str, expected: &str) {
    let mut session = DigestSession::new(offer(&[value]).unwrap());
    session.count = 1;
    let answer = session.compose(
        "Mufasa",
        "Circle of Life",
        ("GET", "/dir/index.html"),
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    );
    assert_eq!(response(&answer), expected);
    assert!(answer.contains("username=\"Mufasa\", realm=\"http-auth@example.org\""));
    assert!(answer.contains("nc=00000001, cnonce=\"f2/wE4q7"));
}

#[test]
fn a08_examples_of_rfc_7616_are_answered_as_printed() {
    check_rfc(RFC_MD5, "8ca523f5e9506fed4657c9700eebdbec");
    check_rfc(
        RFC_SHA,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    );
}

#[test]
fn a08_strongest_challenge_is_answered() {
    for values in [[RFC_MD5, RFC_SHA], [RFC_SHA, RFC_MD5]] {
        assert_eq!(offer(&values).unwrap().algorithm, Algorithm::Sha256);
    }
    let joined = format!("Basic realm=\"x\", {RFC_MD5}, {RFC_SHA}, NTLM");
    assert_eq!(offer(&[&joined]).unwrap().algorithm, Algorithm::Sha256);
}

#[test]
fn a08_counter_grows_with_each_use_of_a_nonce() {
    let squid = r#"Digest realm="Corp Proxy", nonce="abc", qop="auth", stale=false"#;
    let mut session = DigestSession::new(offer(&[squid]).unwrap());
    for nc in ["00000001", "00000002", "00000003"] {
        let value = session
            .answer("u", "p", "controller.test:443", "c")
            .unwrap();
        assert!(value.contains(&format!("nc={nc}, ")), "{}", *value);
        assert!(value.contains("uri=\"controller.test:443\""));
        assert!(!value.contains("algorithm"), "{}", *value);
    }
    session.count = u32::MAX;
    assert!(session.answer("u", "p", "t:1", "c").is_none());
}

#[test]
fn a08_quoted_commas_and_escapes_are_hashed_plain_and_sent_quoted() {
    let value =
        r#"Digest realm="a, \"b\" \\ c, Basic", nonce="n, o", qop="auth-int,auth", stale=TRUE"#;
    let challenge = offer(&[value]).unwrap();
    assert_eq!(challenge.realm, r#"a, "b" \ c, Basic"#);
    assert!(challenge.is_stale());
    let mut session = DigestSession::new(challenge);
    let answer = session.answer("d\\u", "p", "t:1", "c").unwrap();
    assert!(answer.contains(r#"realm="a, \"b\" \\ c, Basic", nonce="n, o""#));
    assert!(answer.contains(r#"username="d\\u""#));
}

#[test]
fn user_beyond_ascii_is_sent_in_the_extended_notation() {
    let squid = r#"Digest realm="r", nonce="n", qop="auth""#;
    let mut session = DigestSession::new(offer(&[squid]).unwrap());
    let answer = session.answer("jäs", "p", "t:1", "c").unwrap();
    assert!(answer.contains("username*=UTF-8''j%C3%A4s, "));
}

#[test]
fn challenges_that_would_need_a_guess_are_refused() {
    for value in [
        "Digest",
        r#"Digest realm="r", nonce="n""#,
        r#"Digest realm="r", nonce="n", qop="auth-int""#,
        r#"Digest realm="r", qop="auth""#,
        r#"Digest nonce="n", qop="auth""#,
        r#"Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess"#,
        r#"Digest realm="r", nonce="n", qop="auth", algorithm=SHA-512-256"#,
        "Digest realm=\"r\t\u{1}\", nonce=\"n\", qop=\"auth\"",
        r#"Basic realm="r", nonce="n", qop="auth""#,
    ] {
        assert_eq!(offer(&[value]), None, "{value}");
    }
}

#[test]
fn answer_never_holds_the_password() {
    let mut session = DigestSession::new(offer(&[RFC_SHA]).unwrap());
    let answer = session.answer("u", "hunter2", "t:1", "c").unwrap();
    assert!(!answer.contains("hunter2"));
}
