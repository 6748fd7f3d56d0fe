//! Rotation: which keys change, who may sign it, and what is refused.

use crate::config::ControllerConfig;
use crate::controller::bundles;
use crate::controller::init::{InitOptions, create};
use crate::controller::keyring::{Writers, mailbox_keys, read_mailboxes};
use crate::controller::rotate::{Rotated, Rotation, rotate};
use crate::exit::CommandError;
use crate::random::OsRandom;
use postern_protocol::context::Keyring as _;
use postern_protocol::id::{Tenant, Thumbprint};
use postern_protocol::key::Signer as _;
use postern_protocol::trust::Trust;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) struct Folder {
    pub(super) config: ControllerConfig,
    _dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self::listening(Some("127.0.0.1:8443"))
    }

    /// Makes a controller that listens, or one that only dials out.
    pub(super) fn listening(listen: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = InitOptions {
            dir: dir.path().join("controller"),
            listen: listen.map(|address| address.parse().unwrap()),
            urls: Vec::new(),
            tenants: vec![tenant("acme"), tenant("default")],
            certificate: None,
        };
        create(&options, &mut OsRandom).unwrap();
        let config = ControllerConfig::load(&options.dir).unwrap();
        Self { config, _dir: dir }
    }

    pub(super) fn trust(&self) -> Trust {
        bundles::read(&self.config).unwrap().0
    }

    pub(super) fn rotate(
        &self,
        rotation: &Rotation,
        signer: Option<&str>,
    ) -> Result<Rotated, CommandError> {
        let signer = signer.map(|name| self.config.dir.join(name));
        let signer = signer.as_deref();
        rotate(&self.config, &self.trust(), rotation, signer, &mut OsRandom)
    }

    /// Checks that the bundle is refused under this name and that nothing was added.
    pub(super) fn refused(&self, rotation: &Rotation, signer: Option<&str>, expected: &str) {
        let before = self.trust().number();
        let error = self.rotate(rotation, signer).unwrap_err();
        assert_eq!(error.name, expected, "{error:?}");
        assert_eq!(self.trust().number(), before);
    }
}

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

fn remove(dir: &Path, name: &str) {
    std::fs::remove_file(dir.join(name)).unwrap();
}

#[test]
fn writer_rotation_raises_the_generation_of_that_tenant_only() {
    let folder = Folder::new();
    let before = folder.trust();
    folder
        .rotate(&Rotation::Writers(vec![tenant("acme")]), None)
        .unwrap();
    let after = folder.trust();
    let generation = |trust: &Trust, name| trust.writer(&tenant(name)).unwrap().0.number();
    assert_eq!(generation(&after, "acme"), generation(&before, "acme") + 1);
    assert_eq!(
        after.writer(&tenant("default")),
        before.writer(&tenant("default"))
    );
    let writers = Writers::read(&folder.config, &after).unwrap();
    let held = writers
        .writer(&tenant("acme"))
        .unwrap()
        .public_key()
        .clone();
    assert_eq!(after.writer(&tenant("acme")).unwrap().1, &held);
}

#[test]
fn mailbox_rotation_keeps_the_old_key_for_devices_with_the_old_bundle() {
    let folder = Folder::new();
    let old = folder.trust().mailboxes()[0].clone();
    folder.rotate(&Rotation::Mailbox, None).unwrap();
    let trust = folder.trust();
    assert_eq!(trust.mailboxes().len(), 1);
    assert_eq!(trust.mailboxes()[0].urls, old.urls);
    let signers = read_mailboxes(&folder.config, &trust).unwrap();
    let keys: Vec<_> = signers.iter().map(|signer| signer.public_key()).collect();
    assert_eq!(keys, [&trust.mailboxes()[0].key, &old.key]);
    let revoked = BTreeSet::from([old.key.thumbprint()]);
    folder.rotate(&Rotation::Revoke(revoked), None).unwrap();
    assert_eq!(
        read_mailboxes(&folder.config, &folder.trust())
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn root_rotation_lets_the_new_root_sign_and_the_old_one_no_more() {
    let folder = Folder::new();
    folder.rotate(&Rotation::Root, None).unwrap();
    folder
        .rotate(&Rotation::Mailbox, Some("root-2.key"))
        .unwrap();
    folder.refused(&Rotation::Mailbox, Some("root.key"), "bundle-root");
    remove(&folder.config.dir, "root-2.key");
    folder.refused(&Rotation::Mailbox, None, "root-key-missing");
    folder
        .rotate(&Rotation::Root, Some("recovery.key"))
        .unwrap();
    folder.rotate(&Rotation::Promote, None).unwrap();
    assert_eq!(folder.trust().number().number(), 5);
}

#[test]
fn rotation_without_the_right_key_is_refused() {
    let folder = Folder::new();
    folder.refused(&Rotation::Promote, Some("writer-acme.key"), "key-file-role");
    folder.refused(&Rotation::Promote, Some("nowhere.key"), "key-file-missing");
    remove(&folder.config.dir, "root.key");
    folder.refused(&Rotation::Promote, None, "root-key-missing");
    folder.refused(
        &Rotation::Writers(vec![tenant("other")]),
        Some("recovery.key"),
        "tenant-unknown",
    );
}

#[test]
fn revocation_of_a_key_in_use_is_refused() {
    let folder = Folder::new();
    let trust = folder.trust();
    let content = trust.held().unwrap().content();
    let used = [
        content.root.thumbprint(),
        content.recovery.thumbprint(),
        content.mailboxes[0].key.thumbprint(),
        content.writers[&tenant("acme")].key.thumbprint(),
    ];
    for thumbprint in used {
        folder.refused(
            &Rotation::Revoke(BTreeSet::from([thumbprint])),
            None,
            "key-in-use",
        );
    }
}

#[test]
fn controller_without_the_key_that_the_bundle_names_does_not_start() {
    let folder = Folder::new();
    folder.rotate(&Rotation::Promote, None).unwrap();
    let trust = folder.trust();
    remove(&folder.config.dir, "writer-acme-2.key");
    let error = Writers::read(&folder.config, &trust).unwrap_err();
    assert_eq!(error.name, "key-not-in-bundle");
    remove(&folder.config.dir, "mailbox-2.key");
    let error = read_mailboxes(&folder.config, &trust).unwrap_err();
    assert_eq!(error.name, "key-not-in-bundle");
}

#[test]
fn mailbox_key_is_used_for_the_bundles_that_list_it() {
    let folder = Folder::new();
    let old = folder.trust().mailboxes()[0].key.thumbprint();
    folder.rotate(&Rotation::Mailbox, None).unwrap();
    let (trust, chain) = bundles::read(&folder.config).unwrap();
    let keys = mailbox_keys(&folder.config, &trust, &chain).unwrap();
    assert_eq!(keys.thumbprint(), trust.mailboxes()[0].key.thumbprint());
    assert!(
        format!("{keys:?}").contains(&format!("{old:?}")),
        "{keys:?}"
    );
    remove(&folder.config.dir, "bundles/2.cbor");
    let (trust, chain) = bundles::read(&folder.config).unwrap();
    let keys = mailbox_keys(&folder.config, &trust, &chain).unwrap();
    assert_eq!(
        keys.thumbprint(),
        old,
        "a key without its bundle counts nothing"
    );
}

#[test]
fn key_beyond_those_that_a_bundle_lists_is_not_revoked() {
    let folder = Folder::new();
    let marked =
        |mark: usize| Thumbprint::from_bytes([mark.to_be_bytes(); 4].concat().try_into().unwrap());
    let revoke = |marks: std::ops::Range<usize>| Rotation::Revoke(marks.map(marked).collect());
    folder.rotate(&revoke(0..200), None).unwrap();
    folder.refused(&revoke(200..257), None, "oversize");
    folder.rotate(&revoke(200..256), None).unwrap();
    folder.refused(&revoke(256..257), None, "oversize");
    assert_eq!(folder.trust().number().number(), 3);
}
