use super::*;

/// The challenge of MS-NLMP, 4.2.4.3, with these attributes.
fn challenge(target: &[(u16, &[u8])]) -> Vec<u8> {
    let mut info = Vec::new();
    for (name, value) in target {
        attribute(&mut info, *name, value);
    }
    attribute(&mut info, AV_END, &[]);
    message(0xe28a_8233, u16::try_from(info.len()).unwrap(), 0x44, &info)
}

fn message(flags: u32, length: u16, offset: u32, tail: &[u8]) -> Vec<u8> {
    let mut bytes = b"NTLMSSP\0\x02\0\0\0\x0c\0\x0c\0\x38\0\0\0".to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    bytes.extend([0; 8]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(b"\x06\0\x70\x17\0\0\0\x0f");
    bytes.extend_from_slice(&utf16("Server"));
    bytes.extend_from_slice(tail);
    bytes
}

const TIME: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn domain() -> Vec<u8> {
    utf16("Domain").to_vec()
}

fn answer(target: &[(u16, &[u8])], account: &str) -> Vec<u8> {
    let challenge = ChallengeMessage::parse(&challenge(target)).unwrap();
    let proof = Proof {
        account: Account::parse(account),
        password: "Password",
        nonce: [0xaa; 8],
        unix_time: Duration::from_secs(1_700_000_000),
    };
    authenticate_message(&negotiate_message(), &challenge, &proof).to_vec()
}

/// The n-th of the six strings.
fn string(message: &[u8], nth: usize) -> Vec<u8> {
    let field = &message[12 + nth * 8..][..8];
    let length = usize::from(u16::from_le_bytes([field[0], field[1]]));
    let start = usize::from(u16::from_le_bytes([field[4], field[5]]));
    message[start..start + length].to_vec()
}

#[test]
fn first_message_asks_for_ntlmv2_and_names_nobody() {
    let message = negotiate_message();
    assert_eq!(&message[..12], b"NTLMSSP\0\x01\0\0\0");
    assert_eq!(message.len(), 32);
    assert_eq!(message[16..], [0; 16]);
}

#[test]
fn answer_without_a_timestamp_has_an_lmv2_response_and_no_mic() {
    let message = answer(&[(AV_DOMAIN, &domain())], "Domain\\User");
    assert_eq!(message[MIC], [0; 16]);
    assert_eq!(string(&message, 0)[16..], [0xaa; 8]);
    let nt = string(&message, 1);
    // 2023-11-14 22:13:20 as a file time.
    assert_eq!(nt[24..32], 133_444_736_000_000_000_u64.to_le_bytes());
    assert_eq!(string(&message, 2), domain());
    assert_eq!(string(&message, 3), utf16("User").to_vec());
}

#[test]
fn answer_to_a_timestamp_uses_it_and_carries_a_mic_over_all_three_messages() {
    let target: &[(u16, &[u8])] = &[(AV_DOMAIN, &domain()), (AV_TIMESTAMP, &TIME)];
    let message = answer(target, "Domain\\User");
    assert_eq!(string(&message, 0), [0; 24]);
    let nt = string(&message, 1);
    assert_eq!(nt[24..32], TIME);
    let flags = [6, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(nt[nt.len() - 16..], flags, "MIC announced, then the end");

    let mut zeroed = message.clone();
    zeroed[MIC].fill(0);
    let keys = SessionKeys::new(
        "User",
        "Domain",
        "Password",
        [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef],
        &nt[16..],
    );
    assert_eq!(nt[..16], keys.proof);
    let mic = hmac_md5(
        &*keys.session,
        &[&negotiate_message(), &challenge(target), &zeroed],
    );
    assert_eq!(message[MIC], mic);
}

fn check_account(text: &str, domain: &str, user: &str) {
    let message = answer(&[(AV_DOMAIN, &utf16("CORP"))], text);
    assert_eq!(string(&message, 2), utf16(domain).to_vec(), "{text}");
    assert_eq!(string(&message, 3), utf16(user).to_vec(), "{text}");
}

#[test]
fn user_is_written_in_three_ways() {
    check_account("LAB\\alice", "LAB", "alice");
    check_account("alice@lab.test", "", "alice@lab.test");
    check_account("alice", "CORP", "alice");
    check_account("\\alice", "", "alice");
    check_account("LAB\\a\\b", "LAB", "a\\b");
}

fn check_refused(bytes: &[u8], fault: NtlmFault) {
    assert_eq!(ChallengeMessage::parse(bytes), Err(fault), "{bytes:?}");
}

#[test]
fn lying_challenges_are_refused() {
    let unicode = 0xe28a_8233;
    check_refused(b"", NtlmFault::NoChallenge);
    check_refused(b"NTLMSSP\0", NtlmFault::Bounds);
    check_refused(&negotiate_message(), NtlmFault::NoChallenge);
    check_refused(&message(unicode, 4, 0x45, &[0; 4]), NtlmFault::Bounds);
    check_refused(&message(unicode, 4, u32::MAX, &[0; 4]), NtlmFault::Bounds);
    check_refused(&message(unicode, u16::MAX, 0, &[]), NtlmFault::Bounds);
    check_refused(&message(unicode, 0, 0x44, &[]), NtlmFault::Target);
    check_refused(&message(unicode, 4, 0x44, &[2, 0, 9, 0]), NtlmFault::Target);
    let no_end = [2, 0, 0, 0].repeat(3);
    check_refused(&message(unicode, 12, 0x44, &no_end), NtlmFault::Target);
    let many = [2, 0, 0, 0].repeat(NTLM_ATTRIBUTES_MAX + 1);
    let length = u16::try_from(many.len()).unwrap();
    check_refused(&message(unicode, length, 0x44, &many), NtlmFault::Target);
    check_refused(
        &message(unicode & !1, 4, 0x44, &[0; 4]),
        NtlmFault::NoUnicode,
    );
    let large = vec![0; crate::limits::NTLM_CHALLENGE_BYTES_MAX + 1];
    check_refused(&large, NtlmFault::Large);
}

use crate::limits::NTLM_ATTRIBUTES_MAX;

#[test]
fn challenge_cut_at_any_byte_is_refused() {
    let whole = challenge(&[(AV_DOMAIN, &domain()), (AV_TIMESTAMP, &TIME)]);
    assert!(ChallengeMessage::parse(&whole).is_ok());
    for size in 0..whole.len() {
        assert!(ChallengeMessage::parse(&whole[..size]).is_err(), "{size}");
    }
}

#[test]
fn timestamp_of_a_wrong_size_counts_as_none() {
    let message = answer(&[(AV_TIMESTAMP, &[1, 2, 3])], "a\\b");
    assert_eq!(message[MIC], [0; 16]);
}
