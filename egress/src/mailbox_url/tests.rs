use super::*;

fn check(url: &str, expected: Result<&str, MailboxUrlError>) {
    let actual = MailboxUrl::parse(url).map(|target| target.to_string());
    assert_eq!(actual, expected.map(str::to_owned), "{url:?}");
}

#[test]
fn mailbox_url_follows_the_table() {
    check(
        "https://controller.test",
        Ok("https://controller.test:443/"),
    );
    check("HTTPS://C.Test.:8443/m", Ok("https://c.test:8443/m"));
    check("https://[::1]:8443/a/b", Ok("https://[::1]:8443/a/b"));
    check("https://127.0.0.1/", Ok("https://127.0.0.1:443/"));
    check("http://controller.test", Err(MailboxUrlError::Scheme));
    check("controller.test", Err(MailboxUrlError::Scheme));
    check("", Err(MailboxUrlError::Scheme));
    check("https://", Err(MailboxUrlError::Host(HostError::Empty)));
    check("https://u:p@c.test/", Err(MailboxUrlError::UserInfo));
    check("https://c.test/a b", Err(MailboxUrlError::Character));
    check("https://c.test/a\r\nX: y", Err(MailboxUrlError::Character));
    check("https://c.test/?q", Err(MailboxUrlError::Character));
    check("https://c.test/#f", Err(MailboxUrlError::Character));
    check("https://c.test:0/", Err(MailboxUrlError::Port));
    check("https://c.test:/", Err(MailboxUrlError::Port));
    check(
        "https://c..test/",
        Err(MailboxUrlError::Host(HostError::Label)),
    );
}
