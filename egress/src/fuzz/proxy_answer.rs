//! What must hold for whatever a proxy answers: one plain function for the fuzzer and for the tests.
//!
//! Panics where a promise is broken and refuses to do anything else: no IO, no time, no chance. The
//! target `proxy_answers` and `egress/tests/fuzz_corpus.rs` call it.

use crate::connect::{Challenge, Connect, ConnectFault, Leg, Step};
use crate::host::{Authority, Host};
use crate::limits::{
    CHALLENGE_PARAMETERS_MAX, CHALLENGES_MAX, CONNECT_HEAD_BYTES_MAX, NTLM_CHALLENGE_BYTES_MAX,
};
use crate::scheme::digest::{DigestChallenge, DigestSession};
use crate::scheme::ntlm::{
    Account, ChallengeMessage, Proof, authenticate_message, negotiate_message,
};
use crate::socks::{Socks, SocksStep};
use std::time::Duration;
use zeroize::Zeroizing;

/// Largest input that is looked at, in bytes: a head and the beginning of a tunnel.
const INPUT_BYTES_MAX: usize = CONNECT_HEAD_BYTES_MAX / 2;

/// Feeds one answer: the first byte says to whom, the second where it is cut in two.
///
/// # Panics
/// When a promise is broken.
pub fn proxy_answer(input: &[u8]) {
    let [reader, cut, answer @ ..] = input else {
        return;
    };
    let answer = answer.get(..INPUT_BYTES_MAX).unwrap_or(answer);
    match reader % 4 {
        0 => connect(answer, usize::from(*cut)),
        1 => ntlm(answer),
        2 => digest(answer),
        _socks => socks(answer, usize::from(*cut)),
    }
}

fn target() -> Authority {
    Authority {
        host: Host::Name("controller.test".to_owned()),
        port: 443,
    }
}

/// Where an answer to CONNECT leads.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Fault(&'static str),
    Challenged(Vec<Challenge>),
    Open(Vec<u8>),
    More,
}

/// A head means the same in one piece and in two, and no tunnel has bytes that did not come.
fn connect(answer: &[u8], cut: usize) {
    let whole = head(&[answer]);
    let (first, second) = answer.split_at(cut.min(answer.len()));
    assert_eq!(whole, head(&[first, second]), "cut at {cut}");
    if let End::Open(leftover) = &whole {
        assert!(answer.ends_with(leftover), "bytes from nowhere");
    }
    if let End::Challenged(offered) = &whole {
        let parameters = offered.iter().map(|it| it.parameters.len()).max();
        assert!(offered.len() <= CHALLENGES_MAX, "too many challenges");
        assert!(
            parameters.unwrap_or(0) <= CHALLENGE_PARAMETERS_MAX,
            "too many parameters"
        );
    }
}

fn head(pieces: &[&[u8]]) -> End {
    let mut machine = Connect::new(target(), "fuzz", None);
    let _request = machine.step();
    for piece in pieces {
        if let Err(fault) = machine.handle_bytes(piece) {
            return End::Fault(fault.code());
        }
    }
    match machine.step() {
        Step::Challenged(offered) => {
            let value = Zeroizing::new("Basic dTpw".to_owned());
            // Whatever becomes of the connection, credentials are asked for once.
            let authorized = machine.authorize(value, Leg::Free);
            assert_eq!(authorized, Ok(()), "the first leg is always allowed");
            End::Challenged(offered)
        }
        Step::Open => End::Open(machine.into_leftover()),
        Step::Receive => End::More,
        Step::Send(_) | Step::Reopen => unreachable!("a head leads to an end or to more of it"),
    }
}

/// A challenge that is taken can be answered, within bounds, and its answer shows no password.
fn ntlm(answer: &[u8]) {
    let Ok(challenge) = ChallengeMessage::parse(answer) else {
        return;
    };
    let proof = Proof {
        account: Account::parse("alice"),
        password: "hunter2hunter2",
        nonce: [7; 8],
        unix_time: Duration::from_secs(1),
    };
    let message = authenticate_message(&negotiate_message(), &challenge, &proof);
    assert!(
        message.len() <= 2 * NTLM_CHALLENGE_BYTES_MAX + 1024,
        "an endless answer"
    );
    let password: Vec<u8> = proof
        .password
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let shows = message.windows(password.len()).any(|part| part == password);
    assert!(
        !shows || answer.windows(password.len()).any(|part| part == password),
        "the password"
    );
}

/// An answer to Digest is one line of a header and shows no password.
fn digest(answer: &[u8]) {
    let mut offered = Vec::new();
    for line in answer.split(|byte| *byte == b'\n') {
        Challenge::read(line, &mut offered);
    }
    let Some(challenge) = DigestChallenge::strongest(&offered) else {
        return;
    };
    let mut session = DigestSession::new(challenge);
    let value = session.answer("alice", "hunter2hunter2", "controller.test:443", "00");
    let Some(value) = value else {
        unreachable!("the first use of a nonce can be counted")
    };
    assert!(!value.chars().any(char::is_control), "a second line");
    let comes_from_them = String::from_utf8_lossy(answer).contains("hunter2hunter2");
    assert!(
        comes_from_them || !value.contains("hunter2hunter2"),
        "the password"
    );
}

/// SOCKS answers mean the same in one piece and in two, unless they come before they were asked for.
fn socks(answer: &[u8], cut: usize) {
    let (first, second) = answer.split_at(cut.min(answer.len()));
    for pieces in [&[answer][..], &[first, second]] {
        let mut machine = Socks::new(target(), true);
        let mut pieces = pieces.iter();
        // Greeting, credentials, request, and an answer to each: no more than these.
        for _ in 0..8 {
            match machine.step() {
                SocksStep::Send(bytes) => assert!(bytes.len() <= 513, "a long request"),
                SocksStep::Credentials => {
                    let authorized = machine.authorize("alice", "s3cret");
                    assert_eq!(authorized, Ok(()), "they fit");
                }
                SocksStep::Receive => {
                    let Some(piece) = pieces.next() else { break };
                    let read: Result<(), ConnectFault> = machine.handle_bytes(piece);
                    if read.is_err() {
                        break;
                    }
                }
                SocksStep::Open => {
                    assert!(
                        answer.ends_with(&machine.into_leftover()),
                        "bytes from nowhere"
                    );
                    break;
                }
            }
        }
    }
}
