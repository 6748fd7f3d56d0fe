//! Bundles: every shared key that may say anything, in a chain that starts at a pinned thumbprint.
//!
//! ```text
//!  join line --pins--> Trust (nothing held) --offer(bundle 1)--> Trust --offer(bundle 2)--> Trust
//! ```
//!
//! An offer never changes what is held: it gives the next trust, to be stored before it is used. Numbers may
//! be skipped as long as the roots that are held signed what comes: [`BundleSteps`] finds what may be left out.
//! Refuses forks, signers that only a skipped bundle names, withdrawn revocations and writer keys without a
//! new generation.

use crate::cbor::{Writer, decode_all};
use crate::envelope::{Binding, Draft, Expected, Header, ReceivedEnvelope, SealedEnvelope};
use crate::id::{Digest, MessageId, Tenant, Thumbprint};
use crate::key::{PublicKey, Signer};
use crate::kind::{MessageKind, Role};
use crate::limits::BUNDLE_SKIP_MAX;
use crate::reject::Reject;
use crate::revision::{BundleNumber, Epoch, Generation, Seq};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

mod read;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use read::{expect_key, read_urls};
use read::{read_content, read_root};
pub use steps::{BundleStep, BundleSteps, steps_above};

/// Who writes for a tenant (spec: #bundle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writership {
    /// How often the key changed, from 1.
    pub generation: Generation,
    /// The writer key.
    pub key: PublicKey,
}

/// A mailbox and where it is found (spec: #bundle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The mailbox's key.
    pub key: PublicKey,
    /// Its URLs, 1..=8 of 1..=512 bytes each; what they mean is the transport's business.
    pub urls: Vec<String>,
}

/// What a bundle says (spec: #bundle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleContent {
    /// The root key from now on.
    pub root: PublicKey,
    /// The recovery key from now on.
    pub recovery: PublicKey,
    /// The writer of each tenant.
    pub writers: BTreeMap<Tenant, Writership>,
    /// The mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// Keys that never count again.
    pub revoked: BTreeSet<Thumbprint>,
}

impl BundleContent {
    /// Writes the payload of a bundle.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(5).uint(1);
        self.root.encode(&mut writer);
        writer.uint(2);
        self.recovery.encode(&mut writer);
        // Keys ascend by their encoding, in which the length comes before the characters.
        let mut tenants: Vec<_> = self.writers.iter().collect();
        tenants.sort_by_key(|(tenant, _)| (tenant.as_str().len(), tenant.as_str()));
        writer.uint(3).map(tenants.len());
        for (tenant, writership) in tenants {
            writer
                .text(tenant.as_str())
                .array(2)
                .uint(writership.generation.number());
            writership.key.encode(&mut writer);
        }
        writer.uint(4).array(self.mailboxes.len());
        for mailbox in &self.mailboxes {
            writer.array(2);
            mailbox.key.encode(&mut writer);
            writer.array(mailbox.urls.len());
            mailbox.urls.iter().for_each(|url| {
                writer.text(url);
            });
        }
        writer.uint(5).array(self.revoked.len());
        self.revoked.iter().for_each(|thumbprint| {
            writer.bytes(thumbprint.as_bytes());
        });
        writer.into_bytes()
    }

    /// Reads the payload of a bundle and checks every key.
    ///
    /// # Errors
    /// A CBOR reject, `shape`, `name-invalid`, `key-refused`, `bundle-generation` for a generation
    /// of 0, `key-revoked` for a key that the bundle itself revokes, `oversize` for a list or URL
    /// above its limit.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        let content = decode_all(payload, read_content)?;
        let listed = [&content.root, &content.recovery]
            .into_iter()
            .chain(content.writers.values().map(|writership| &writership.key))
            .chain(content.mailboxes.iter().map(|mailbox| &mailbox.key));
        for key in listed {
            //= spec/postern.md#bundle
            //# A revoked key MUST NOT be listed as root, recovery, writer or mailbox key, else
            //# `key-revoked`.
            //= spec/postern.md#keys
            //# A key id MUST NOT be used as the identity of a key in state, limits or caches.
            if content.revoked.contains(&key.thumbprint()) {
                return Err(Reject::KeyRevoked);
            }
        }
        Ok(content)
    }

    /// Signs these contents as the successor of `previous` (`None`: as bundle 1).
    ///
    /// `genesis` is the thumbprint of the root key of bundle 1: the name of the trust domain.
    ///
    /// # Errors
    /// `oversize`; the reject that every reader would answer to a payload that cannot be decoded.
    pub fn seal(
        &self,
        previous: Option<&Bundle>,
        genesis: Thumbprint,
        signer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let payload = self.encode();
        Self::decode(&payload)?;
        let base = previous.map_or(0, |bundle| bundle.number.number());
        let header = Header {
            kind: MessageKind::Bundle,
            epoch: Epoch::new(0),
            seq: Seq::new(base).next().ok_or(Reject::BundleGap)?,
            base: Seq::new(base),
            digest: previous.map(Bundle::chain_digest),
        };
        Draft { header, payload }.seal(Role::Root, Binding::Trust { root: genesis }, signer)
    }
}

/// A bundle that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    number: BundleNumber,
    message_id: MessageId,
    content: BundleContent,
    envelope: Vec<u8>,
}

impl Bundle {
    /// Its number, from 1.
    #[must_use]
    pub const fn number(&self) -> BundleNumber {
        self.number
    }

    /// Its identity, which the next bundle names.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// What it says.
    #[must_use]
    pub const fn content(&self) -> &BundleContent {
        &self.content
    }

    /// Its envelope, to be stored and forwarded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.envelope
    }

    fn chain_digest(&self) -> Digest {
        Digest::from_bytes(*self.message_id.as_bytes())
    }
}

/// The pinned thumbprints and the newest bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    root: Thumbprint,
    recovery: Thumbprint,
    held: Option<Bundle>,
    steps: BundleSteps,
}

impl Trust {
    /// Starts from the thumbprints of the genesis root key and of the first recovery key.
    #[must_use]
    pub fn new(root: Thumbprint, recovery: Thumbprint) -> Self {
        Self {
            root,
            recovery,
            held: None,
            steps: BundleSteps::default(),
        }
    }

    /// Verifies a stored chain of bundle envelopes again, from bundle 1 on.
    ///
    /// # Errors
    /// As [`Self::offer`], for the first envelope that is refused.
    pub fn from_chain<'a>(
        root: Thumbprint,
        recovery: Thumbprint,
        envelopes: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Reject> {
        envelopes
            .into_iter()
            .try_fold(Self::new(root, recovery), |trust, bytes| trust.offer(bytes))
    }

    /// The name of the trust domain: the thumbprint of the genesis root key.
    #[must_use]
    pub const fn root(&self) -> Thumbprint {
        self.root
    }

    /// The pinned thumbprint of the first recovery key.
    #[must_use]
    pub const fn recovery(&self) -> Thumbprint {
        self.recovery
    }

    /// The bundle held.
    #[must_use]
    pub const fn held(&self) -> Option<&Bundle> {
        self.held.as_ref()
    }

    /// The number of the bundle held, 0 for none.
    #[must_use]
    pub fn number(&self) -> BundleNumber {
        self.held
            .as_ref()
            .map_or(BundleNumber::new(0), |bundle| bundle.number)
    }

    /// What others need to come to the bundle held: of those that were accepted here, in their order.
    #[must_use]
    pub fn steps(&self) -> &[BundleStep] {
        self.steps.all()
    }

    /// The generation and writer key of a tenant.
    #[must_use]
    pub fn writer(&self, tenant: &Tenant) -> Option<(Generation, &PublicKey)> {
        let writership = self.held.as_ref()?.content.writers.get(tenant)?;
        Some((writership.generation, &writership.key))
    }

    /// The mailboxes of the bundle held.
    #[must_use]
    pub fn mailboxes(&self) -> &[Mailbox] {
        self.held
            .as_ref()
            .map_or(&[], |bundle| &bundle.content.mailboxes)
    }

    /// Tells whether a key never counts again.
    #[must_use]
    pub fn is_revoked(&self, thumbprint: &Thumbprint) -> bool {
        self.held
            .as_ref()
            .is_some_and(|bundle| bundle.content.revoked.contains(thumbprint))
    }

    /// Verifies a bundle against what is held and returns the trust that follows.
    ///
    /// # Errors
    /// An envelope reject; `bundle-stale`, `bundle-gap`, `bundle-root`, `bundle-chain`; those of
    /// [`BundleContent::decode`]; `bundle-generation`, `bundle-revocation`.
    pub fn offer(&self, envelope: &[u8]) -> Result<Self, Reject> {
        let received = ReceivedEnvelope::parse(envelope)?;
        let header = received.unverified_header();
        if header.kind != MessageKind::Bundle {
            return Err(Reject::SignerRole);
        }
        let number = BundleNumber::new(header.seq.number());
        //= spec/postern.md#bundle
        //# A receiver MUST refuse a number that is not above the held one with `bundle-stale`.
        if number <= self.number() {
            return Err(Reject::BundleStale);
        }
        let (content, message_id, signer) = match &self.held {
            //= spec/postern.md#bundle
            //# A receiver that holds no bundle MUST refuse every number but 1 with `bundle-gap`.
            None if number != BundleNumber::new(1) => return Err(Reject::BundleGap),
            None => self.verify_first(&received)?,
            Some(held) => self.verify_higher(held, number, &received)?,
        };
        let named = [&content.root, &content.recovery].map(PublicKey::thumbprint);
        let bundle = Bundle {
            number,
            message_id,
            content,
            envelope: envelope.into(),
        };
        let mut steps = self.steps.clone();
        steps.push(number, (signer, named), envelope);
        Ok(Self {
            root: self.root,
            recovery: self.recovery,
            held: Some(bundle),
            steps,
        })
    }

    /// Bundle 1 brings its own key, which counts only because its thumbprint is pinned.
    fn verify_first(
        &self,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(BundleContent, MessageId, Thumbprint), Reject> {
        if received.unverified_key_id() != self.root.key_id() {
            return Err(Reject::BundleRoot);
        }
        let payload = received.unverified_payload();
        let root = read_root(payload)?;
        //= spec/postern.md#bundle
        //# Bundle 1 MUST be signed by the key in its field 1, whose thumbprint is the pinned
        //# genesis thumbprint, else `bundle-root`.
        //= spec/postern.md#verification-order
        //# The bytes of a bundle with number 1 and of an enrol-request name their own key; a
        //# verifier MUST compare that key with the pinned thumbprint or the token's proof before it
        //# trusts the payload.
        if root.thumbprint() != self.root {
            return Err(Reject::BundleRoot);
        }
        let (message_id, signer) = self.verify_signature(received, &[&root])?;
        let content = BundleContent::decode(payload)?;
        //= spec/postern.md#bundle
        //# The recovery key of bundle 1 MUST have the pinned recovery thumbprint, else
        //# `bundle-root`.
        if content.recovery.thumbprint() != self.recovery {
            return Err(Reject::BundleRoot);
        }
        Ok((content, message_id, signer))
    }

    fn verify_higher(
        &self,
        held: &Bundle,
        number: BundleNumber,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(BundleContent, MessageId, Thumbprint), Reject> {
        let went = number.number().saturating_sub(held.number.number());
        //= spec/postern.md#bundle
        //# A receiver MUST refuse a number that is more than 4096 above the held one with `bundle-gap`.
        if went > BUNDLE_SKIP_MAX {
            return Err(Reject::BundleGap);
        }
        //= spec/postern.md#bundle
        //# A higher bundle MUST be signed by the root key or the recovery key of the held one, else
        //# `bundle-root` when its number is the next and `bundle-gap` when it is above that.
        let signers = [&held.content.root, &held.content.recovery];
        let verified = self.verify_signature(received, &signers);
        if went > 1 && verified == Err(Reject::BundleRoot) {
            return Err(Reject::BundleGap);
        }
        let (message_id, signer) = verified?;
        //= spec/postern.md#bundle
        //# The digest of the next bundle MUST be the message id of the held one, else `bundle-chain`.
        if went == 1 && received.unverified_header().digest != Some(held.chain_digest()) {
            return Err(Reject::BundleChain);
        }
        let content = BundleContent::decode(received.unverified_payload())?;
        check_generations(&held.content, &content, went)?;
        //= spec/postern.md#bundle
        //# A revoked thumbprint of the held bundle MUST be revoked in a higher one, else
        //# `bundle-revocation`.
        if !content.revoked.is_superset(&held.content.revoked) {
            return Err(Reject::BundleRevocation);
        }
        Ok((content, message_id, signer))
    }

    fn verify_signature(
        &self,
        received: &ReceivedEnvelope<'_>,
        signers: &[&PublicKey],
    ) -> Result<(MessageId, Thumbprint), Reject> {
        let expected = Expected {
            role: Role::Root,
            plane: None,
        };
        let binding = Binding::Trust { root: self.root };
        let verified = received.verify(expected, binding, signers.iter().copied(), |_| false);
        match verified {
            Ok(verified) => Ok((verified.message_id(), verified.signer())),
            Err(Reject::KeyUnknown) => Err(Reject::BundleRoot),
            Err(reject) => Err(reject),
        }
    }
}

/// Compares each writer with what it was `went` numbers ago.
fn check_generations(
    held: &BundleContent,
    offered: &BundleContent,
    went: u64,
) -> Result<(), Reject> {
    for (tenant, writership) in &offered.writers {
        let Some(before) = held.writers.get(tenant) else {
            continue;
        };
        let is_same = before.key == writership.key;
        let (from, to) = (before.generation.number(), writership.generation.number());
        let is_in_order = match to.checked_sub(from) {
            None => false,
            //= spec/postern.md#bundle
            //# From one number to the next the generation of a tenant's writer MUST stay when its key stays
            //# and go up by exactly one when its key changes, else `bundle-generation`.
            Some(up) if went == 1 => up == u64::from(!is_same),
            //= spec/postern.md#bundle
            //# Over skipped numbers the generation of a tenant's writer MUST NOT go down, stay when its key
            //# changes, or go up by more than the numbers do, else `bundle-generation`.
            Some(up) => up <= went && (is_same || up > 0),
        };
        if !is_in_order {
            return Err(Reject::BundleGeneration);
        }
    }
    Ok(())
}
