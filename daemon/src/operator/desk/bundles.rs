//! New bundles in the controller's folder: read, checked with their keys, and handed to the engine.
//!
//! One bundle after another, in order. Refuses a bundle whose keys are not in the folder: what it
//! names could not be signed.

use super::Desk;
use crate::controller::bundles;
use crate::controller::hearing;
use crate::controller::keyring::{Writers, mailbox_keys};
use crate::controller::work::{NextBundle, Work};
use crate::exit::CommandError;
use crate::operator::Response;
use postern_protocol::Reject;
use postern_protocol::id::Tenant;

impl Desk {
    /// Takes every bundle above the one that counts.
    ///
    /// # Errors
    /// A bundle or key that is refused; those before it count all the same.
    pub(super) async fn take_bundles(&self, is_urgent: bool) -> Result<Response, CommandError> {
        let mut trust = self.read(|engine| engine.trust().clone()).await?;
        let config = self.config.as_ref();
        let mut is_new = false;
        for envelope in bundles::read_after(config, trust.number().number())? {
            trust = trust
                .offer(&envelope)
                .map_err(|reject| self.refused(reject))?;
            let (_, chain) = bundles::read(config)?;
            let held = usize::try_from(trust.number().number()).unwrap_or(usize::MAX);
            let chain = chain.get(..held).unwrap_or(&chain);
            let next = NextBundle {
                writers: Box::new(Writers::read(config, &trust)?),
                mailboxes: mailbox_keys(config, &trust, chain)?,
                envelope,
                is_urgent,
            };
            let taken = self.send(|reply| Work::Bundle {
                next: Box::new(next),
                reply,
            });
            let taken = taken.await?;
            if taken == Err(Reject::WriterBehind) {
                let held = trust.held().map(|bundle| bundle.content());
                let writers = held.map(|content| content.writers.keys().cloned().collect());
                self.settled(writers.unwrap_or_default()).await?;
            }
            taken.map_err(|reject| self.refused(reject))?;
            is_new = true;
        }
        if is_new {
            let records = self.send(Work::Copy).await??;
            self.starter.renew(&trust, records)?;
        }
        Ok(Response::Bundles {
            bundle: trust.number().number(),
        })
    }

    /// Says whether a new writer key of these tenants would take nothing from their devices unseen.
    ///
    /// # Errors
    /// `writer-behind`, naming the devices.
    pub(super) async fn settled(&self, tenants: Vec<Tenant>) -> Result<Response, CommandError> {
        self.read(move |engine| hearing::check(engine, &tenants))
            .await??;
        Ok(Response::Done)
    }

    fn refused(&self, reject: Reject) -> CommandError {
        CommandError::configuration(
            reject.as_str(),
            format!(
                "a new bundle in {} is refused: {}",
                self.config.bundles.display(),
                reject.sentence()
            ),
            "remove that file; the controller goes on with the bundle before it",
        )
    }
}
