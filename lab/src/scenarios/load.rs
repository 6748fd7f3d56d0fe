//! Messages at a rate, each a decision on a path of its own, followed until the device applied it.
//!
//! ```text
//!  sender thread:  decide, note revision and moment, next slot of the rate
//!  this thread:    look at the device, note which revisions are applied since when, let the fault happen
//! ```
//!
//! It refuses to call a message delivered by its revision alone: at the end every value is read back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{ScenarioError, expect};
use crate::clock::Moment;
use crate::kills::{acceptances, repeated};
use crate::{Device, Fleet, LabError, Operator, Revision, wait};

/// How many messages, how fast, and below which path.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Messages.
    pub messages: usize,
    /// Messages a second.
    pub per_second: u64,
    /// First section of their paths.
    pub prefix: &'static str,
    /// Looks until all are applied, as [`wait`] counts them.
    pub tries: u32,
}

impl Load {
    /// So many messages at 20 a second, given two minutes.
    #[must_use]
    pub const fn of(messages: usize) -> Self {
        Self {
            messages,
            per_second: 20,
            prefix: "load",
            tries: 2 * wait::TRIES_MAX,
        }
    }
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Messages that the controller acknowledged.
    pub sent: usize,
    /// Half of them were applied within so many milliseconds.
    pub p50_ms: u64,
    /// 99 of 100 were.
    pub p99_ms: u64,
    /// All were.
    pub worst_ms: u64,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} sent, 0 lost, 0 twice, applied after p50 {} p99 {} worst {} ms",
            self.sent, self.p50_ms, self.p99_ms, self.worst_ms
        )
    }
}

/// What a fault may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Messages that the controller acknowledged so far.
    pub sent: usize,
    /// Messages known to be applied so far.
    pub applied: usize,
}

#[derive(Debug)]
struct Sent {
    revision: Revision,
    at: Moment,
}

/// Sends all messages, lets `fault` happen at each look, and judges what arrived.
///
/// # Errors
/// [`ScenarioError::Unmet`] when a message is lost or accepted twice; [`ScenarioError::Lab`] when not all arrive.
pub(super) fn drive(
    fleet: &Fleet,
    device: &mut Device,
    load: &Load,
    mut fault: impl FnMut(Progress) -> Result<(), ScenarioError>,
) -> Result<Report, ScenarioError> {
    let sent = Mutex::new(Vec::new());
    let (operator, name) = (fleet.operator()?, device.name.clone());
    let mut latencies = Vec::new();
    let mut failure = None;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(operator, &name, load, &sent));
        let what = format!("{} messages to be applied", load.messages);
        let watched = wait::until_tries(&what, load.tries, || {
            let applied = device.folder.revision("applied");
            let held = sent.lock().unwrap_or_else(PoisonError::into_inner);
            let arrived = held.iter().skip(latencies.len());
            let arrived = arrived.take_while(|one| applied.is_some_and(|by| one.revision <= by));
            latencies.extend(arrived.map(|one| one.at.elapsed_ms()));
            let progress = Progress {
                sent: held.len(),
                applied: latencies.len(),
            };
            drop(held);
            if let Err(error) = fault(progress) {
                failure = Some(error);
                return Ok(Some(()));
            }
            let is_over = sender.is_finished() && progress.sent < load.messages;
            Ok((is_over || progress.applied == load.messages).then_some(()))
        });
        let sending = sender
            .join()
            .unwrap_or_else(|_panic| Err(LabError::io("send")(std::io::ErrorKind::Other.into())));
        sending.and(watched.map_err(|error| error.with_log(&device.daemon.log())))
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    judge(device, load)?;
    Ok(summary(latencies))
}

fn send(
    mut operator: Operator,
    device: &str,
    load: &Load,
    sent: &Mutex<Vec<Sent>>,
) -> Result<(), LabError> {
    let step = Duration::from_secs(1)
        .checked_div(u32::try_from(load.per_second).unwrap_or(u32::MAX))
        .unwrap_or_default();
    let mut slot = Moment::now();
    for number in 0..load.messages {
        wait::pause_until(slot);
        slot = slot.after(step);
        let at = Moment::now();
        let path = format!("{}/n{number}", load.prefix);
        let revision = operator.set(device, &path, &Value::from(number))?;
        let mut held = sent.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(Sent { revision, at });
    }
    Ok(())
}

/// Reads every value back, and looks for revisions that were accepted twice.
pub(super) fn judge(device: &Device, load: &Load) -> Result<(), ScenarioError> {
    let lost = (0..load.messages).filter(|number| {
        let rendered = device
            .folder
            .rendered(&format!("{}/n{number}", load.prefix));
        rendered != Some(number.to_string())
    });
    let lost: Vec<_> = lost.collect();
    expect(lost.is_empty(), || {
        format!(
            "{} of {} messages are lost: {lost:?}",
            lost.len(),
            load.messages
        )
    })?;
    let accepted = acceptances(&device.daemon.log());
    expect(!accepted.is_empty(), || {
        "the device's log names nothing that was accepted".to_owned()
    })?;
    let twice = repeated(&accepted);
    expect(twice.is_empty(), || format!("accepted twice: {twice:?}"))
}

fn summary(mut latencies: Vec<u64>) -> Report {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = latencies.len().saturating_mul(percent) / 100;
        let last = latencies.len().saturating_sub(1);
        latencies.get(index.min(last)).copied().unwrap_or_default()
    };
    Report {
        sent: latencies.len(),
        p50_ms: at(50),
        p99_ms: at(99),
        worst_ms: at(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_takes_the_worst_and_the_middle() {
        let report = summary((1..=1_000).rev().collect());
        assert_eq!((report.sent, report.p50_ms), (1_000, 501));
        assert_eq!((report.p99_ms, report.worst_ms), (991, 1_000));
        assert_eq!(summary(Vec::new()).worst_ms, 0);
    }
}
