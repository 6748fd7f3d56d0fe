//! Joining by hand: what is durable, and what an answer has to prove before it counts.

use super::identity::{Stage, StoredIdentity};
use super::join::{confirm, prepare};
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::{keys, records};
use postern_protocol::enrol::{EnrolAnswer, EnrolRequest, JoinSecret, SealedEnrolRequest};
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::{DeviceName, Incarnation, Tenant, Thumbprint, TokenId};
use postern_protocol::join_line::JoinLine;
use postern_protocol::key::{MemorySigner, Signer as _};
use postern_protocol::record::Table;
use postern_protocol::revision::{BundleNumber, Epoch, Generation, Revision, Seq};
use postern_protocol::trust::{BundleContent, Mailbox, Writership};
use postern_relay::store::{DiskStore, Profile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn signer(number: u8) -> MemorySigner {
    MemorySigner::from_seed(&[number; 32])
}

fn thumbprint(number: u8) -> Thumbprint {
    signer(number).public_key().thumbprint()
}

/// Root 1, recovery 2; the mailbox of the bundle is 4.
fn line(mailbox: Option<Thumbprint>) -> JoinLine {
    JoinLine {
        urls: vec!["https://box.example".into()],
        root: thumbprint(1),
        recovery: thumbprint(2),
        tenant: Tenant::parse("acme").unwrap(),
        device: DeviceName::parse("press-7").unwrap(),
        token: TokenId::from_bytes([8; 8]),
        secret: JoinSecret::from_bytes([9; 32]),
        tls_ca: Some(vec![0x30, 0x00]),
        mailbox,
    }
}

struct Joining {
    config: DeviceConfig,
    line: JoinLine,
    store: DiskStore,
    stored: StoredIdentity,
    sealed: SealedEnrolRequest,
}

impl Joining {
    fn begin(folder: &Path, line: JoinLine) -> Self {
        let config = DeviceConfig::load_or_create(folder).unwrap();
        let store = DiskStore::open(&config.store, Profile::Device).unwrap();
        let stored = prepare(&config, &line, None, &store).unwrap();
        let request = EnrolRequest {
            token: line.token,
            device: line.device.clone(),
            incarnation: stored.identity.incarnation,
            nonce: [7; 16],
            agreement: None,
        };
        let signer = keys::read(&config.key, keys::KeyRole::Device).unwrap();
        let sealed = request.seal(line.root, &line.tenant, &line.secret, &signer);
        Self {
            config,
            line,
            store,
            stored,
            sealed: sealed.unwrap(),
        }
    }

    /// An enrolled frame of a trust domain whose root is `root`.
    fn answered_by(&self, root: u8) -> Vec<u8> {
        let content = BundleContent {
            root: signer(root).public_key().clone(),
            recovery: signer(2).public_key().clone(),
            writers: BTreeMap::from([(
                self.line.tenant.clone(),
                Writership {
                    generation: Generation::new(1),
                    key: signer(3).public_key().clone(),
                },
            )]),
            mailboxes: vec![Mailbox {
                key: signer(4).public_key().clone(),
                urls: self.line.urls.clone(),
            }],
            revoked: BTreeSet::new(),
        };
        let bundle = content.seal(None, thumbprint(root), &signer(root)).unwrap();
        let key = keys::read(&self.config.key, keys::KeyRole::Device).unwrap();
        let answer = EnrolAnswer {
            revision: Revision::new(Epoch::new(7), Seq::new(1)),
            request: self.sealed.message_id,
            bundle: BundleNumber::new(1),
            device_key: key.public_key().thumbprint(),
            time: None,
        };
        let identity = &self.stored.identity;
        let answer = answer
            .seal(&identity.channel, identity.incarnation, &signer(3))
            .unwrap();
        let frame = PlainFrame::Enrolled {
            bundles: vec![bundle.as_bytes()],
            answer: answer.as_bytes(),
        };
        frame.encode().unwrap()
    }

    fn confirm(&self, frame: &[u8]) -> Result<u64, CommandError> {
        let key = keys::read(&self.config.key, keys::KeyRole::Device).unwrap();
        let (line, stored, sealed) = (&self.line, &self.stored, &self.sealed);
        let report = confirm(&self.store, line, stored, &key, sealed, frame, "direct");
        report.map(|report| report.bundle)
    }

    /// What a process that starts now would find: a confirmed identity, and how many bundles.
    fn at_rest(&self) -> (Option<StoredIdentity>, usize) {
        let found = records::load(&self.store).unwrap();
        let bundles = found.iter().filter(|one| one.table == Table::Bundles);
        let bundles = bundles.count();
        let identity = StoredIdentity::find(records::lend(&found), Stage::Confirmed).unwrap();
        (identity, bundles)
    }
}

fn incarnation(folder: &Path) -> Incarnation {
    Joining::begin(folder, line(None))
        .stored
        .identity
        .incarnation
}

//= spec/encryption.md#agreement-key type=test
//# A device that can decrypt MUST make an X25519 key at enrolment and put it as the sixth member
//# into its enrol-request.
#[test]
fn join_binds_one_agreement_key_however_often_it_asks() {
    let folder = tempfile::tempdir().unwrap();
    let config = DeviceConfig::load_or_create(folder.path()).unwrap();
    let store = DiskStore::open(&config.store, Profile::Device).unwrap();
    assert_eq!(super::join::bound(&config, &store).unwrap(), None);
    let _stored = prepare(&config, &line(None), None, &store).unwrap();
    let first = super::join::bound(&config, &store).unwrap();
    assert!(first.is_some());
    let _stored = prepare(&config, &line(None), None, &store).unwrap();
    assert_eq!(super::join::bound(&config, &store).unwrap(), first);
}

//= spec/postern.md#incarnation type=test
//# A device MUST draw a new incarnation of 16 random bytes at each enrolment and each reset that
//# loses its state.
#[test]
fn join_draws_an_incarnation_for_each_life() {
    let folder = tempfile::tempdir().unwrap();
    let first = incarnation(&folder.path().join("a"));
    let again = incarnation(&folder.path().join("a"));
    assert_eq!(first, again, "the same life asks again after a crash");
    let other = incarnation(&folder.path().join("b"));
    assert_ne!(first, other);
    std::fs::remove_dir_all(folder.path().join("a")).unwrap();
    let reset = incarnation(&folder.path().join("a"));
    assert!(reset != first && reset != other, "a store that is lost");
}

//= spec/postern.md#enrolment type=test
//# The device MUST persist key, incarnation and bundle before it opens a session.
#[test]
fn enrolment_is_durable_before_anything_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let joining = Joining::begin(folder.path(), line(Some(thumbprint(4))));
    assert_eq!(joining.at_rest(), (None, 0));
    assert_eq!(joining.confirm(&joining.answered_by(1)).unwrap(), 1);
    assert!(joining.config.key.exists());
    assert_eq!(joining.at_rest(), (Some(joining.stored.clone()), 1));
}

//= spec/lives.md#join-line type=test
//# When field 9 is present a device MUST refuse with `mailbox-mismatch` an enrolment whose bundles
//# name no mailbox key with that thumbprint.
#[test]
fn enrolment_without_the_mailbox_of_the_line_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let joining = Joining::begin(folder.path(), line(Some(thumbprint(5))));
    let refused = joining.confirm(&joining.answered_by(1)).unwrap_err();
    assert!(
        refused.to_string().contains("mailbox-mismatch"),
        "{refused}"
    );
    assert_eq!(joining.at_rest(), (None, 0));
}

//= spec/lives.md#join-line type=test
//# Field 8 adds a trust anchor for TLS to the mailbox; a device MUST NOT take it as authority over
//# messages.
#[test]
fn tls_anchor_of_the_line_vouches_for_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let joining = Joining::begin(folder.path(), line(None));
    assert!(joining.line.tls_ca.is_some());
    let refused = joining.confirm(&joining.answered_by(6)).unwrap_err();
    assert_eq!(refused.name, "bundle-root");
    assert_eq!(joining.at_rest(), (None, 0));
}
