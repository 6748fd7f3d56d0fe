use super::*;

fn check(words: &[&str], expected: Result<&str, &str>) {
    let parsed = Schemes::parse(words.iter().copied());
    let shown = parsed.map(|schemes| schemes.to_string());
    let shown = shown.map_err(|error| error.to_string());
    match (&shown, expected) {
        (Ok(order), Ok(wanted)) => assert_eq!(order, wanted, "{words:?}"),
        (Err(text), Err(wanted)) => assert!(text.contains(wanted), "{words:?}: {text}"),
        (Ok(_) | Err(_), _) => panic!("{words:?}: {shown:?}, not {expected:?}"),
    }
}

#[test]
fn list_keeps_the_operators_order() {
    check(&["digest"], Ok("Digest"));
    check(&["Basic", "NEGOTIATE"], Ok("Basic, Negotiate"));
    assert_eq!(
        Schemes::default().to_string(),
        "Negotiate, NTLM, Digest, Basic"
    );
}

#[test]
fn bad_lists_say_what_was_meant() {
    check(&[], Err("names no scheme"));
    check(&["basic", "Basic"], Err("names \"basic\" twice"));
    check(&["bassic"], Err("did you mean \"basic\"?"));
    check(&["kerberos"], Err("did you mean \"negotiate\"?"));
    check(&["ntlmv2"], Err("did you mean \"ntlm\"?"));
    check(&["oauth"], Err("not \"oauth\""));
    check(&[""], Err("not \"\""));
    check(&["\u{1b}[2J"], Err("\\x1b[2J"));
}

#[test]
fn no_scheme_is_allowed_to_a_proxy_nobody_named() {
    let none = Schemes::none();
    assert!(none.iter().all(|scheme| !none.allow(scheme)));
    assert_eq!(none.iter().count(), 0);
}
