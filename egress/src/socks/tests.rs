use super::*;

fn machine(host: &str, has_secret: bool) -> Socks {
    let target = Authority {
        host: Host::parse(host).unwrap(),
        port: 443,
    };
    Socks::new(target, has_secret)
}

/// Feeds one answer after the other, in one piece and byte by byte; returns what was sent, and
/// what is left over.
fn run(host: &str, secret: Option<(&str, &str)>, answers: &[u8], size: usize) -> Outcome {
    let mut socks = machine(host, secret.is_some());
    let (mut sent, mut answers) = (Vec::new(), answers.chunks(size));
    loop {
        match socks.step() {
            SocksStep::Send(bytes) => sent.push(bytes.to_vec()),
            SocksStep::Credentials => {
                let (user, password) = secret.unwrap();
                socks.authorize(user, password)?;
            }
            SocksStep::Receive => match answers.next() {
                Some(bytes) => socks.handle_bytes(bytes)?,
                None => return Err(socks.handle_timeout()),
            },
            SocksStep::Open => {
                for rest in answers {
                    socks.handle_bytes(rest)?;
                }
                return Ok((sent, socks.into_leftover()));
            }
        }
    }
}

type Outcome = Result<(Vec<Vec<u8>>, Vec<u8>), ConnectFault>;

fn check(secret: Option<(&str, &str)>, answers: &[u8], expected: Result<&[u8], &str>) {
    let outcome = run("controller.test", secret, answers, 1);
    let outcome = outcome.map(|(_, rest)| rest);
    let outcome = outcome.map_err(|fault| fault.code());
    let outcome = outcome.as_deref().map_err(|code| *code);
    assert_eq!(outcome, expected, "{answers:?}");
}

#[test]
fn name_of_the_target_goes_to_the_proxy_as_it_is() {
    // One answer at a time: the proxy must not speak before it is asked.
    let mut socks = machine("controller.test", false);
    assert!(matches!(socks.step(), SocksStep::Send(bytes) if *bytes == [5, 1, 0]));
    socks.handle_bytes(&[5, 0]).unwrap();
    let SocksStep::Send(request) = socks.step() else {
        panic!("no request");
    };
    assert_eq!(*request, *b"\x05\x01\0\x03\x0fcontroller.test\x01\xbb");
}

#[test]
fn addresses_are_sent_as_such() {
    let answers = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let (sent, _) = run("10.0.0.1", None, &answers, 1).unwrap();
    assert_eq!(sent[1], [5, 1, 0, 1, 10, 0, 0, 1, 1, 187]);
    let (sent, _) = run("[::1]", None, &answers, 1).unwrap();
    assert_eq!(sent[1][..4], [5, 1, 0, 4]);
    assert_eq!(sent[1].len(), 22);
}

#[test]
fn bound_address_of_any_form_is_passed_over_and_early_bytes_are_kept() {
    let head = [5, 0, 5, 0, 0];
    let with = |tail: &[u8]| [&head[..], tail].concat();
    check(None, &with(&[1, 9, 9, 9, 9, 0, 80]), Ok(b""));
    check(None, &with(&[1, 9, 9, 9, 9, 0, 80, 22, 3]), Ok(&[22, 3]));
    check(
        None,
        &with(&[[4].as_slice(), &[9; 18], &[7]].concat()),
        Ok(&[7]),
    );
    check(None, &with(&[3, 0, 0, 80]), Ok(b""));
    let longest = [[3, 255].as_slice(), &[b'a'; 255], &[0, 80], b"x"].concat();
    check(None, &with(&longest), Ok(b"x"));
}

#[test]
fn user_and_password_are_sent_when_the_proxy_chooses_so() {
    let secret = Some(("al", "s3c"));
    let answers = [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let (sent, _) = run("a.test", secret, &answers, 1).unwrap();
    assert_eq!(sent[0], [5, 2, 0, 2]);
    assert_eq!(sent[1], *b"\x01\x02al\x03s3c");
    check(secret, &[5, 0, 5, 0, 0, 3, 0, 0, 0], Ok(b""));
}

#[test]
fn each_reply_has_its_own_code() {
    for (reply, code) in [
        (1, "PST-P41"),
        (2, "PST-P42"),
        (3, "PST-P43"),
        (4, "PST-P44"),
        (5, "PST-P45"),
        (6, "PST-P46"),
        (7, "PST-P47"),
        (8, "PST-P48"),
        (9, "PST-P49"),
        (255, "PST-P49"),
    ] {
        check(None, &[5, 0, 5, reply], Err(code));
        assert!(!SocksFault::from_reply(reply).remedy().is_empty());
    }
}

#[test]
fn a09_lying_proxies_are_refused() {
    check(None, b"HTTP/1.1 400 Bad", Err("PST-P40"));
    check(None, &[4, 0], Err("PST-P40"));
    check(None, &[5, 1], Err("PST-P40"));
    check(None, &[5, 0xff], Err("PST-P50"));
    // Chosen although it was not offered.
    check(None, &[5, 2], Err("PST-P50"));
    check(Some(("u", "p")), &[5, 2, 1, 1], Err("PST-P03"));
    check(Some(("u", "p")), &[5, 2, 5, 1], Err("PST-P03"));
    check(Some(("u", "p")), &[5, 2, 9, 0], Err("PST-P40"));
    check(None, &[5, 0, 4, 0], Err("PST-P40"));
    check(None, &[5, 0, 5, 0, 0, 2], Err("PST-P40"));
    check(None, &[], Err("PST-P08"));
    check(None, &[5], Err("PST-P09"));
    check(None, &[5, 0, 5, 0, 0, 3, 255, 0], Err("PST-P09"));
}

#[test]
fn proxy_that_speaks_before_it_is_asked_is_refused() {
    let mut socks = machine("a.test", false);
    let early = socks.handle_bytes(&[5, 0]).unwrap_err();
    assert_eq!(early.code(), "PST-P40");
    let mut socks = machine("a.test", false);
    let _greeting = socks.step();
    let both = socks.handle_bytes(&[5, 0, 5, 0]).unwrap_err();
    assert_eq!(both.code(), "PST-P40");
}

#[test]
fn credentials_that_do_not_fit_are_refused() {
    let long = "a".repeat(256);
    for (user, password) in [("", "p"), ("u", ""), (long.as_str(), "p"), ("u", &long)] {
        check(Some((user, password)), &[5, 2], Err("PST-P51"));
    }
}
