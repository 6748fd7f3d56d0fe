use super::*;
use crate::key::MemorySigner;
use alloc::vec;

mod skipped;

fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed(&[number; 32])
}

fn key(number: u8) -> PublicKey {
    signer(number).public_key().clone()
}

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

fn written_by(generation: u64, number: u8) -> Writership {
    Writership {
        generation: Generation::new(generation),
        key: key(number),
    }
}

/// Root 1, recovery 2, writer 3, mailbox 4.
fn content() -> BundleContent {
    BundleContent {
        root: key(1),
        recovery: key(2),
        writers: BTreeMap::from([(tenant("acme"), written_by(1, 3))]),
        mailboxes: vec![Mailbox {
            key: key(4),
            urls: vec!["https://box.example/".into()],
        }],
        revoked: BTreeSet::new(),
    }
}

fn pinned() -> Trust {
    Trust::new(key(1).thumbprint(), key(2).thumbprint())
}

fn first() -> Trust {
    offer(&pinned(), &content(), 1).unwrap()
}

/// Seals contents as the successor of what `trust` holds and offers them to it.
fn offer(trust: &Trust, content: &BundleContent, by: u8) -> Result<Trust, Reject> {
    let genesis = key(1).thumbprint();
    let sealed = content.seal(trust.held(), genesis, &signer(by))?;
    trust.offer(sealed.as_bytes())
}

fn changed(change: impl FnOnce(&mut BundleContent)) -> BundleContent {
    let mut content = content();
    change(&mut content);
    content
}

fn revoking(numbers: &[u8]) -> BTreeSet<Thumbprint> {
    numbers
        .iter()
        .map(|number| key(*number).thumbprint())
        .collect()
}

#[test]
fn first_bundle_is_held_and_answers_questions() {
    let trust = first();
    assert_eq!(trust.number(), BundleNumber::new(1));
    assert_eq!(trust.held().map(Bundle::number), Some(trust.number()));
    let (generation, writer) = trust.writer(&tenant("acme")).unwrap();
    assert_eq!((generation, writer), (Generation::new(1), &key(3)));
    assert_eq!(trust.writer(&tenant("other")), None);
    assert_eq!(trust.mailboxes().len(), 1);
    assert!(!trust.is_revoked(&key(3).thumbprint()));
}

#[test]
fn chain_from_disk_is_verified_again() {
    let one = first();
    let rotated = changed(|content| {
        content.root = key(7);
        content.writers.insert(tenant("acme"), written_by(2, 8));
        content
            .writers
            .insert(tenant("a-much-longer-tenant-name"), written_by(5, 9));
        content.revoked = revoking(&[3]);
    });
    let two = offer(&one, &rotated, 2).unwrap();
    let three = offer(&two, &rotated, 7).unwrap();
    let chain: Vec<&[u8]> = [&one, &two, &three]
        .into_iter()
        .map(|trust| trust.held().unwrap().as_bytes())
        .collect();
    let (root, recovery) = (key(1).thumbprint(), key(2).thumbprint());
    let again = Trust::from_chain(root, recovery, chain.iter().copied());
    assert_eq!(again.as_ref(), Ok(&three));
    let holed = Trust::from_chain(root, recovery, [chain[0], chain[2]]);
    assert_eq!(holed, Err(Reject::BundleGap));
    assert!(two.is_revoked(&key(3).thumbprint()));
}

#[test]
fn second_bundle_is_refused_by_its_first_broken_rule() {
    let one = first();
    let acme = |generation, number| {
        changed(|content| {
            content
                .writers
                .insert(tenant("acme"), written_by(generation, number));
        })
    };
    let cases = [
        //= spec/postern.md#bundle type=test
        //# A higher bundle MUST be signed by the root key or the recovery key of the held one, else
        //# `bundle-root` when its number is the next and `bundle-gap` when it is above that.
        (content(), 3, Reject::BundleRoot),
        (content(), 9, Reject::BundleRoot),
        //= spec/postern.md#bundle type=test
        //# From one number to the next the generation of a tenant's writer MUST stay when its key stays and go
        //# up by exactly one when its key changes, else `bundle-generation`.
        (acme(1, 8), 1, Reject::BundleGeneration),
        (acme(3, 8), 1, Reject::BundleGeneration),
        (acme(2, 3), 1, Reject::BundleGeneration),
    ];
    for (content, by, reject) in cases {
        assert_eq!(offer(&one, &content, by), Err(reject), "by {by}");
    }
    assert_eq!(one.number(), BundleNumber::new(1));
}

//= spec/postern.md#bundle type=test
//# Bundle 1 MUST be signed by the key in its field 1, whose thumbprint is the pinned genesis
//# thumbprint, else `bundle-root`.
//= spec/postern.md#bundle type=test
//# The recovery key of bundle 1 MUST have the pinned recovery thumbprint, else `bundle-root`.
//= spec/postern.md#verification-order type=test
//# The bytes of a bundle with number 1 and of an enrol-request name their own key; a verifier MUST
//# compare that key with the pinned thumbprint or the token's proof before it trusts the payload.
#[test]
fn bundle_of_another_domain_is_refused() {
    let foreign = changed(|content| content.root = key(9));
    let sealed = foreign.seal(None, key(9).thumbprint(), &signer(9)).unwrap();
    assert_eq!(pinned().offer(sealed.as_bytes()), Err(Reject::BundleRoot));
    let sealed = content()
        .seal(None, key(9).thumbprint(), &signer(1))
        .unwrap();
    assert_eq!(
        pinned().offer(sealed.as_bytes()),
        Err(Reject::SignatureInvalid)
    );
    let recovery = changed(|content| content.recovery = key(9));
    assert_eq!(offer(&pinned(), &recovery, 1), Err(Reject::BundleRoot));
    assert_eq!(offer(&pinned(), &content(), 2), Err(Reject::BundleRoot));
}

//= spec/postern.md#bundle type=test
//# A receiver MUST refuse a number that is not above the held one with `bundle-stale`.
//= spec/postern.md#bundle type=test
//# A receiver that holds no bundle MUST refuse every number but 1 with `bundle-gap`.
//= spec/postern.md#bundle type=test
//# The digest of the next bundle MUST be the message id of the held one, else `bundle-chain`.
#[test]
fn bundle_out_of_order_is_refused() {
    let one = first();
    let two = offer(&one, &content(), 1).unwrap();
    let three = offer(&two, &content(), 1).unwrap();
    let bytes = |trust: &Trust| trust.held().unwrap().as_bytes().to_vec();
    let cases = [
        (&one, bytes(&one), Reject::BundleStale),
        (&three, bytes(&one), Reject::BundleStale),
        (&pinned(), bytes(&two), Reject::BundleGap),
    ];
    for (trust, envelope, reject) in cases {
        assert_eq!(trust.offer(&envelope), Err(reject));
    }
    let fork = offer(&one, &content(), 2).unwrap();
    let after_fork = content()
        .seal(fork.held(), key(1).thumbprint(), &signer(1))
        .unwrap();
    let other = changed(|content| content.revoked = revoking(&[55]));
    let two = offer(&one, &other, 1).unwrap();
    assert_eq!(two.offer(after_fork.as_bytes()), Err(Reject::BundleChain));
}

//= spec/postern.md#bundle type=test
//# A revoked thumbprint of the held bundle MUST be revoked in a higher one, else `bundle-revocation`.
//= spec/postern.md#bundle type=test
//# A revoked key MUST NOT be listed as root, recovery, writer or mailbox key, else `key-revoked`.
#[test]
fn revocation_is_for_ever() {
    let one = first();
    let two = offer(
        &one,
        &changed(|content| content.revoked = revoking(&[50, 51])),
        1,
    )
    .unwrap();
    for left in [&[][..], &[50], &[51, 52]] {
        let withdrawn = changed(|content| content.revoked = revoking(left));
        assert_eq!(offer(&two, &withdrawn, 1), Err(Reject::BundleRevocation));
    }
    for listed in 1..=4 {
        let revoked = changed(|content| content.revoked = revoking(&[listed]));
        assert_eq!(
            BundleContent::decode(&revoked.encode()),
            Err(Reject::KeyRevoked)
        );
    }
}

//= spec/postern.md#bundle type=test
//# A bundle MUST NOT have more than 256 entries in field 3, 4 or 5, more than 8 URLs of a mailbox
//# or a URL of more than 512 bytes, else `oversize`.
#[test]
fn payload_outside_its_form_is_refused() {
    let urls = |urls: Vec<String>| changed(|content| content.mailboxes[0].urls = urls);
    let cases = [
        (changed(|content| content.writers.clear()), Reject::Shape),
        (urls(vec![]), Reject::Shape),
        (urls(vec![String::new()]), Reject::Shape),
        (urls(vec!["x".into(); 9]), Reject::Oversize),
        (urls(vec!["x".repeat(513)]), Reject::Oversize),
    ];
    for (content, reject) in cases {
        assert_eq!(BundleContent::decode(&content.encode()), Err(reject));
    }
    let good = content().encode();
    for length in 0..good.len() {
        assert_eq!(
            BundleContent::decode(&good[..length]),
            Err(Reject::CborTruncated)
        );
    }
}

/// The payload of the first bundle with other bytes in place of some.
fn payload_with(content: &BundleContent, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut payload = content.encode();
    let at = payload.windows(from.len()).position(|part| part == from);
    payload.splice(at.unwrap()..at.unwrap() + from.len(), to.iter().copied());
    payload
}

//= spec/postern.md#bundle type=test
//# Every key of a bundle MUST pass the check of #keys, else `key-refused`.
#[test]
fn bundle_with_a_key_that_fails_the_check_is_refused() {
    for number in 1..=4 {
        let small_order = payload_with(&content(), key(number).as_bytes(), &[0; 32]);
        let decoded = BundleContent::decode(&small_order);
        assert_eq!(decoded, Err(Reject::KeyRefused), "key {number}");
    }
}

//= spec/postern.md#bundle type=test
//# A tenant that the held bundle does not name MUST have a generation of at least 1, else
//# `bundle-generation`.
#[test]
fn bundle_with_generation_0_is_refused() {
    let never = changed(|content| {
        content.writers.insert(tenant("acme"), written_by(0, 3));
    });
    assert_eq!(offer(&pinned(), &never, 1), Err(Reject::BundleGeneration));
    let later = changed(|content| {
        content.writers.insert(tenant("other"), written_by(0, 5));
    });
    assert_eq!(offer(&first(), &later, 1), Err(Reject::BundleGeneration));
}

//= spec/postern.md#bundle type=test
//# Revoked thumbprints MUST ascend strictly, else `shape`.
#[test]
fn bundle_whose_revocations_do_not_ascend_is_refused() {
    let two = changed(|content| content.revoked = revoking(&[50, 51]));
    let [low, high] = [0, 1].map(|at| *two.revoked.iter().nth(at).unwrap().as_bytes());
    let apart = |first: [u8; 32], second: [u8; 32]| {
        let row = |bytes: [u8; 32]| [&[0x58, 0x20][..], &bytes].concat();
        [row(first), row(second)].concat()
    };
    for (first, second) in [(high, low), (low, low), (high, high)] {
        let payload = payload_with(&two, &apart(low, high), &apart(first, second));
        assert_eq!(BundleContent::decode(&payload), Err(Reject::Shape));
    }
}

//= spec/postern.md#bundle type=test
//# A bundle MUST NOT have more than 256 entries in field 3, 4 or 5, more than 8 URLs of a mailbox
//# or a URL of more than 512 bytes, else `oversize`.
#[test]
fn bundle_with_more_than_256_entries_is_oversize() {
    let many = |count: u64| {
        changed(|content| {
            let mark = |number: u64| Digest::of(&number.to_be_bytes());
            let thumbprint = |number| Thumbprint::from_bytes(*mark(number).as_bytes());
            content.revoked = (0..count).map(thumbprint).collect();
        })
    };
    assert!(BundleContent::decode(&many(256).encode()).is_ok());
    let writers = changed(|content| {
        for number in 0..257 {
            let name = tenant(&alloc::format!("t{number}"));
            content.writers.insert(name, written_by(1, 3));
        }
    });
    let mailboxes = changed(|content| content.mailboxes = vec![content.mailboxes[0].clone(); 257]);
    for content in [many(257), writers, mailboxes] {
        let decoded = BundleContent::decode(&content.encode());
        assert_eq!(decoded, Err(Reject::Oversize));
    }
}

//= spec/postern.md#bundle type=test
//# A bundle MUST NOT have more than 256 entries in field 3, 4 or 5, more than 8 URLs of a mailbox
//# or a URL of more than 512 bytes, else `oversize`.
#[test]
fn bundle_with_more_or_longer_urls_than_may_be_is_oversize() {
    let url = |bytes: usize| String::from("x").repeat(bytes);
    for (urls, expected) in [
        (vec![url(1); 8], None),
        (vec![url(1); 9], Some(Reject::Oversize)),
        (vec![url(512); 2], None),
        (vec![url(1), url(513)], Some(Reject::Oversize)),
        (vec![], Some(Reject::Shape)),
        (vec![url(1), url(0)], Some(Reject::Shape)),
    ] {
        let content = changed(|content| content.mailboxes[0].urls = urls);
        let decoded = BundleContent::decode(&content.encode());
        assert_eq!(decoded.err(), expected);
    }
}

//= spec/postern.md#keys type=test
//# A key id MUST NOT be used as the identity of a key in state, limits or caches.
#[test]
fn key_that_shares_its_id_with_a_revoked_one_is_not_revoked() {
    let mut shared = *key(3).thumbprint().as_bytes();
    shared[31] ^= 1;
    let other = Thumbprint::from_bytes(shared);
    assert_eq!(other.key_id(), key(3).key_id());
    let revoked = changed(|content| content.revoked = BTreeSet::from([other]));
    let trust = offer(&pinned(), &revoked, 1).unwrap();
    assert!(trust.is_revoked(&other) && !trust.is_revoked(&key(3).thumbprint()));
}
