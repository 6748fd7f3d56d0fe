//! Who is a member and who may become one: what removing takes along, and what a table may hold.

use super::hand::Hand;
use crate::Reject;
use crate::controller::Input;
use crate::controller::decide::check_table;
use crate::encryption::{DigestKey, Digester};
use crate::enrol::JoinSecret;
use crate::id::{DeviceName, TokenId};
use crate::state::{Path, State, Value};
use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::vec::Vec;

/// Opens an invitation for a device of the hand's tenant.
fn invite(hand: &mut Hand, device: &str, token: u8) {
    let ticket = hand.ticket();
    hand.input(Input::Invite {
        ticket,
        tenant: hand.channel.tenant.clone(),
        device: DeviceName::parse(device).unwrap(),
        token: TokenId::from_bytes([token; 8]),
        secret: JoinSecret::from_bytes([7; 32]),
        expires_unix_s: Some(4_000_000_000),
    });
    assert_eq!(hand.refused(), None);
}

fn tokens(hand: &Hand) -> Vec<u8> {
    let invitations = hand.engine.invitations();
    invitations.map(|(token, _)| token.as_bytes()[0]).collect()
}

#[test]
fn removed_device_takes_its_invitations_along_and_no_others() {
    let mut hand = Hand::new();
    let used = tokens(&hand);
    let name = hand.channel.device.as_str().to_owned();
    invite(&mut hand, &name, 41);
    invite(&mut hand, "press-8", 42);
    assert_eq!(tokens(&hand).len(), used.len() + 2);
    let ticket = hand.ticket();
    hand.input(Input::Remove {
        ticket,
        tenant: hand.channel.tenant.clone(),
        device: hand.channel.device.clone(),
    });
    assert_eq!(
        tokens(&hand),
        [42],
        "whoever holds the other line is nobody"
    );
    hand.restart(None);
    assert_eq!(tokens(&hand), [42]);
    assert!(hand.join([41; 8]).is_err());
    assert_eq!(hand.refused(), Some(Reject::TokenUnknown));
}

#[test]
fn invitation_says_when_it_ends_and_who_used_it() {
    let mut hand = Hand::new();
    let (_, first) = hand.engine.invitations().next().unwrap();
    assert!(first.used_by().is_some(), "by the device of this hand");
    invite(&mut hand, "press-8", 42);
    let mut all = hand.engine.invitations();
    let (_, open) = all.find(|(token, _)| token.as_bytes()[0] == 42).unwrap();
    assert_eq!(open.expires_unix_s(), Some(4_000_000_000));
    assert_eq!((open.used_by(), open.device().as_str()), (None, "press-8"));
    assert_eq!(open.tenant(), &hand.channel.tenant);
}

#[test]
fn members_are_found_by_name_by_channel_and_one_after_the_other() {
    let mut hand = Hand::new();
    invite(&mut hand, "press-8", 42);
    let (tenant, device) = (&hand.channel.tenant, &hand.channel.device);
    let by_name = hand.engine.member(tenant, device).unwrap();
    assert_eq!(by_name.channel().id(), hand.id());
    let other = DeviceName::parse("press-8").unwrap();
    let invited = hand.engine.member(tenant, &other).unwrap();
    assert!(!invited.is_enrolled() && by_name.is_enrolled());
    let nobody = DeviceName::parse("press-9").unwrap();
    assert!(hand.engine.member(tenant, &nobody).is_none());
    assert_eq!(hand.engine.members().count(), 2);
}

/// A state of sections with names of these lengths.
fn wide(names: &[usize]) -> State {
    let entries = names.iter().enumerate().map(|(at, length)| {
        let name = format!("{at:03}{}", "x".repeat(length - 3));
        (Path::parse(&format!("{name}/k")).unwrap(), Value::Null)
    });
    State::from_entries(entries).unwrap()
}

//= spec/postern.md#digest type=test
//# A state MUST NOT hold more than 512 sections or bodies of more than 1048576 bytes in
//# sum, else `state-oversize`.
#[test]
fn table_is_taken_up_to_its_bytes_and_counts_two_digests_where_it_is_encrypted() {
    let oversize = Err(Reject::StateOversize);
    // 48128 bytes of an envelope, without 64 entries of 56 and 512 around: 44032; 37 beside each name.
    let mut names = [[253; 40].as_slice(), &[251], &[250; 112]].concat();
    assert_eq!(check_table(&wide(&names)), Ok(()));
    names[152] = 251;
    assert_eq!(check_table(&wide(&names)), oversize);
    let keyed = |rows: usize| {
        let digester = Digester::Keyed(DigestKey::from_bytes([1; 32]));
        wide(&[250].repeat(rows)).under(digester).unwrap()
    };
    assert_eq!(check_table(&wide(&[250; 137])), Ok(()));
    assert_eq!(check_table(&keyed(137)), oversize);
    assert_eq!(check_table(&keyed(136)), Ok(()));
}
