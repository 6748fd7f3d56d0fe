//! A revision on trial: it counts as applied only after it did well for a while, else the last good one comes back.
//!
//! ```text
//!  prepare --journal: trial--> show --> on_change --> soak, health --journal: good--> applied
//!                                           `-------------`--journal: refused--> show good --> on_change
//!                                                                                  `--journal: reverted
//! ```
//!
//! A process that ends anywhere goes on from the journal: a trial begins again, at most
//! [`TRIAL_STARTS_MAX`] times, a revert is finished. Refuses to try a refused revision again.

use super::command::{self, Call, Finished};
use super::content::{self, Files};
use super::folder::{Built, Folder, GenerationName, Rendered};
use super::journal::{Journal, Mark, Refused, Trial};
use super::{Applier, ApplierSettings, Confirm, RenderError, STATUS_REVERTED, STATUS_SUPERSEDED};
use crate::clock;
use postern_protocol::id::Digest;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::State;
use std::time::Duration;
use tokio::sync::watch;

/// How often a trial may begin: a revision that takes the machine down with it is reverted at last.
const TRIAL_STARTS_MAX: u32 = 3;

/// What the journal makes of a revision that is to be applied.
enum Prepared {
    /// It came through before.
    Good,
    /// It was refused before.
    Refused(Refused),
    /// It is shown and has to prove itself.
    OnTrial(Rendered),
    /// Its trial was interrupted too often.
    Interrupted,
}

/// Why a soak ended before its time.
enum Ended {
    Superseded,
    Failed(String),
}

impl Applier {
    /// Shows a revision on trial and waits for its end. Status and output as of `apply`.
    pub(super) async fn apply_on_trial(
        &self,
        confirm: &Confirm,
        revision: Revision,
        digest: Digest,
        state: State,
        newest: &mut watch::Receiver<Revision>,
    ) -> Result<(i64, String), RenderError> {
        let files = content::files_of(&state);
        let prepared = self
            .blocking(move |settings| prepare(settings, revision, &digest, &files))
            .await?;
        let ended = match prepared {
            Prepared::Good => return Ok((0, String::new())),
            Prepared::Refused(refused) => return self.revert(refused).await,
            Prepared::Interrupted => Err(Ended::Failed(format!(
                "the device stopped {TRIAL_STARTS_MAX} times before it was confirmed"
            ))),
            Prepared::OnTrial(rendered) => {
                self.prove(confirm, revision, &digest, rendered, newest)
                    .await
            }
        };
        match ended {
            Ok(output) => {
                self.blocking(move |settings| confirm_trial(settings, revision, &digest))
                    .await?;
                Ok((0, output))
            }
            Err(Ended::Superseded) => Ok((
                STATUS_SUPERSEDED,
                "superseded: a newer revision came during its trial".into(),
            )),
            Err(Ended::Failed(cause)) => {
                let refused = Refused::new(revision, &digest, format!("reverted: {cause}"));
                tracing::warn!(
                    epoch = revision.epoch.number(),
                    seq = revision.seq.number(),
                    reason = cause,
                    "trial failed"
                );
                self.revert(refused).await
            }
        }
    }

    /// Runs the command and soaks; returns what the command printed.
    async fn prove(
        &self,
        confirm: &Confirm,
        revision: Revision,
        digest: &Digest,
        rendered: Rendered,
        newest: &mut watch::Receiver<Revision>,
    ) -> Result<String, Ended> {
        let (status, output) = self
            .tell(revision, Some(&digest.to_string()), rendered)
            .await;
        if status != 0 {
            return Err(Ended::Failed(describe("on_change", status, &output)));
        }
        self.soak(confirm, revision, newest).await.map(|()| output)
    }

    /// Waits until the revision did well for long enough.
    async fn soak(
        &self,
        confirm: &Confirm,
        revision: Revision,
        newest: &mut watch::Receiver<Revision>,
    ) -> Result<(), Ended> {
        let started_ms = clock::mono_ms();
        let soak_ms = u64::try_from(confirm.soak.as_millis()).unwrap_or(u64::MAX);
        let mut failures = 0;
        loop {
            if *newest.borrow() != revision {
                return Err(Ended::Superseded);
            }
            if let Some(health) = &confirm.health {
                let call = Call {
                    variables: variables(revision),
                    ..Call::default()
                };
                let Finished { status, output } = command::run(health, &call).await;
                failures = if status == 0 { 0 } else { failures + 1 };
                if failures >= confirm.failures {
                    let what = format!("health failed {failures} times in a row, last");
                    return Err(Ended::Failed(describe(&what, status, &output)));
                }
            }
            let elapsed_ms = clock::mono_ms().saturating_sub(started_ms);
            if failures == 0 && elapsed_ms >= soak_ms {
                return Ok(());
            }
            let left = Duration::from_millis(soak_ms.saturating_sub(elapsed_ms));
            let pause = match (&confirm.health, failures) {
                (None, _) => left,
                (Some(_), 0) => confirm.interval.min(left),
                (Some(_), _) => confirm.interval,
            };
            let superseded = async {
                if newest.wait_for(|newest| *newest != revision).await.is_err() {
                    // The process ends; the trial begins again in the next one.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = superseded => {}
            }
        }
    }

    /// Brings the good revision back, unless that is done already.
    async fn revert(&self, refused: Refused) -> Result<(i64, String), RenderError> {
        let cause = refused.cause.clone();
        if refused.is_reverted {
            return Ok((STATUS_REVERTED, cause));
        }
        let reverting = self
            .blocking(move |settings| show_good(settings, refused))
            .await?;
        let (good, rendered) = reverting;
        let (status, output) = self.tell(good.0, good.1.as_deref(), rendered).await;
        if status != 0 {
            let problem = describe("on_change of the good revision", status, &output);
            tracing::warn!(reason = problem, "the good revision is not taken");
            return Ok((STATUS_REVERTED, format!("{cause}; {problem}")));
        }
        self.blocking(|settings| {
            let folder = settings.folder()?;
            let mut journal = Journal::read(&folder)?;
            if let Some(refused) = &mut journal.refused {
                refused.is_reverted = true;
            }
            journal.write(&folder)
        })
        .await?;
        Ok((STATUS_REVERTED, cause))
    }
}

/// Variables that name a revision.
pub(super) fn variables(revision: Revision) -> Vec<(&'static str, std::ffi::OsString)> {
    vec![
        ("POSTERN_EPOCH", revision.epoch.to_string().into()),
        ("POSTERN_SEQ", revision.seq.to_string().into()),
    ]
}

fn describe(what: &str, status: i64, output: &str) -> String {
    let output = super::tail::end_of(output.trim_end(), CAUSE_OUTPUT_BYTES_MAX);
    match output.is_empty() {
        true => format!("{what} ended with status {status}"),
        false => format!("{what} ended with status {status}: {output}"),
    }
}

/// Bytes of a command's output in a cause, which has to fit into a report's 512 with its frame.
const CAUSE_OUTPUT_BYTES_MAX: usize = 300;

/// Decides by the journal, and shows the revision on trial.
fn prepare(
    settings: &ApplierSettings,
    revision: Revision,
    digest: &Digest,
    files: &Files,
) -> Result<Prepared, RenderError> {
    let folder = settings.folder()?;
    let mut journal = Journal::read(&folder)?;
    if let Some(refused) = journal
        .refused
        .take_if(|refused| refused.is(revision, digest))
    {
        return Ok(Prepared::Refused(refused));
    }
    let is_good = journal
        .good
        .as_ref()
        .is_some_and(|good| good.is(revision, digest) && good.name() == folder.current());
    if is_good && journal.trial.is_none() {
        return Ok(Prepared::Good);
    }
    let built = folder.prepare(revision, files)?;
    let earlier = journal.trial.as_ref();
    let starts = earlier
        .filter(|trial| trial.mark.is(revision, digest))
        .map_or(0, |trial| trial.starts);
    if starts >= TRIAL_STARTS_MAX {
        return Ok(Prepared::Interrupted);
    }
    let good = good_of(&folder, &journal, &built.name)?;
    let mark = Mark::new(&built.name, Some(digest));
    let trial = Trial {
        mark,
        starts: starts + 1,
    };
    Journal {
        good: Some(good.clone()),
        trial: Some(trial),
        refused: None,
    }
    .write(&folder)?;
    let needed = good.name();
    let needed: Vec<_> = needed.iter().collect();
    folder.show(built, &needed).map(Prepared::OnTrial)
}

/// Returns what to go back to: the journal's, else what the command took last, else nothing at all.
fn good_of(
    folder: &Folder,
    journal: &Journal,
    on_trial: &GenerationName,
) -> Result<Mark, RenderError> {
    if let Some(good) = &journal.good
        && let Some(name) = good.name()
        && folder.find(&name)?.is_some()
    {
        return Ok(good.clone());
    }
    let mut before = [folder.settled(), folder.current()].into_iter().flatten();
    if let Some(name) = before.find(|name| name != on_trial) {
        return Ok(Mark::new(&name, None));
    }
    let nothing = Revision::new(Epoch::new(0), Seq::new(0));
    let name = folder.build_empty(nothing)?;
    Ok(Mark::new(&name, Some(State::empty().root())))
}

/// Remembers that the revision on trial came through.
fn confirm_trial(
    settings: &ApplierSettings,
    revision: Revision,
    digest: &Digest,
) -> Result<(), RenderError> {
    let folder = settings.folder()?;
    let mut journal = Journal::read(&folder)?;
    let Some(trial) = journal
        .trial
        .take_if(|trial| trial.mark.is(revision, digest))
    else {
        return Ok(());
    };
    journal.good = Some(trial.mark);
    journal.write(&folder)
}

/// A revision and its digest, where it is known.
type Good = (Revision, Option<String>);

/// Notes the refusal, then shows the good generation again.
fn show_good(
    settings: &ApplierSettings,
    refused: Refused,
) -> Result<(Good, Rendered), RenderError> {
    let folder = settings.folder()?;
    let mut journal = Journal::read(&folder)?;
    journal.trial = None;
    journal.refused = Some(refused);
    journal.write(&folder)?;
    let mark = journal.good.as_ref();
    let name = mark.and_then(Mark::name);
    let found = name.map(|name| folder.find(&name)).transpose()?.flatten();
    let Some(built) = found else {
        let gone = std::io::Error::other("the last good generation is gone");
        return Err(RenderError::new("revert", &folder.inner_path(""), gone));
    };
    let Built { name, .. } = &built;
    let good = (name.revision(), mark.and_then(|mark| mark.digest.clone()));
    folder.show(built, &[]).map(|rendered| (good, rendered))
}
