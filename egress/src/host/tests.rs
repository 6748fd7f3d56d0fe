use super::*;

fn check(text: &str, expected: Result<&str, HostError>) {
    let actual = Host::parse(text).map(|host| host.to_string());
    assert_eq!(actual, expected.map(str::to_owned), "{text:?}");
}

#[test]
fn host_follows_the_table() {
    check("Controller.Test.", Ok("controller.test"));
    check("localhost", Ok("localhost"));
    check("a_b.example", Ok("a_b.example"));
    check("10.99.2.2", Ok("10.99.2.2"));
    check("[::1]", Ok("[::1]"));
    check("", Err(HostError::Empty));
    check(".", Err(HostError::Empty));
    check("a..b", Err(HostError::Label));
    check(".a", Err(HostError::Label));
    check("-a.b", Err(HostError::Label));
    check("a-.b", Err(HostError::Label));
    check("proxy ", Err(HostError::Character));
    check("pröxy", Err(HostError::Character));
    check("ss@proxy", Err(HostError::Character));
    check("::1", Err(HostError::Character));
    check("127.1", Err(HostError::Number));
    check("0x7f.0x1", Err(HostError::Number));
    check("1.2.3.4.5", Err(HostError::Number));
    check("256.1.1.1", Err(HostError::Number));
    check("[fe80::1%eth0]", Err(HostError::Brackets));
    check("[::1", Err(HostError::Brackets));
    check("[1.2.3.4]", Err(HostError::Brackets));
}

#[test]
fn host_longer_than_dns_allows_is_refused() {
    check(&"a".repeat(64), Err(HostError::Label));
    check(&["a"; 130].join("."), Err(HostError::Long));
}
