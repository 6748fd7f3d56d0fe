//! `postern demo --relay`: the direct way is cut, and delivery goes on by a relay in the DMZ.
//!
//! ```text
//!   hall-a, hall-b --> firewall --x--> controller      all of them dial out; the relay can
//!        '-----------> relay <--------------'          neither forge nor read what it could not before
//! ```
//!
//! Reading order: [`Story`], [`parts`], [`gate`], [`relay`]. Refuses to end well unless every device
//! reports, by the relay, exactly the digest that was decided after the cut.

mod gate;
mod parts;
mod relay;

pub use relay::run_relay;

use super::decisions::Head;
use super::documents;
use super::outcome::{DeviceOutcome, Outcome};
use super::percentile::percentile;
use super::screen::Screen;
use super::story::{compared, turned};
use super::table::millis;
use crate::clock;
use crate::exit::CommandError;
use parts::Parts;
use postern_protocol::id::DeviceName;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

/// Deployments of each device.
const DEPLOYMENTS: usize = 10;
/// Changes after the cut whose way is timed.
const PUSHES: usize = 12;
/// Pause between two looks at the parts. Arbitrary.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The demo while it runs.
#[derive(Debug)]
pub(super) struct Story<'s> {
    screen: &'s mut Screen,
    parts: Parts,
    desired: Vec<Option<Head>>,
    pushes_us: Vec<u64>,
}

impl<'s> Story<'s> {
    /// Tells the story to its end.
    ///
    /// # Errors
    /// The first step that does not come out as told.
    pub(super) async fn tell(
        folder: &Path,
        screen: &'s mut Screen,
    ) -> Result<Outcome, CommandError> {
        screen.say("1/5  starting a controller behind a firewall, a relay and two devices, all on this machine");
        let began_us = clock::mono_us();
        let parts = Parts::start(folder)
            .await
            .map_err(|error| in_step(1, error))?;
        let mut story = Self {
            desired: vec![None; parts.units.len()],
            screen,
            parts,
            pushes_us: Vec::new(),
        };
        story.deploy().await.map_err(|error| in_step(2, error))?;
        story.cut().await.map_err(|error| in_step(3, error))?;
        story.push().await.map_err(|error| in_step(4, error))?;
        let outcome = story.compare().await.map_err(|error| in_step(5, error))?;
        story.parts.stop().await;
        let tenths = clock::mono_us().saturating_sub(began_us) / 100_000;
        story
            .screen
            .say(&format!("done in {}.{} s", tenths / 10, tenths % 10));
        Ok(outcome)
    }

    /// Step 2: the first desired state, by the direct way.
    async fn deploy(&mut self) -> Result<(), CommandError> {
        self.screen.say(&format!(
            "2/5  deciding {DEPLOYMENTS} deployments for each device; they arrive by the direct way"
        ));
        for index in 0..self.parts.units.len() {
            self.decide(index, documents::deployments(DEPLOYMENTS))
                .await?;
            self.await_applied(index).await?;
        }
        Ok(())
    }

    /// Step 3: the firewall closes, and the first change finds its way all the same.
    async fn cut(&mut self) -> Result<(), CommandError> {
        self.screen.say("3/5  the firewall closes: every connection between devices and controller ends, none is let in");
        self.parts.cut();
        let cut_us = clock::mono_us();
        for index in 0..self.parts.units.len() {
            self.decide(index, turned("190.0")).await?;
        }
        for index in 0..self.parts.units.len() {
            self.await_applied(index).await?;
        }
        let found_us = clock::mono_us().saturating_sub(cut_us);
        self.screen.say(&format!(
            "     both devices found the relay and applied the next change {} after the cut",
            millis(found_us)
        ));
        Ok(())
    }

    /// Step 4: changes by the relay, each timed from the acknowledged decision to the report.
    async fn push(&mut self) -> Result<(), CommandError> {
        self.screen.say(&format!(
            "4/5  turning one value {PUSHES} times, by the relay"
        ));
        for round in 0..PUSHES {
            let index = round % self.parts.units.len().max(1);
            self.decide(index, turned(&format!("{}.5", 150 + round)))
                .await?;
            let decided_us = clock::mono_us();
            self.await_applied(index).await?;
            self.pushes_us
                .push(clock::mono_us().saturating_sub(decided_us));
        }
        let text = |percent| percentile(&self.pushes_us, percent).map_or_else(String::new, millis);
        self.screen.say(&format!(
            "     from acknowledged decision to signed report: half within {}, all within {}",
            text(50),
            text(100)
        ));
        Ok(())
    }

    /// Step 5: what was decided, against what each device signed.
    async fn compare(&mut self) -> Result<Outcome, CommandError> {
        self.screen
            .say("5/5  comparing what was decided with what each device signed");
        let known = self.parts.operator.devices().await?;
        let mut devices = Vec::new();
        for (unit, desired) in self.parts.units.iter().zip(&self.desired) {
            let mut found = known
                .iter()
                .filter(|device| device.name == unit.name.as_str());
            let (Some(found), Some(desired)) = (found.next(), desired) else {
                return Err(told_otherwise("the controller does not know a device"));
            };
            let status = unit.status();
            devices.push(DeviceOutcome {
                name: found.name.clone(),
                desired: desired.clone(),
                applied: Head {
                    epoch: found.applied.epoch,
                    seq: found.applied.seq,
                    digest: found.applied_digest.clone().unwrap_or_default(),
                },
                route: status.route,
                counts: status.counts,
            });
        }
        let outcome = Outcome {
            devices,
            restarts: 0,
            pushes_us: self.pushes_us.clone(),
        };
        compared(self.screen, &outcome)?;
        Ok(outcome)
    }

    async fn decide(
        &mut self,
        index: usize,
        values: Vec<(String, String)>,
    ) -> Result<(), CommandError> {
        let (operator, name) = (self.parts.operator.clone(), self.name(index)?);
        let head = self
            .watch(async move { operator.set(&name, &values).await })
            .await?;
        if let Some(desired) = self.desired.get_mut(index) {
            *desired = Some(head);
        }
        Ok(())
    }

    async fn await_applied(&mut self, index: usize) -> Result<(), CommandError> {
        let (operator, name) = (self.parts.operator.clone(), self.name(index)?);
        let Some(head) = self.desired.get(index).cloned().flatten() else {
            return Err(told_otherwise("nothing was decided for the device"));
        };
        self.watch(async move { operator.applied(&name, &head).await })
            .await
    }

    fn name(&self, index: usize) -> Result<DeviceName, CommandError> {
        let unit = self.parts.units.get(index);
        unit.map(|unit| unit.name.clone())
            .ok_or_else(|| told_otherwise("a device is missing"))
    }

    /// Waits for something, and gives up when a part ended.
    async fn watch<T>(
        &mut self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let mut work = pin!(work);
        let mut looks = tokio::time::interval(LOOK_PAUSE);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = looks.tick() => {
                    if let Some(error) = self.parts.ended_part() {
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn in_step(step: u8, mut error: CommandError) -> CommandError {
    error.message = format!("step {step} of 5 failed: {}", error.message);
    error
}

fn told_otherwise(what: &str) -> CommandError {
    CommandError::failure("demo-step", what, "look at the logs in the demo's folder")
}
