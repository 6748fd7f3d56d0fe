use super::*;

fn check(major: u32, minor: i64, expected: Trouble) {
    let status = Status {
        major: major << 16,
        minor: u32::from_ne_bytes(i32::try_from(minor).unwrap().to_ne_bytes()),
        text: "text".to_owned(),
    };
    assert_eq!(failure(status).trouble, expected, "{major} {minor}");
}

#[test]
fn statuses_are_told_apart_by_what_to_do_next() {
    check(NO_CREDENTIALS, 0, Trouble::NoTicket);
    check(NO_CREDENTIALS, -1_765_328_189, Trouble::NoTicket);
    check(CREDENTIALS_EXPIRED, 0, Trouble::Expired);
    check(13, TICKET_EXPIRED, Trouble::Expired);
    check(13, PREAUTH_FAILED, Trouble::KeyRefused);
    check(NO_CREDENTIALS, CLIENT_REVOKED, Trouble::KeyRefused);
    check(13, 0, Trouble::Other);
    check(13, -1_765_328_377, Trouble::Other);
}

#[test]
fn library_that_is_not_there_is_an_error_with_its_name() {
    let error = ffi::Api::open("libnot-here-at-all.so.2").unwrap_err();
    assert!(error.contains("libnot-here-at-all"), "{error}");
}

#[test]
fn library_without_the_functions_is_refused() {
    let error = ffi::Api::open("libc.so.6").unwrap_err();
    assert!(error.contains("gss_import_name"), "{error}");
}

#[test]
fn start_names_a_principal_or_says_what_is_missing() {
    match Session::start("HTTP@proxy.invalid") {
        Ok(session) => assert!(session.principal().contains('@'), "{session:?}"),
        Err(failure) => assert!(!failure.text.is_empty(), "{failure:?}"),
    }
}
