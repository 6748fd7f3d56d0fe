use super::*;
use crate::host::Host;

fn authority() -> Authority {
    Authority {
        host: Host::parse("controller.test").unwrap(),
        port: 8443,
    }
}

fn machine() -> Connect {
    Connect::new(authority(), "postern-test", None)
}

fn credentials() -> Zeroizing<String> {
    Zeroizing::new("Basic dTpw".to_owned())
}

fn send(connect: &mut Connect) -> String {
    match connect.step() {
        Step::Send(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other @ (Step::Receive | Step::Challenged(_) | Step::Reopen | Step::Open) => {
            panic!("expected a request, got {other:?}")
        }
    }
}

/// Feeds one answer to a CONNECT in one piece and byte by byte.
fn check(answer: &str, expected: Result<&str, &str>) {
    for size in [usize::MAX, 1] {
        let mut connect = machine();
        let _request = send(&mut connect);
        let mut outcome = Ok(());
        for piece in answer.as_bytes().chunks(size.min(answer.len().max(1))) {
            outcome = outcome.and_then(|()| connect.handle_bytes(piece));
        }
        let outcome = outcome.and_then(|()| match connect.step() {
            Step::Open => Ok(String::from_utf8(connect.into_leftover()).unwrap()),
            Step::Receive => connect.handle_close().map(|()| String::new()),
            other @ (Step::Send(_) | Step::Challenged(_) | Step::Reopen) => {
                panic!("unexpected {other:?}")
            }
        });
        let outcome = outcome.map_err(|fault| fault.code());
        assert_eq!(
            outcome.as_deref().map_err(|code| *code),
            expected,
            "{answer:?}"
        );
    }
}

#[test]
fn a10_any_2xx_opens_and_early_bytes_are_kept() {
    check("HTTP/1.1 200 Connection established\r\n\r\n", Ok(""));
    check("HTTP/1.0 200\r\n\r\n", Ok(""));
    check(
        "HTTP/1.1 201 Created\r\nX: y\r\n\r\n\u{15}early",
        Ok("\u{15}early"),
    );
    check(
        "HTTP/1.1 299 ok\r\nContent-Length: 5\r\n\r\nhello!",
        Ok("hello!"),
    );
    check("HTTP/1.1 100 c\r\n\r\nHTTP/1.1 200 ok\r\n\r\nx", Ok("x"));
}

#[test]
fn a09_bad_answers_have_distinct_codes() {
    check("HTTP/1.1 403 Forbidden\r\n\r\nbody", Err("PST-P01"));
    check("HTTP/1.1 200 cut in the mid", Err("PST-P04"));
    check("", Err("PST-P04"));
    check("SSH-2.0-OpenSSH_9.2\r\n", Err("PST-P05"));
    check("<html>hello</html>", Err("PST-P05"));
    check("HTTP/1.1 502 Bad Gateway\r\n\r\n", Err("PST-P07"));
    check("HTTP/1.1 503 x\r\n\r\n", Err("PST-P07"));
    check("HTTP/1.1 504 x\r\n\r\n", Err("PST-P07"));
    check("HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", Err("PST-P11"));
    check("HTTP/1.1 500 x\r\n\r\n", Err("PST-P11"));
    check(&"HTTP/1.1 100 c\r\n\r\n".repeat(9), Err("PST-P11"));
}

#[test]
fn a09_head_of_a_mebibyte_is_refused_with_bounded_memory() {
    let mut connect = machine();
    let _request = send(&mut connect);
    connect.handle_bytes(b"HTTP/1.1 200 ok\r\nX: ").unwrap();
    let mut fed = 0;
    let fault = loop {
        if let Err(fault) = connect.handle_bytes(&[b'a'; 4096]) {
            break fault;
        }
        fed += 4096;
    };
    assert_eq!(fault, ConnectFault::HeadTooLarge);
    assert!(fed <= CONNECT_HEAD_BYTES_MAX);
    let many = "X: y\r\n".repeat(200);
    check(&format!("HTTP/1.1 200 ok\r\n{many}\r\n"), Err("PST-P10"));
}

#[test]
fn timeout_tells_silence_from_slowness() {
    let mut connect = machine();
    let _request = send(&mut connect);
    assert_eq!(connect.handle_timeout(), ConnectFault::Silent);
    connect.handle_bytes(b"HTTP").unwrap();
    assert_eq!(connect.handle_timeout(), ConnectFault::Slow { bytes: 4 });
}

/// What follows a 407 before the second request: bytes to drain, or a new connection.
fn check_challenge(answer: &str, then: &[&str], reopens: bool) {
    let mut connect = machine();
    assert!(!send(&mut connect).contains("Authorization"));
    connect.handle_bytes(answer.as_bytes()).unwrap();
    let Step::Challenged(offered) = connect.step() else {
        panic!("no challenge");
    };
    assert_eq!(names(&offered).as_str(), "Basic");
    connect.authorize(credentials(), Leg::Free).unwrap();
    for piece in then {
        assert!(matches!(connect.step(), Step::Receive), "{answer:?}");
        connect.handle_bytes(piece.as_bytes()).unwrap();
    }
    if reopens {
        assert!(matches!(connect.step(), Step::Reopen), "{answer:?}");
        connect.handle_reopened();
    }
    let request = send(&mut connect);
    assert!(request.starts_with("CONNECT controller.test:8443 HTTP/1.1\r\n"));
    assert!(request.contains("\r\nProxy-Authorization: Basic dTpw\r\n"));
    connect.handle_bytes(b"HTTP/1.1 200 ok\r\n\r\n").unwrap();
    assert!(matches!(connect.step(), Step::Open));
}

#[test]
fn challenge_is_drained_or_the_connection_reopened() {
    let base = "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a, b\"\r\n";
    check_challenge(&format!("{base}Content-Length: 0\r\n\r\n"), &[], false);
    check_challenge(&format!("{base}Content-Length: 5\r\n\r\nhello"), &[], false);
    check_challenge(
        &format!("{base}Content-Length: 5\r\n\r\nhe"),
        &["l", "lo"],
        false,
    );
    check_challenge(
        &format!("{base}Content-Length: 5\r\n\r\nhe"),
        &["llo!"],
        true,
    );
    check_challenge(
        &format!("{base}Content-Length: 65536\r\n\r\n"),
        &[&"x".repeat(65536)],
        false,
    );
    check_challenge(&format!("{base}Content-Length: 65537\r\n\r\n"), &[], true);
    check_challenge(
        &format!("{base}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        &[],
        true,
    );
    check_challenge(
        &format!("{base}Transfer-Encoding: chunked\r\n\r\n"),
        &[],
        true,
    );
    check_challenge(&format!("{base}\r\n"), &[], true);
    check_challenge(
        &format!("{base}Content-Length: 0\r\nConnection: close\r\n\r\n"),
        &[],
        true,
    );
    check_challenge(
        &format!("{base}Content-Length: 0\r\nProxy-Connection: Close\r\n\r\n"),
        &[],
        true,
    );
}

#[test]
fn a04_http10_challenge_with_close_reopens() {
    let tinyproxy = "HTTP/1.0 407 Proxy Authentication Required\r\nServer: t\r\nProxy-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\n\r\n<html>";
    check_challenge(tinyproxy, &[], true);
    let keeps = "HTTP/1.0 407 x\r\nProxy-Authenticate: basic\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
    check_challenge(keeps, &[], false);
}

/// A 407 whose body is still to come.
const LONG: &[u8] = b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 9\r\n\r\n";
const SHORT: &[u8] = b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
const CLOSING: &[u8] =
    b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn challenged(answer: &[u8]) -> Connect {
    let mut connect = machine();
    let _request = send(&mut connect);
    connect.handle_bytes(answer).unwrap();
    connect
}

#[test]
fn close_while_draining_reopens() {
    let mut connect = challenged(LONG);
    connect.authorize(credentials(), Leg::Free).unwrap();
    connect.handle_close().unwrap();
    assert!(matches!(connect.step(), Step::Reopen));
}

#[test]
fn a07_bound_leg_never_moves_to_another_connection() {
    let cut = Err(ConnectFault::LegsCut);
    let mut closing = challenged(CLOSING);
    assert_eq!(closing.authorize(credentials(), Leg::Bound), cut);
    let mut closed = challenged(SHORT);
    closed.handle_close().unwrap();
    assert_eq!(closed.authorize(credentials(), Leg::Bound), cut);
    let mut draining = challenged(LONG);
    draining.authorize(credentials(), Leg::Bound).unwrap();
    assert_eq!(draining.handle_close(), cut);
    let mut overfull = challenged(LONG);
    overfull.authorize(credentials(), Leg::Bound).unwrap();
    assert_eq!(overfull.handle_bytes(b"more than nine"), cut);
    let mut kept = challenged(LONG);
    kept.authorize(credentials(), Leg::Bound).unwrap();
    kept.handle_bytes(b"nine byte").unwrap();
    assert!(matches!(kept.step(), Step::Send(_)));
}

#[test]
fn a09_challenges_without_end_are_given_up() {
    let mut connect = challenged(SHORT);
    for _ in 0..AUTHENTICATION_LEGS_MAX {
        connect.authorize(credentials(), Leg::Free).unwrap();
        let _request = send(&mut connect);
        connect.handle_bytes(SHORT).unwrap();
    }
    let endless = connect.authorize(credentials(), Leg::Free);
    assert_eq!(endless, Err(ConnectFault::Endless));
}

#[test]
fn credentials_sent_unasked_stand_in_the_first_request() {
    let mut connect = Connect::new(authority(), "t", Some(credentials()));
    assert!(send(&mut connect).contains("\r\nProxy-Authorization: Basic dTpw\r\n"));
}

fn check_offer(values: &[&str], expected: &str) -> Vec<Challenge> {
    let mut offered = Vec::new();
    for value in values {
        Challenge::read(value.as_bytes(), &mut offered);
    }
    assert_eq!(names(&offered).as_str(), expected, "{values:?}");
    offered
}

#[test]
fn offered_schemes_are_told_from_parameters() {
    check_offer(&["Basic realm=\"Corp Proxy\""], "Basic");
    check_offer(
        &["Negotiate", "NTLM", "Basic realm=\"x\""],
        "Negotiate, NTLM, Basic",
    );
    check_offer(
        &["Negotiate, NTLM, BASIC realm=x, charset=UTF-8"],
        "Negotiate, NTLM, Basic",
    );
    check_offer(&["NTLM TlRMTVNTUAAC=="], "NTLM");
    check_offer(
        &["Digest realm=\"a, Basic b\", qop=\"auth\", stale=false"],
        "Digest",
    );
    check_offer(
        &["Digest realm=\"quote \\\", Basic \", nonce=\"x\", Basic realm = \"y\""],
        "Digest, Basic",
    );
    check_offer(&["Digest a=b", "Digest c=d"], "Digest");
    check_offer(&["Bearer"], "Bearer");
    check_offer(&["X-\u{1}Y"], "X-\\\\x01Y");
    check_offer(&["", ",", " , "], "");
    check_offer(&["realm=\"Basic\""], "");
}

#[test]
fn tokens_and_parameters_belong_to_their_scheme() {
    let offered = check_offer(
        &[
            "NTLM TlRM+/==, Digest realm = \"a \\\"b\\\", c\", QOP=auth, Negotiate",
            "x=y",
        ],
        "NTLM, Digest, Negotiate",
    );
    assert_eq!(offered[0].token.as_deref(), Some("TlRM+/=="));
    assert_eq!(offered[1].parameter("realm"), Some("a \"b\", c"));
    assert_eq!(offered[1].parameter("qop"), Some("auth"));
    assert_eq!(
        (&offered[2].token, offered[2].parameter("x")),
        (&None, None)
    );
}

#[test]
fn challenges_and_parameters_are_bounded() {
    let mut offered = Vec::new();
    Challenge::read("A,".repeat(500).as_bytes(), &mut offered);
    assert_eq!(offered.len(), crate::limits::CHALLENGES_MAX);
    let mut offered = Vec::new();
    Challenge::read(
        format!("Digest {}", "a=b,".repeat(500)).as_bytes(),
        &mut offered,
    );
    let kept = offered[0].parameters.len();
    assert_eq!(kept, crate::limits::CHALLENGE_PARAMETERS_MAX);
    Challenge::read(b"Basic \xff", &mut offered);
    assert_eq!(offered.len(), 1);
}

#[test]
fn proxy_text_is_escaped_and_cut() {
    let long = "A".repeat(500);
    let mut connect = machine();
    let _request = send(&mut connect);
    let answer = format!("HTTP/1.1 403 {long}\r\n\r\n");
    let text = connect
        .handle_bytes(answer.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(text.len() < 300, "{text}");
    assert!(text.contains(&"A".repeat(200)) && !text.contains(&"A".repeat(201)));
}
