//! Keys of a channel: what decrypts where, which generation counts, what is never shown.

use super::*;

fn vault() -> Vault {
    Vault::new(life(), plane_key(1))
}

//= spec/encryption.md#encrypted type=test
//# The external_aad of a payload or of lists MUST repeat channel, incarnation, plane and all five
//# members of the position in the header.
#[test]
fn message_decrypts_at_its_place_only() {
    let vault = vault();
    let bytes = vault.encrypt_message(Plane::Desired, &header(), b"plain", &mut Dice::new(1));
    let parsed = Encrypted::parse(&bytes).unwrap();
    let opened = vault.decrypt_message(Plane::Desired, &header(), &parsed);
    assert_eq!(opened.unwrap(), b"plain");
    let refused = |vault: &Vault, plane, header: Header| {
        vault.decrypt_message(plane, &header, &parsed) == Err(Reject::DecryptionFailed)
    };
    let at = header();
    for other in [
        Header {
            kind: MessageKind::Report,
            ..at
        },
        Header {
            epoch: Epoch::new(6),
            ..at
        },
        Header {
            seq: Seq::new(10),
            ..at
        },
        Header {
            base: Seq::new(7),
            ..at
        },
        Header { digest: None, ..at },
    ] {
        assert!(refused(&vault, Plane::Desired, other), "{other:?}");
    }
    assert!(refused(&vault, Plane::Actual, at));
    let mut elsewhere = life();
    elsewhere.channel.device = DeviceName::parse("pump-8").unwrap();
    assert!(refused(
        &Vault::new(elsewhere, plane_key(1)),
        Plane::Desired,
        at
    ));
    let mut later = life();
    later.incarnation = Incarnation::from_bytes([3; 16]);
    assert!(refused(
        &Vault::new(later, plane_key(1)),
        Plane::Desired,
        at
    ));
}

//= spec/encryption.md#encrypted type=test
//# The external_aad of a section body MUST repeat channel, incarnation, plane, section name and the
//# body's keyed digest.
#[test]
fn body_decrypts_at_its_place_only() {
    let vault = vault();
    let digest = vault.digest_key().digest(b"body");
    let bytes = vault.encrypt_body(Plane::Actual, "net", &digest, b"body", &mut Dice::new(1));
    let open = |plane, section, digest| vault.decrypt_body(plane, section, digest, &bytes);
    assert_eq!(open(Plane::Actual, "net", &digest).unwrap(), b"body");
    let other = vault.digest_key().digest(b"other");
    for refused in [
        open(Plane::Desired, "net", &digest),
        open(Plane::Actual, "", &digest),
        open(Plane::Actual, "net", &other),
    ] {
        assert_eq!(refused, Err(Reject::DecryptionFailed));
    }
}

//= spec/encryption.md#encrypted type=test
//# Each encryption MUST take 12 fresh random bytes as IV, and never a number of the message.
#[test]
fn same_message_encrypted_twice_differs() {
    let (vault, mut dice) = (vault(), Dice::new(3));
    let mut make = || vault.encrypt_message(Plane::Desired, &header(), b"plain", &mut dice);
    let (first, second) = (make(), make());
    assert_ne!(first, second);
    assert_ne!(first[11..23], second[11..23], "the IVs");
}

//= spec/encryption.md#encrypted type=test
//# A reader that does not hold the key generation named in label 4 MUST refuse with
//# `plane-key-missing`.
#[test]
fn vault_without_the_generation_misses_a_key() {
    let newer = Vault::new(life(), plane_key(2));
    let bytes = newer.encrypt_message(Plane::Desired, &header(), b"plain", &mut Dice::new(1));
    let parsed = Encrypted::parse(&bytes).unwrap();
    let opened = vault().decrypt_message(Plane::Desired, &header(), &parsed);
    assert_eq!(opened, Err(Reject::PlaneKeyMissing));
}

//= spec/encryption.md#plane-key type=test
//# An end MUST keep at most 4 generations and forget the oldest first.
#[test]
fn vault_keeps_the_newest_generations() {
    let mut vault = vault();
    let mut dice = Dice::new(1);
    let first = vault.encrypt_message(Plane::Desired, &header(), b"1", &mut dice);
    for generation in 2..=4 {
        let next = vault.draw_next(&mut dice).unwrap();
        assert_eq!(next.generation, KeyGeneration::new(generation));
        vault.take(next).unwrap();
    }
    let parsed = Encrypted::parse(&first).unwrap();
    assert!(
        vault
            .decrypt_message(Plane::Desired, &header(), &parsed)
            .is_ok()
    );
    vault.take(vault.draw_next(&mut dice).unwrap()).unwrap();
    let opened = vault.decrypt_message(Plane::Desired, &header(), &parsed);
    assert_eq!(opened, Err(Reject::PlaneKeyMissing));
    vault.forget_below(KeyGeneration::new(9));
    assert_eq!(
        (vault.generations_count(), vault.generation()),
        (1, KeyGeneration::new(5))
    );
}

//= spec/encryption.md#plane-key type=test
//# A device MUST refuse a plane-key that changes the digest key of its incarnation with
//# `plane-key-conflict`.
#[test]
fn vault_refuses_another_digest_key() {
    let mut vault = vault();
    let other = PlaneKey {
        digest: DigestKey::from_bytes([8; 32]),
        ..plane_key(2)
    };
    assert_eq!(vault.take(other), Err(Reject::PlaneKeyConflict));
    assert_eq!(vault, Vault::new(life(), plane_key(1)));
}

#[test]
fn vault_read_back_is_the_same() {
    let mut vault = vault();
    vault.take(plane_key(5)).unwrap();
    let mut writer = Writer::new();
    vault.write(&mut writer);
    assert_eq!(Vault::decode(writer.as_bytes(), life()).unwrap(), vault);
    for (record, expected) in [
        ("82 40 80", Reject::Shape),
        ("80", Reject::Shape),
        ("82", Reject::CborTruncated),
    ] {
        let refused = Vault::decode(&hex(record), life()).err();
        assert_eq!(refused, Some(expected), "{record}");
    }
    let mut empty = Writer::new();
    empty.array(2).bytes(&[7; 32]).array(0);
    assert_eq!(
        Vault::decode(empty.as_bytes(), life()).err(),
        Some(Reject::Shape)
    );
}

#[test]
fn plane_key_reaches_its_device_only() {
    let secret = AgreementSecret::from_bytes([5; 32]);
    let to = AgreementKey::from_bytes(*secret.public().as_bytes()).unwrap();
    let payload = plane_key(3)
        .encrypt(&life(), &to, &mut Dice::new(2))
        .unwrap();
    assert_eq!(check_plane_key(&payload), Ok(()));
    let three = KeyGeneration::new(3);
    let opened = PlaneKey::decrypt(&payload, &life(), three, &secret);
    assert_eq!(opened.unwrap(), plane_key(3));
    let mut elsewhere = life();
    elsewhere.incarnation = Incarnation::from_bytes([9; 16]);
    let other = AgreementSecret::from_bytes([6; 32]);
    for refused in [
        PlaneKey::decrypt(&payload, &elsewhere, three, &secret),
        PlaneKey::decrypt(&payload, &life(), KeyGeneration::new(4), &secret),
        PlaneKey::decrypt(&payload, &life(), three, &other),
    ] {
        assert_eq!(refused, Err(Reject::DecryptionFailed));
    }
}

//= spec/encryption.md#plane-key type=test
//# A device MUST refuse a plane-key that does not decrypt under the agreement key that it bound
//# with `decryption-failed`.
#[test]
fn plane_key_that_changed_is_refused() {
    let secret = AgreementSecret::from_bytes([5; 32]);
    let mut dice = Dice::new(2);
    let payload = plane_key(3)
        .encrypt(&life(), &secret.public(), &mut dice)
        .unwrap();
    for at in [5, 40, payload.len() - 1] {
        let mut changed = payload.clone();
        changed[at] ^= 1;
        let refused = PlaneKey::decrypt(&changed, &life(), KeyGeneration::new(3), &secret);
        assert_eq!(refused, Err(Reject::DecryptionFailed), "{at}");
    }
}

//= spec/encryption.md#plane-key type=test
//# The payload MUST be an array of the 32 bytes of an encapsulated key and 119 bytes of ciphertext,
//# else `shape`.
#[test]
fn plane_key_of_another_form_is_refused() {
    for (key, ciphertext) in [(31, 119), (32, 118), (32, 120), (32, 0)] {
        let mut writer = Writer::new();
        writer
            .array(2)
            .bytes(&std::vec![1; key])
            .bytes(&std::vec![1; ciphertext]);
        assert_eq!(check_plane_key(writer.as_bytes()), Err(Reject::Shape));
    }
    assert_eq!(check_plane_key(&hex("80")), Err(Reject::Shape));
}

//= spec/encryption.md#agreement-key type=test
//# A controller MUST refuse an agreement key that gives an all-zero shared secret with
//# `key-refused`.
#[test]
fn agreement_key_of_small_order_is_refused() {
    for low in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let refused = AgreementKey::from_bytes(hex(low).try_into().unwrap());
        assert_eq!(refused, Err(Reject::KeyRefused), "{low}");
    }
}

#[test]
fn secrets_shown_for_debugging_hold_no_byte() {
    let secret = AgreementSecret::from_bytes([0xab; 32]);
    let key = PlaneKey {
        generation: KeyGeneration::new(1),
        digest: DigestKey::from_bytes([0xab; 32]),
        desired: CipherKey::from_bytes([0xab; 32]),
        actual: CipherKey::from_bytes([0xab; 32]),
    };
    let shown = format!("{secret:?} {key:?} {:?}", Vault::new(life(), key.clone()));
    assert!(
        !shown.contains("171") && !shown.contains("ab, ab"),
        "{shown}"
    );
    assert!(shown.contains("DigestKey(..)"));
}

#[test]
fn record_of_as_many_generations_as_may_be_kept_is_read_and_one_more_refused() {
    let record = |count: u64| {
        let mut writer = Writer::new();
        writer.array(2).bytes(&[7; 32]).array(count as usize);
        for number in 1..=count {
            writer.array(3).uint(number).bytes(&[1; 32]).bytes(&[2; 32]);
        }
        Vault::decode(writer.as_bytes(), life())
    };
    let most = crate::limits::KEY_GENERATIONS_MAX as u64;
    for count in [1, 2, most] {
        let vault = record(count).unwrap();
        assert_eq!(vault.generations_count() as u64, count);
        assert_eq!(vault.generation().number(), count);
    }
    for count in [0, most + 1] {
        assert_eq!(record(count).err(), Some(Reject::Shape), "{count}");
    }
}
