//! Requests that change something: invitations, decisions, intents, recovery, removal.
//!
//! Each is answered once it is durable. Refuses to try again by itself.

use super::{Desk, base_changed, device_unknown, refused};
use crate::controller::relays::read_anchor;
use crate::controller::work::{Decided, Refusal, Work};
use crate::exit::{CommandError, Exit};
use crate::operator::request::{TakeSide, Target};
use crate::operator::response::{HeadJson, Response};
use crate::random::OsRandom;
use postern_protocol::Reject;
use postern_protocol::context::draw;
use postern_protocol::controller::Take;
use postern_protocol::enrol::JoinSecret;
use postern_protocol::id::{Thumbprint, TokenId};
use postern_protocol::join_line::JoinLine;
use postern_protocol::limits::URLS_MAX;
use postern_protocol::revision::Revision;
use postern_protocol::state::{Change, Path};

/// Where a new device goes.
struct Place {
    urls: Vec<String>,
    /// The mailbox key that the enrolment has to name.
    mailbox: Thumbprint,
    /// What vouches for the first mailbox's TLS.
    tls_ca: Option<Vec<u8>>,
}

/// What to do when the bundles since the first no longer fit into the answer to an enrolment (spec: #enrolment).
const BUNDLES_FULL: &str = "the bundles of this domain no longer fit into an enrolment: devices that are enrolled go on; for new ones make another domain with `postern controller init` in another folder";

impl Desk {
    pub(super) async fn invite(&self, target: Target) -> Result<Response, CommandError> {
        let Target { tenant, device } = target;
        let place = self.place().await?;
        let line = JoinLine {
            urls: place.urls,
            root: self.root,
            recovery: self.recovery,
            tenant: tenant.clone(),
            device: device.clone(),
            token: TokenId::from_bytes(draw(&mut OsRandom)),
            secret: JoinSecret::from_bytes(draw(&mut OsRandom)),
            tls_ca: place.tls_ca,
            mailbox: Some(place.mailbox),
        };
        let text = line.danger_text().map_err(|error| {
            CommandError::configuration(
                "join-line-refused",
                error.to_string(),
                "use fewer urls or a smaller CA certificate in controller.toml",
            )
        })?;
        let (token, secret) = (line.token, line.secret.clone());
        let invited = self
            .send(|reply| Work::Invite {
                tenant: tenant.clone(),
                device,
                token,
                secret,
                expires_unix_s: None,
                reply,
            })
            .await?;
        invited.map_err(|reject| {
            if reject == Reject::Oversize {
                return CommandError::refused(reject, BUNDLES_FULL);
            }
            refused(reject, &tenant)
        })?;
        Ok(Response::Invited {
            join_line: text.as_str().to_owned(),
        })
    }

    /// Finds where a new device goes: to this controller where it listens, and to its relays.
    async fn place(&self) -> Result<Place, CommandError> {
        let listed = self
            .read(|engine| engine.trust().mailboxes().to_vec())
            .await?;
        let own = self.mailbox.thumbprint();
        let mut relays = listed.iter().filter(|one| one.key.thumbprint() != own);
        let mut urls = self.config.urls.clone();
        for url in relays.clone().flat_map(|relay| &relay.urls) {
            if !urls.contains(url) {
                urls.push(url.clone());
            }
        }
        urls.truncate(URLS_MAX);
        if self.config.listen.is_some() {
            return Ok(Place {
                urls,
                mailbox: own,
                tls_ca: self.tls_ca.clone(),
            });
        }
        let Some(first) = relays.next() else {
            return Err(CommandError::configuration(
                "relay-missing",
                "this controller does not listen, and the newest bundle names no relay",
                "name one with `postern controller relay add`, then invite again",
            ));
        };
        let mailbox = first.key.thumbprint();
        Ok(Place {
            urls,
            mailbox,
            tls_ca: read_anchor(&self.config, mailbox)?,
        })
    }

    /// Takes one invitation back, or every unused one of the device.
    pub(super) async fn withdraw(
        &self,
        token: Option<TokenId>,
        target: Target,
    ) -> Result<Response, CommandError> {
        let whose = target.clone();
        let open = self
            .read(move |engine| {
                let invitations = engine.invitations();
                let of_device = invitations.filter(|(found, invitation)| {
                    *invitation.tenant() == whose.tenant
                        && *invitation.device() == whose.device
                        && invitation.used_by().is_none()
                        && token.is_none_or(|token| token == *found)
                });
                of_device.map(|(found, _)| found).collect::<Vec<_>>()
            })
            .await?;
        if open.is_empty() {
            return Err(CommandError::new(
                Exit::Refused,
                "invitation-unknown",
                format!("{} has no invitation that is still unused", target.device),
                format!(
                    "a device that joined is removed with `postern controller remove {}`",
                    target.device
                ),
            ));
        }
        for token in open {
            let withdrawn = self.send(|reply| Work::Withdraw { token, reply }).await?;
            withdrawn.map_err(|reject| refused(reject, &target.tenant))?;
        }
        Ok(Response::Done)
    }

    pub(super) async fn decide(
        &self,
        target: Target,
        changes: Vec<Change>,
        base: Option<Revision>,
    ) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let decided = self
            .send(|reply| Work::Decide {
                tenant,
                device,
                changes,
                base,
                reply,
            })
            .await?
            .map_err(|refusal| match refusal {
                Refusal::Reject(reject) => refused_for(reject, &target),
                Refusal::BaseChanged { now } => base_changed(&target.device, now),
            })?;
        Ok(Response::Decided {
            desired: head_of(decided),
            changed: decided.is_change,
        })
    }

    pub(super) async fn intend(
        &self,
        target: Target,
        path: Path,
    ) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let intended = self
            .send(|reply| Work::Intend {
                tenant,
                device,
                path,
                reply,
            })
            .await?
            .map_err(|reject| refused_for(reject, &target))?;
        Ok(Response::Intended {
            value: intended.value,
            desired: head_of(intended.decided),
        })
    }

    pub(super) async fn recover(
        &self,
        target: Target,
        take: TakeSide,
    ) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let side = match take {
            TakeSide::Device => Take::Device,
            TakeSide::Controller => Take::Controller,
        };
        self.refuse_without_conflict(&target).await?;
        let recovered = self
            .send(|reply| Work::Resolve {
                tenant,
                device,
                take: side,
                reply,
            })
            .await?
            .map_err(|reject| refused_for(reject, &target))?;
        Ok(Response::Recovered {
            epoch: recovered.epoch.number(),
            first: recovered.first.number(),
            last: recovered.last.number(),
            take,
        })
    }

    /// Says in words what a refusal could only name.
    async fn refuse_without_conflict(&self, target: &Target) -> Result<(), CommandError> {
        let whose = target.clone();
        let is_behind = self
            .read(move |engine| {
                let member = engine.member(&whose.tenant, &whose.device)?;
                Some(member.behind().is_some() || member.is_in_conflict())
            })
            .await?;
        match is_behind {
            None => Err(device_unknown(&target.tenant, &target.device)),
            Some(true) => Ok(()),
            Some(false) => Err(CommandError::new(
                Exit::Refused,
                "nothing-to-recover",
                format!(
                    "{} holds nothing that this controller does not",
                    target.device
                ),
                format!("look at `postern status {}`", target.device),
            )),
        }
    }

    pub(super) async fn encrypt(&self, target: Target) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let encrypted = self
            .send(|reply| Work::Encrypt {
                tenant,
                device,
                reply,
            })
            .await?;
        encrypted.map_err(|reject| refused_for(reject, &target))?;
        Ok(Response::Done)
    }

    pub(super) async fn remove(&self, target: Target) -> Result<Response, CommandError> {
        let Target { tenant, device } = target.clone();
        let removed = self
            .send(|reply| Work::Remove {
                tenant,
                device,
                reply,
            })
            .await?;
        removed.map_err(|reject| refused_for(reject, &target))?;
        Ok(Response::Done)
    }
}

fn head_of(decided: Decided) -> HeadJson {
    HeadJson::new(decided.revision, decided.digest)
}

fn refused_for(reject: Reject, target: &Target) -> CommandError {
    if reject == Reject::NotAdmitted {
        device_unknown(&target.tenant, &target.device)
    } else {
        refused(reject, &target.tenant)
    }
}
