//! The keys of this device's channel: taken from the controller, kept, and used for all that is written.
//!
//! ```text
//!  none --first plane-key--> actual begins a further epoch, encrypted --higher plane-key--> next generation
//! ```
//!
//! Refuses to go back: once keys are held, nothing readable counts, and nothing readable is said of the
//! planes.

use super::work::Taken;
use super::{Context, Device, Event, records};
use crate::encryption::{
    AgreementSecret, Arriving, EncryptedBodies, KeyPlace, Life, PlaneKey, Vault, check_plane_key,
};
use crate::envelope::{Binding, Expected, Header, ReceivedEnvelope};
use crate::id::{Digest, Plane};
use crate::kind::Role;
use crate::record::Write;
use crate::reject::Reject;
use crate::revision::{Epoch, KeyGeneration};
use crate::state::SectionTable;
use alloc::vec::Vec;

/// What the device holds of its channel's encryption.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    /// What decrypts plane keys; `None` on a device that never made one.
    pub(super) secret: Option<AgreementSecret>,
    pub(super) held: Option<Held>,
    /// True while the place of the keys is kept with the next commit.
    pub(super) is_moved: bool,
    /// The desired state, encrypted for whoever asks the device for it.
    pub(super) desired: EncryptedBodies,
}

/// The keys and the message that brought the newest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) vault: Vault,
    pub(super) place: KeyPlace,
}

impl Encryption {
    pub(super) fn vault(&self) -> Option<&Vault> {
        self.held.as_ref().map(|held| &held.vault)
    }
}

impl Device {
    /// Gives the device the secret half of the key that it bound at its enrolment.
    #[must_use]
    pub fn with_agreement(mut self, secret: AgreementSecret) -> Self {
        self.encryption.secret = Some(secret);
        self
    }

    /// Takes the secret half away, as on a device that never made one.
    #[cfg(test)]
    pub(super) fn without_agreement(mut self) -> Self {
        self.encryption.secret = None;
        self
    }

    /// The newest generation of plane keys; `None` while the channel is readable.
    #[must_use]
    pub fn key_generation(&self) -> Option<KeyGeneration> {
        self.encryption.vault().map(Vault::generation)
    }

    /// How many generations of plane keys are held.
    #[must_use]
    pub fn key_generations_count(&self) -> usize {
        let vault = self.encryption.vault();
        vault.map_or(0, Vault::generations_count)
    }

    /// The life that keys of this device belong to.
    fn life(&self) -> Life {
        Life {
            channel: self.identity.channel.clone(),
            incarnation: self.identity.incarnation,
        }
    }

    /// Takes the keys of a generation. Returns whether they brought the device forward.
    pub(super) fn handle_plane_key(
        &mut self,
        context: &mut Context<'_>,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Taken, Reject> {
        let tenant = &self.identity.channel.tenant;
        let (generation, writer) = self.trust.writer(tenant).ok_or(Reject::KeyUnknown)?;
        let expected = Expected {
            role: Role::Writer,
            plane: None,
        };
        let binding = Binding::Device {
            channel: &self.identity.channel,
            incarnation: self.identity.incarnation,
        };
        let verified = received.verify(expected, binding, [writer], |key| {
            self.trust.is_revoked(key)
        })?;
        let header = verified.header();
        check_plane_key(verified.payload())?;
        let payload = Digest::of(verified.payload());
        //= spec/encryption.md#plane-key
        //# The digest of a plane-key MUST be `h(payload)`, else `digest-mismatch`.
        if header.digest != Some(payload) {
            return Err(Reject::DigestMismatch);
        }
        let place = KeyPlace {
            writer: generation,
            epoch: header.epoch,
            number: KeyGeneration::new(header.seq.number()),
            payload,
        };
        if self.is_known_key(place)? {
            return Ok(Taken::Quiet);
        }
        let secret = self.encryption.secret.as_ref();
        let secret = secret.ok_or(Reject::PlaneKeyMissing)?;
        let key = PlaneKey::decrypt(verified.payload(), &self.life(), place.number, secret)?;
        self.take_keys(context, key, place)?;
        Ok(Taken::Forward)
    }

    /// Tells whether a plane-key says nothing new. # Errors: `plane-key-stale`, `equivocation`.
    fn is_known_key(&mut self, place: KeyPlace) -> Result<bool, Reject> {
        let held = self.encryption.held.as_mut();
        let arriving = place.judge(held.as_ref().map(|held| &held.place))?;
        if let (Arriving::Again, Some(held)) = (arriving, held) {
            // The snapshot behind it is kept in a moment, and this with it.
            held.place = place;
            self.encryption.is_moved = true;
        }
        Ok(arriving != Arriving::New)
    }

    fn take_keys(
        &mut self,
        context: &mut Context<'_>,
        key: PlaneKey,
        place: KeyPlace,
    ) -> Result<(), Reject> {
        let number = key.generation;
        let is_first = self.encryption.held.is_none();
        let vault = match &self.encryption.held {
            None => Vault::new(self.life(), key),
            Some(held) => {
                let mut vault = held.vault.clone();
                vault.take(key)?;
                vault
            }
        };
        let mut writes = Vec::new();
        if is_first {
            // What was readable on its way is refused from here on.
            self.desired.pending = None;
            let state = self.actual.state.under(vault.digester())?;
            super::actual::check_table(&state)?;
            self.actual.state = state;
            //= spec/encryption.md#switching-on
            //# A device that takes its first plane keys MUST open a further epoch of `actual`, whose
            //# digests are keyed.
            writes = self.open_actual_epoch(context, Epoch::new(0));
        }
        let held = Held { vault, place };
        //= spec/encryption.md#plane-key
        //# A device MUST persist the keys before it encrypts or decrypts with them.
        writes.push(records::plane_keys(&held));
        self.encryption.held = Some(held);
        self.persist(writes);
        // What an earlier report says readable is said anew.
        self.reporter.is_news |= !self.reporter.lists.is_empty();
        self.event(Event::PlaneKeysTaken { generation: number });
        Ok(())
    }

    /// Forgets what was only needed for messages before an accepted snapshot. Returns what is to be
    /// kept with it.
    pub(super) fn forget_old_keys(&mut self, generation: Option<KeyGeneration>) -> Option<Write> {
        let is_moved = core::mem::take(&mut self.encryption.is_moved);
        let held = self.encryption.held.as_mut()?;
        let before = held.vault.generations_count();
        //= spec/encryption.md#plane-key
        //# A device MUST forget the generations below the one that encrypts a snapshot which it
        //# accepted.
        if let Some(generation) = generation {
            held.vault.forget_below(generation);
        }
        let has_changed = is_moved || held.vault.generations_count() < before;
        has_changed.then(|| records::plane_keys(held))
    }

    /// Encrypts the payload of a delta, where keys are held.
    pub(super) fn encrypt_payload(
        &self,
        context: &mut Context<'_>,
        plane: Plane,
        header: &Header,
        payload: Vec<u8>,
    ) -> Vec<u8> {
        match self.encryption.vault() {
            Some(vault) => vault.encrypt_message(plane, header, &payload, context.random),
            None => payload,
        }
    }

    /// The table of the actual state, with its encrypted bodies where keys are held.
    pub(super) fn actual_table(
        &mut self,
        context: &mut Context<'_>,
    ) -> (SectionTable, Option<EncryptedBodies>) {
        let state = &self.actual.state;
        let Some(held) = &self.encryption.held else {
            return (state.section_table(), None);
        };
        let bodies = &mut self.actual.bodies;
        bodies.refresh(&held.vault, Plane::Actual, state, context.random);
        (bodies.table(), Some(bodies.clone()))
    }

    /// The table of the desired state for evidence; what was held before keys came stays readable.
    pub(super) fn desired_table(&mut self, context: &mut Context<'_>) -> SectionTable {
        let state = &self.desired.state;
        match &self.encryption.held {
            Some(held) if state.digester().is_keyed() => {
                let bodies = &mut self.encryption.desired;
                bodies.refresh(&held.vault, Plane::Desired, state, context.random);
                bodies.table()
            }
            Some(_) | None => state.section_table(),
        }
    }
}
