//! What happens in the demo, in six steps, and what must be true after each.
//!
//! A step that does not come out as told ends the demo with an error that names it. Refuses to
//! call a device done because of what the device's process says: only its signed report counts.

use super::decisions::Head;
use super::documents::{self, TURNED_PARAMETER, parameter_path};
use super::fleet::Fleet;
use super::outcome::{DeviceOutcome, Outcome};
use super::percentile::percentile;
use super::proxy::Tamper;
use super::screen::Screen;
use super::table::{Row, bytes, millis};
use super::unit::Way;
use crate::clock;
use crate::exit::CommandError;
use postern_protocol::Reject;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

/// Deployments of each device, in the order of the fleet.
const DEPLOYMENTS: [usize; 3] = [1, 10, 100];
/// Changes whose way to a device is timed.
const PUSHES: usize = 21;
/// Changes that are made while a device is dead.
const MISSED: usize = 3;
/// The device behind the proxy whose envelope is falsified.
const FALSIFIED: usize = 1;
/// The device that is killed.
const KILLED: usize = 2;
/// Looks for a refusal that a device is about to show. Generous: a look costs nothing.
const REJECTED_LOOKS_MAX: usize = 200;
/// The value that the proxy falsifies; no other value of the demo has these characters.
const FALSIFIED_VALUE: &str = "199.5";
/// Pause between two looks at everything. Arbitrary: fluent for eyes, idle for a processor.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The demo while it runs.
#[derive(Debug)]
pub(super) struct Story<'s> {
    screen: &'s mut Screen,
    fleet: Fleet,
    desired: [Option<Head>; 3],
    last_push_us: [Option<u64>; 3],
    /// What each device has signed to have applied, which its status file shows a moment later.
    reported: [Option<u64>; DEPLOYMENTS.len()],
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
        screen.say("1/6  starting a controller, an inspecting proxy and three devices, all on this machine");
        let began_us = clock::mono_us();
        let fleet = Fleet::start(folder)
            .await
            .map_err(|error| in_step(1, error))?;
        let mut story = Self {
            screen,
            fleet,
            desired: [None, None, None],
            last_push_us: [None; 3],
            reported: [None; DEPLOYMENTS.len()],
            pushes_us: Vec::new(),
        };
        story.introduce();
        story.deploy().await.map_err(|error| in_step(2, error))?;
        story.push().await.map_err(|error| in_step(3, error))?;
        story.falsify().await.map_err(|error| in_step(4, error))?;
        story.kill().await.map_err(|error| in_step(5, error))?;
        let outcome = story.compare().await.map_err(|error| in_step(6, error))?;
        story.fleet.stop().await;
        let seconds = clock::mono_us().saturating_sub(began_us) / 100_000;
        story
            .screen
            .say(&format!("done in {}.{} s", seconds / 10, seconds % 10));
        Ok(outcome)
    }

    fn introduce(&mut self) {
        for unit in &self.fleet.units {
            let way = match unit.way {
                Way::Direct => "dials the controller directly",
                Way::Inspected => "dials it through the proxy, which opens its TLS",
                Way::InspectedWithPassword => "the same, and the proxy wants a password",
            };
            self.screen.say(&format!("     {}  {way}", unit.name));
        }
    }

    /// Step 2: the first desired state of each device, as one decision each.
    async fn deploy(&mut self) -> Result<(), CommandError> {
        self.screen
            .say("2/6  deciding 1, 10 and 100 deployments, each set in one decision");
        for (index, count) in DEPLOYMENTS.into_iter().enumerate() {
            let _head = self.decide(index, documents::deployments(count)).await?;
        }
        for index in 0..DEPLOYMENTS.len() {
            self.await_applied(index).await?;
        }
        self.settle();
        Ok(())
    }

    /// Step 3: one value at a time, timed from the acknowledged decision to the report.
    async fn push(&mut self) -> Result<(), CommandError> {
        self.screen.say(&format!(
            "3/6  turning one value {PUSHES} times, on each device in turn"
        ));
        for round in 0..PUSHES {
            let index = round % DEPLOYMENTS.len();
            let tenths = 1_801 + round;
            let value = format!("{}.{}", tenths / 10, tenths % 10);
            let _head = self.decide(index, turned(&value)).await?;
            let decided_us = clock::mono_us();
            self.await_applied(index).await?;
            let push_us = clock::mono_us().saturating_sub(decided_us);
            self.pushes_us.push(push_us);
            if let Some(last) = self.last_push_us.get_mut(index) {
                *last = Some(push_us);
            }
        }
        let text = |percent| percentile(&self.pushes_us, percent).map_or_else(String::new, millis);
        let sentence = format!(
            "     from acknowledged decision to signed report: half within {}, all within {}",
            text(50),
            text(100)
        );
        self.screen.say(&sentence);
        self.settle();
        Ok(())
    }

    /// Step 4: the proxy changes one bit of a value; the device notices and gets the true one.
    async fn falsify(&mut self) -> Result<(), CommandError> {
        let name = Reject::SessionMac.as_str();
        let before = self.rejected(FALSIFIED, name);
        self.screen.say("4/6  the proxy changes one byte of a setpoint on its way to hall-b: 199.5 becomes 199.4");
        self.fleet.proxy.tamper(Tamper::new(FALSIFIED_VALUE));
        let _head = self.decide(FALSIFIED, turned(FALSIFIED_VALUE)).await?;
        self.await_applied(FALSIFIED).await?;
        if self.fleet.proxy.passed().falsified != 1 {
            return Err(told_otherwise(
                "the value did not pass the proxy in the open",
            ));
        }
        self.await_rejected(FALSIFIED, name, before).await?;
        self.screen.say(&format!(
            "     hall-b refused it ({name}), asked again and applied the true 199.5"
        ));
        self.settle();
        Ok(())
    }

    /// Step 5: SIGKILL, decisions in its absence, a new process on the same folder.
    async fn kill(&mut self) -> Result<(), CommandError> {
        self.screen.say(&format!(
            "5/6  killing hall-c without warning, and deciding {MISSED} changes while it is dead"
        ));
        if let Some(unit) = self.fleet.units.get_mut(KILLED) {
            unit.kill().await?;
        }
        for round in 0..MISSED {
            let _head = self.decide(KILLED, turned(&format!("17{round}.0"))).await?;
        }
        self.settle();
        self.fleet.restart(KILLED)?;
        self.await_applied(KILLED).await?;
        self.screen.say(
            "     hall-c is back: it read its store, asked from where it stood, and caught up",
        );
        self.settle();
        Ok(())
    }

    /// Step 6: what was decided, against what each device signed.
    async fn compare(&mut self) -> Result<Outcome, CommandError> {
        self.screen
            .say("6/6  comparing what was decided with what each device signed");
        let outcome = self.outcome().await?;
        let converged = compared(self.screen, &outcome);
        let passed = self.fleet.proxy.passed();
        self.screen.say(&format!(
            "     the proxy opened {} requests ({}), asked for its password {} times, falsified {}",
            passed.exchanges,
            bytes(passed.bytes),
            passed.challenged,
            passed.falsified
        ));
        self.settle();
        self.screen.leave();
        converged.map(|()| outcome)
    }

    async fn outcome(&self) -> Result<Outcome, CommandError> {
        let known = self.fleet.operator.devices().await?;
        let mut devices = Vec::new();
        for (unit, desired) in self.fleet.units.iter().zip(&self.desired) {
            let found = known
                .iter()
                .find(|device| device.name == unit.name.as_str());
            let (Some(found), Some(desired)) = (found, desired) else {
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
        let restarts = self.fleet.units.iter().map(|unit| unit.restarts).sum();
        Ok(Outcome {
            devices,
            restarts,
            pushes_us: self.pushes_us.clone(),
        })
    }

    /// Decides for one device and remembers what the controller acknowledged.
    async fn decide(
        &mut self,
        index: usize,
        values: Vec<(String, String)>,
    ) -> Result<Head, CommandError> {
        let (operator, name) = (self.fleet.operator.clone(), self.name(index)?);
        let head = self
            .watch(async move { operator.set(&name, &values).await })
            .await?;
        if let Some(desired) = self.desired.get_mut(index) {
            *desired = Some(head.clone());
        }
        Ok(head)
    }

    /// Waits for the device's signed report of the newest decision.
    async fn await_applied(&mut self, index: usize) -> Result<(), CommandError> {
        let (operator, name) = (self.fleet.operator.clone(), self.name(index)?);
        let Some(head) = self.desired.get(index).cloned().flatten() else {
            return Err(told_otherwise("nothing was decided for the device"));
        };
        let seq = head.seq;
        self.watch(async move { operator.applied(&name, &head).await })
            .await?;
        if let Some(reported) = self.reported.get_mut(index) {
            *reported = Some(seq);
        }
        Ok(())
    }

    fn name(&self, index: usize) -> Result<postern_protocol::id::DeviceName, CommandError> {
        let unit = self.fleet.units.get(index);
        unit.map(|unit| unit.name.clone())
            .ok_or_else(|| told_otherwise("a device is missing"))
    }

    /// Waits until a device shows that it refused something: it shows that after the report of what it applied.
    async fn await_rejected(
        &self,
        index: usize,
        name: &str,
        before: u64,
    ) -> Result<(), CommandError> {
        let mut looks = tokio::time::interval(LOOK_PAUSE);
        for _look in 0..REJECTED_LOOKS_MAX {
            looks.tick().await;
            if self.rejected(index, name) > before {
                return Ok(());
            }
        }
        Err(told_otherwise("hall-b did not refuse the falsified answer"))
    }

    fn rejected(&self, index: usize, name: &str) -> u64 {
        let unit = self.fleet.units.get(index);
        unit.map_or(0, |unit| unit.status().counts.rejected(name))
    }

    /// Waits for something while the table follows, and gives up when a part ended.
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
                    if let Some(error) = self.fleet.ended_part() {
                        return Err(error);
                    }
                    let rows = self.rows();
                    self.screen.draw(&rows);
                }
            }
        }
    }

    fn settle(&mut self) {
        let rows = self.rows();
        self.screen.settle(&rows);
    }

    fn rows(&mut self) -> Vec<Row> {
        let desired = self.desired.iter().zip(self.last_push_us).zip(DEPLOYMENTS);
        let known = desired.zip(self.reported);
        let units = self.fleet.units.iter_mut().zip(known);
        let rows = units.map(|(unit, (((desired, push_us), deployments), reported))| {
            let status = unit.status();
            Row {
                device: unit.name.to_string(),
                deployments: if desired.is_some() { deployments } else { 0 },
                desired_seq: desired.as_ref().map(|head| head.seq),
                applied_seq: status.applied_seq.max(reported),
                route: status.route,
                bytes_up: status.counts.bytes_up,
                bytes_down: status.counts.bytes_down,
                push_us,
                is_running: unit.is_running(),
            }
        });
        rows.collect()
    }
}

/// Shows what was decided for each device beside what it signed.
///
/// # Errors
/// They differ.
pub(super) fn compared(screen: &mut Screen, outcome: &Outcome) -> Result<(), CommandError> {
    for device in &outcome.devices {
        let (desired, applied) = (&device.desired, &device.applied);
        let is_same = if desired == applied { "=" } else { "≠" };
        let short = |head: &Head| head.digest.chars().take(16).collect::<String>();
        let (left, right) = (short(desired), short(applied));
        screen.say(&format!(
            "     {}  desired {left}  {is_same}  applied {right}",
            device.name
        ));
    }
    match outcome.is_converged() {
        true => Ok(()),
        false => Err(told_otherwise("desired and applied digests differ")),
    }
}

/// The decision that turns one parameter of the first deployment.
pub(super) fn turned(value: &str) -> Vec<(String, String)> {
    vec![(parameter_path(1, TURNED_PARAMETER), value.to_owned())]
}

fn in_step(step: u8, mut error: CommandError) -> CommandError {
    error.message = format!("step {step} of 6 failed: {}", error.message);
    error
}

fn told_otherwise(what: &str) -> CommandError {
    CommandError::failure("demo-step", what, "look at the logs in the demo's folder")
}

#[cfg(test)]
mod tests {
    use super::{DEPLOYMENTS, FALSIFIED_VALUE, in_step, told_otherwise, turned};
    use crate::demo::documents;
    use crate::exit::Exit;

    #[test]
    fn falsified_value_stands_nowhere_else() {
        for count in DEPLOYMENTS {
            let values = documents::deployments(count);
            assert!(
                values
                    .iter()
                    .all(|(_, text)| !text.contains(FALSIFIED_VALUE))
            );
        }
    }

    #[test]
    fn turned_path_is_one_that_every_device_has() {
        for count in DEPLOYMENTS {
            let values = documents::deployments(count);
            for (path, _) in turned("1.0") {
                assert!(
                    values.iter().any(|(found, _)| *found == path),
                    "{path} of {count}"
                );
            }
        }
    }

    #[test]
    fn failed_step_is_named() {
        let error = in_step(4, told_otherwise("something"));
        assert_eq!(
            (error.exit, error.name.as_str()),
            (Exit::Failure, "demo-step")
        );
        assert!(error.message.contains("step 4 of 6") && error.message.contains("something"));
    }
}
