//! Keys whose seeds everybody knows, and dice that fall the same way every time.

use crate::context::{Keyring, Random};
use crate::encryption::AgreementSecret;
use crate::id::{Channel, DeviceName, Incarnation, Tenant, Thumbprint};
use crate::key::test_key::SEED_MARK;
use crate::key::{MemorySigner, Signer};
use crate::limits::BUNDLE_LIST_MAX;
use crate::revision::Generation;
use crate::trust::{BundleContent, Mailbox, Trust, Writership};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// Returns the published test key of a name: seed = SHA-256("postern test key " ‖ name).
#[must_use]
pub fn signer(name: &str) -> MemorySigner {
    MemorySigner::from_seed(&seed(name))
}

/// How the keys of a world sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signing {
    /// Ed25519, as in a release.
    #[default]
    Real,
    /// Hashes that pass for signatures: some hundred times faster.
    Test,
}

impl Signing {
    /// Returns the published test key of a name. Both kinds share the seeds, not the keys.
    #[must_use]
    pub fn signer(self, name: &str) -> MemorySigner {
        match self {
            Self::Real => signer(name),
            Self::Test => MemorySigner::danger_test_from_seed(&seed(name)),
        }
    }
}

fn seed(name: &str) -> [u8; 32] {
    Sha256::digest(format!("postern test key {name}")).into()
}

/// The key to which the devices of a test let plane keys be encrypted.
#[must_use]
pub fn agreement() -> AgreementSecret {
    AgreementSecret::from_bytes(Sha256::digest(b"postern test agreement key").into())
}

/// Random numbers that follow from a seed (a 64-bit linear congruential generator, mixed).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
    /// True when seeds of 32 bytes are marked as those of test keys.
    is_marking: bool,
}

impl Dice {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
            is_marking: false,
        }
    }

    /// The same dice for a world that signs in this way: with test keys, ephemeral keys are such, too.
    #[must_use]
    pub fn signing(mut self, signing: Signing) -> Self {
        self.is_marking = signing == Signing::Test;
        self
    }

    /// Draws a number of all 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.state ^ (self.state >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 29)
    }

    /// Draws a number below `bound`; 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        match self.draw().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// Tells yes in `per_mille` of a thousand draws.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

impl Random for Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes.iter_mut() {
            let [first, ..] = self.draw().to_be_bytes();
            *byte = first;
        }
        if self.is_marking && bytes.len() == 32 {
            for (byte, mark) in bytes.iter_mut().zip(SEED_MARK) {
                *byte = mark;
            }
        }
    }
}

/// The keys of one trust domain with one tenant and one mailbox, and the bundle that names them.
#[derive(Debug)]
pub struct TestKeys {
    /// The root now, at first the genesis root.
    pub root: MemorySigner,
    /// The recovery root.
    pub recovery: MemorySigner,
    /// The tenant's writer now.
    pub writer: MemorySigner,
    /// The mailbox.
    pub mailbox: MemorySigner,
    /// How they sign.
    pub signing: Signing,
    /// The tenant.
    pub tenant: Tenant,
    domain: Thumbprint,
    /// Bundle envelopes, from number 1.
    pub bundles: Vec<Vec<u8>>,
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKeys {
    /// Makes the domain with bundle 1.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Signing::Real)
    }

    /// Makes the domain with bundle 1 and keys that sign in this way.
    #[must_use]
    pub fn with(signing: Signing) -> Self {
        let Ok(tenant) = Tenant::parse("acme") else {
            unreachable!("the name is valid")
        };
        let root = signing.signer("root");
        let mut keys = Self {
            domain: root.public_key().thumbprint(),
            root,
            recovery: signing.signer("recovery"),
            writer: signing.signer("writer"),
            mailbox: signing.signer("mailbox"),
            signing,
            tenant,
            bundles: Vec::new(),
        };
        keys.push_bundle(1, &[]);
        keys
    }

    /// The trust domain.
    #[must_use]
    pub const fn domain(&self) -> Thumbprint {
        self.domain
    }

    /// The trust after the first `count` bundles.
    #[must_use]
    pub fn trust_after(&self, count: usize) -> Trust {
        let envelopes = self.bundles.iter().take(count).map(Vec::as_slice);
        let recovery = self.recovery.public_key().thumbprint();
        let Ok(trust) = Trust::from_chain(self.domain(), recovery, envelopes) else {
            unreachable!("the chain was sealed here")
        };
        trust
    }

    /// The trust after every bundle.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust_after(self.bundles.len())
    }

    /// Tells whether operators may go on making bundles: each may revoke two keys, and lists all that were.
    #[must_use]
    pub const fn have_room(&self) -> bool {
        self.bundles.len() < BUNDLE_LIST_MAX / 2
    }

    /// Replaces the root key: the next bundle, which the old one signs, names the new one.
    pub fn push_root(&mut self, name: &str) {
        let old = core::mem::replace(&mut self.root, self.signing.signer(name));
        let generation = self.generation();
        self.push_signed(generation, &[], Some(&old));
    }

    /// Seals the next bundle with the writer as it is now, and what is revoked from now on.
    pub fn push_bundle(&mut self, generation: u64, revoked: &[Thumbprint]) {
        self.push_signed(generation, revoked, None);
    }

    /// Seals the next bundle by a root that it replaces, or by the one that it names.
    fn push_signed(&mut self, generation: u64, revoked: &[Thumbprint], by: Option<&MemorySigner>) {
        let trust = self.trust();
        let mut all: BTreeSet<Thumbprint> = revoked.iter().copied().collect();
        if let Some(held) = trust.held() {
            all.extend(held.content().revoked.iter().copied());
        }
        let writership = Writership {
            generation: Generation::new(generation),
            key: self.writer.public_key().clone(),
        };
        let content = BundleContent {
            root: self.root.public_key().clone(),
            recovery: self.recovery.public_key().clone(),
            writers: BTreeMap::from([(self.tenant.clone(), writership)]),
            mailboxes: Vec::from([Mailbox {
                key: self.mailbox.public_key().clone(),
                urls: Vec::from(["https://mailbox.test".into()]),
            }]),
            revoked: all,
        };
        let Ok(sealed) = content.seal(trust.held(), self.domain(), by.unwrap_or(&self.root)) else {
            unreachable!("the content is small and revokes nothing that it lists")
        };
        self.bundles.push(sealed.into_bytes());
    }

    /// Replaces the writer key: the next bundle, of this generation, names and revokes.
    /// Returns the replaced one.
    pub fn rotate_writer(&mut self, name: &str, generation: u64) -> MemorySigner {
        let old = core::mem::replace(&mut self.writer, self.signing.signer(name));
        self.push_bundle(generation, &[old.public_key().thumbprint()]);
        old
    }

    /// Takes the newest bundle back, which nobody saw, and with it the writer key that it named.
    pub fn take_back(&mut self, writer: MemorySigner) {
        self.bundles.pop();
        self.writer = writer;
    }

    /// The generation of the writer in the newest bundle.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let trust = self.trust();
        let writer = trust.writer(&self.tenant);
        writer.map_or(1, |(generation, _)| generation.number())
    }

    /// Replaces the mailbox key: the next bundle lists this one alone.
    pub fn rotate_mailbox(&mut self, name: &str) {
        self.mailbox = self.signing.signer(name);
        self.push_bundle(self.generation(), &[]);
    }

    /// The channel of a device of the tenant.
    #[must_use]
    pub fn channel(&self, device: &str) -> Channel {
        let Ok(device) = DeviceName::parse(device) else {
            unreachable!("tests give valid names")
        };
        Channel {
            root: self.domain(),
            tenant: self.tenant.clone(),
            device,
        }
    }

    /// The incarnation that a device's tests use.
    #[must_use]
    pub const fn incarnation() -> Incarnation {
        Incarnation::from_bytes([0x1c; 16])
    }
}

impl Keyring for TestKeys {
    fn writer(&self, tenant: &Tenant) -> Option<&dyn Signer> {
        (*tenant == self.tenant).then_some(&self.writer as &dyn Signer)
    }
}
