//! Encryption of a device's planes: switched on by an operator, never off, rotated by switching it on again.
//!
//! ```text
//!  readable --Encrypt--> generation 1, further epoch, keyed digests --Encrypt--> generation 2 --> ...
//! ```
//!
//! The keys are durable before anything is encrypted with them. Refuses a device that bound no key of
//! its own, and a new life of an encrypted device that would be readable.

use super::decide::check_table;
use super::member::Member;
use super::{Context, Controller, Event, Post, Ticket};
use crate::context::Random;
use crate::encryption::{
    AgreementKey, CipherKey, DigestKey, EncryptedBodies, Life, PlaneKey, Vault,
};
use crate::envelope::Header;
use crate::id::{ChannelId, DeviceName, Digest, Plane, Tenant};
use crate::kind::MessageKind;
use crate::message::Reading;
use crate::reject::Reject;
use crate::revision::{KeyGeneration, Seq};
use crate::state::{SectionTable, SnapshotAssembly, State};
use alloc::vec::Vec;

/// What the controller holds of one device's encryption.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    /// The key that the device bound in this life.
    pub(super) agreement: Option<AgreementKey>,
    pub(super) held: Option<Held>,
    /// The desired state as it travels.
    pub(super) bodies: EncryptedBodies,
}

/// The keys, and the newest generation as the device gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) vault: Vault,
    pub(super) payload: Vec<u8>,
}

impl Encryption {
    pub(super) fn vault(&self) -> Option<&Vault> {
        self.held.as_ref().map(|held| &held.vault)
    }
}

impl Member {
    /// The newest generation of the device's plane keys; `None` while its planes are readable.
    #[must_use]
    pub fn key_generation(&self) -> Option<KeyGeneration> {
        self.encryption.vault().map(Vault::generation)
    }

    /// Whether a readable change of the actual plane is still taken: until the first encrypted one.
    pub(super) const fn reading(&self) -> Reading {
        if self.actual.state.digester().is_keyed() {
            Reading::Refused
        } else {
            Reading::Allowed
        }
    }

    /// Begins to collect the bodies that a table names. # Errors: `plane-key-missing`.
    pub(super) fn assemble(
        &self,
        plane: Plane,
        table: &SectionTable,
        held: &State,
    ) -> Result<SnapshotAssembly, Reject> {
        if !table.is_encrypted() {
            return Ok(SnapshotAssembly::new(table, held));
        }
        let vault = self.encryption.vault().ok_or(Reject::PlaneKeyMissing)?;
        Ok(SnapshotAssembly::encrypted(table, held, vault, plane))
    }

    /// The desired state with digests as this device's channel has them. # Errors: `section-oversize`.
    pub(super) fn under_own(&self, state: &State) -> Result<State, Reject> {
        match self.encryption.vault() {
            Some(vault) => state.under(vault.digester()),
            None => Ok(state.clone()),
        }
    }

    /// Draws the first keys of a new life where those of an earlier one are held. Tells whether it did.
    /// # Errors: those of the drawing.
    pub(super) fn renew_stale_keys(&mut self, random: &mut dyn Random) -> Result<bool, Reject> {
        let life = self.enrolled.as_ref().map(|enrolled| enrolled.incarnation);
        let vault = self.encryption.vault();
        let is_of_earlier =
            |vault: &Vault| life.is_some_and(|life| life != vault.life().incarnation);
        if !vault.is_some_and(is_of_earlier) {
            return Ok(false);
        }
        self.take_next_keys(random).map(|_| true)
    }

    /// Draws the next keys and gives the state keyed digests. Changes nothing when it fails.
    ///
    /// # Errors
    /// `not-admitted` without a device; `plane-key-missing` without its agreement key;
    /// `section-oversize`, `state-oversize` for a state that does not fit encrypted.
    fn take_next_keys(&mut self, random: &mut dyn Random) -> Result<KeyGeneration, Reject> {
        let enrolled = self.enrolled.as_ref().ok_or(Reject::NotAdmitted)?;
        //= spec/encryption.md#agreement-key
        //# A controller MUST NOT switch encryption on for a device that bound no agreement key.
        let agreement = self.encryption.agreement.ok_or(Reject::PlaneKeyMissing)?;
        let life = Life {
            channel: self.channel.clone(),
            incarnation: enrolled.incarnation,
        };
        let held = self.encryption.held.as_ref();
        let held = held.filter(|held| *held.vault.life() == life);
        let (vault, key) = match held {
            Some(held) => {
                let key = held.vault.draw_next(random).ok_or(Reject::HeaderNumbers)?;
                let mut vault = held.vault.clone();
                vault.take(key.clone())?;
                (vault, key)
            }
            None => {
                let key = PlaneKey {
                    generation: KeyGeneration::new(1),
                    digest: DigestKey::draw(random),
                    desired: CipherKey::draw(random),
                    actual: CipherKey::draw(random),
                };
                (Vault::new(life.clone(), key.clone()), key)
            }
        };
        let state = self.state.under(vault.digester())?;
        check_table(&state)?;
        let payload = key.encrypt(&life, &agreement, random)?;
        self.state = state;
        self.encryption.held = Some(Held { vault, payload });
        Ok(key.generation)
    }
}

impl Controller {
    /// Switches encryption of a device on, or rotates its keys.
    pub(super) fn encrypt(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        tenant: &Tenant,
        device: &DeviceName,
    ) {
        let channel = self.channel(tenant, device).id();
        match self.encrypt_member(context, channel) {
            Ok(generation) => self.event(Event::Encrypted {
                ticket,
                channel,
                generation,
            }),
            Err(reject) => self.refuse(ticket, reject),
        }
    }

    fn encrypt_member(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
    ) -> Result<KeyGeneration, Reject> {
        let member = self.members.get_mut(&channel).ok_or(Reject::NotAdmitted)?;
        let tenant = member.channel.tenant.clone();
        self.signer(context, &tenant)?;
        let member = self.members.get_mut(&channel).ok_or(Reject::NotAdmitted)?;
        let generation = member.take_next_keys(context.random)?;
        //= spec/encryption.md#switching-on
        //# A controller that gives keys of a further generation MUST open a further epoch of `desired`
        //# with a snapshot that they encrypt.
        self.reopen(context, channel);
        Ok(generation)
    }

    /// A new life begins with keys of its own where the one before had any: encryption never ends.
    /// The caller posts the snapshot.
    pub(super) fn renew_keys(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        match member.renew_stale_keys(context.random) {
            Ok(true) => self.reopen(context, channel),
            Ok(false) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Refuses a new life that would be readable where the former was not.
    /// # Errors: `plane-key-missing`.
    pub(super) fn check_agreement(
        &self,
        channel: ChannelId,
        agreement: Option<&AgreementKey>,
    ) -> Result<(), Reject> {
        let member = self.members.get(&channel);
        let is_encrypted = member.is_some_and(|member| member.key_generation().is_some());
        //= spec/encryption.md#switching-on
        //# A controller MUST refuse with `plane-key-missing` an enrolment without an agreement key for a
        //# name whose planes it encrypts.
        if is_encrypted && agreement.is_none() {
            Err(Reject::PlaneKeyMissing)
        } else {
            Ok(())
        }
    }

    /// Signs the newest keys for their device; the number does not move.
    pub(super) fn post_plane_key(&mut self, context: &Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get(&channel) else {
            return;
        };
        match self.seal_plane_key(context, member) {
            Ok(Some(envelope)) => self.post(channel, Post::PlaneKey { envelope }),
            Ok(None) => {}
            Err(reject) => self.event(Event::Rejected { channel, reject }),
        }
    }

    /// Seals the newest keys. `None` while the planes are readable.
    pub(super) fn seal_plane_key(
        &self,
        context: &Context<'_>,
        member: &Member,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let Some(held) = &member.encryption.held else {
            return Ok(None);
        };
        let header = Header {
            kind: MessageKind::PlaneKey,
            epoch: member.head.revision.epoch,
            seq: Seq::new(held.vault.generation().number()),
            base: Seq::new(0),
            //= spec/encryption.md#plane-key
            //# The digest of a plane-key MUST be `h(payload)`, else `digest-mismatch`.
            digest: Some(Digest::of(&held.payload)),
        };
        self.seal(context, member, header, held.payload.clone())
    }

    /// Encrypts the payload of a delta, where keys are held.
    pub(super) fn encrypt_payload(
        member: &Member,
        random: &mut dyn Random,
        header: &Header,
        payload: Vec<u8>,
    ) -> Vec<u8> {
        match member.encryption.vault() {
            Some(vault) => vault.encrypt_message(Plane::Desired, header, &payload, random),
            None => payload,
        }
    }

    /// Encrypts the bodies of the desired state that changed, where keys are held.
    pub(super) fn refresh_bodies(&mut self, context: &mut Context<'_>, channel: ChannelId) {
        let Some(member) = self.members.get_mut(&channel) else {
            return;
        };
        let encryption = &mut member.encryption;
        if let Some(held) = &encryption.held {
            let (vault, state) = (&held.vault, &member.state);
            let bodies = &mut encryption.bodies;
            bodies.refresh(vault, Plane::Desired, state, context.random);
        }
    }
}

/// The desired table of a member and the bodies that it names, as they travel.
pub(super) fn table_and_bodies(member: &Member) -> (SectionTable, Vec<(Digest, Vec<u8>)>) {
    let owned = |(digest, body): (Digest, &[u8])| (digest, body.to_vec());
    if member.encryption.held.is_some() {
        let bodies = &member.encryption.bodies;
        (bodies.table(), bodies.iter().map(owned).collect())
    } else {
        let state = &member.state;
        (state.section_table(), state.bodies().map(owned).collect())
    }
}
