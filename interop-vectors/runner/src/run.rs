//! Asks every vector, by several children at a time, and keeps what came of each in the order of the vectors.
//!
//! Refuses to decide what a failure means: that is the summary's.

use crate::child::{Asked, Silence, Start};
use crate::clock::Began;
use crate::compare::{Difference, Verdict, judge};
use crate::limits::{PROGRESS_AFTER_MS, PROGRESS_EVERY_MS, PROGRESS_VECTORS};
use crate::vectors::Vector;
use serde_json::Value as Json;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// What became of one vector, and how long it took.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// Microseconds.
    pub(crate) elapsed_us: u64,
}

/// Asks all. The result stands at the place of its vector.
///
/// # Errors
/// A command that does not start.
pub(crate) fn all(vectors: &[&Vector], start: &Start, jobs: usize) -> Result<Vec<Taken>, String> {
    let children = (0..jobs.min(vectors.len()).max(1))
        .map(|_| Asked::new(start.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let (sender, done) = channel();
    let began = Began::now();
    let mut taken = Vec::with_capacity(vectors.len());
    thread::scope(|scope| {
        for child in children {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || work(vectors, child, next, &sender));
        }
        drop(sender);
        loop {
            match done.recv_timeout(Duration::from_millis(PROGRESS_EVERY_MS)) {
                Ok(one) => taken.push(one),
                Err(RecvTimeoutError::Timeout) => show(began, taken.len(), vectors.len()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if taken.len().is_multiple_of(PROGRESS_VECTORS) || taken.len() == vectors.len() {
                show(began, taken.len(), vectors.len());
            }
        }
    });
    taken.sort_by_key(|(place, _)| *place);
    Ok(taken.into_iter().map(|(_, taken)| taken).collect())
}

/// Asks one vector after the other until none is left or nobody listens.
fn work(vectors: &[&Vector], mut child: Asked, next: &AtomicUsize, done: &Sender<(usize, Taken)>) {
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(vector) = vectors.get(place) else {
            return;
        };
        let began = Began::now();
        let id = u64::try_from(place).unwrap_or(u64::MAX);
        let verdict = ask(vector, id, &mut child);
        let elapsed_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if done
            .send((
                place,
                Taken {
                    verdict,
                    elapsed_us,
                },
            ))
            .is_err()
        {
            return;
        }
    }
}

fn ask(vector: &Vector, id: u64, child: &mut Asked) -> Verdict {
    let silent = |member: &str, given: &str| {
        Verdict::Failed(Difference {
            member: member.into(),
            wanted: vector.test.get("result").cloned().unwrap_or_default(),
            given: Json::from(given),
        })
    };
    let request = match vector.request(id) {
        Ok(request) => request,
        Err(error) => return silent("vector", &error),
    };
    match child.ask(&request) {
        Ok(reply) => judge(vector, &reply),
        Err(Silence::Died) => silent("died", "the child ended or closed a stream"),
        Err(Silence::Timeout) => silent("timeout", "no reply in time; the child was killed"),
        Err(Silence::Reply(what)) => silent("reply", &what),
        Err(Silence::GivenUp) => silent(
            "died",
            "the child died too often before its first answer and was not asked",
        ),
    }
}

/// Shows how far a run is, to people and not before they wonder.
fn show(began: Began, done: usize, all: usize) {
    let mut people = io::stderr();
    let is_long = began.elapsed() >= Duration::from_millis(PROGRESS_AFTER_MS);
    if is_long && people.is_terminal() {
        let end = if done == all { "\r\x1b[K" } else { "" };
        // A terminal that is gone does not stop a run.
        let _ = write!(people, "\r{done} of {all} vectors{end}");
    }
}
