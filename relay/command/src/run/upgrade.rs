//! Going on in a new process: who asked, whether the next one is ready, and handing over.
//!
//! ```text
//!  None --order--> Asked --ready--> Ready, devices are let go --> the next process serves, this one ends
//!    '<------ refused, undrain, stop, or it died: this one goes on ------'
//! ```
//!
//! Refuses a second upgrade while one is under way, and to stop serving for a program that is not ready.

use super::start::Started;
use super::{Control, Turn, Why, standing, stopping};
use crate::admin::Response;
use crate::config::Limit;
use crate::handover::{Left, Prepared, Successor, follow_self};
use crate::health::Moment;
use postern_console::exit::CommandError;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How far an upgrade is.
#[derive(Debug, Default)]
pub(super) enum Upgrade {
    /// There is none.
    #[default]
    None,
    /// The next process is being started for this operator.
    Asked(oneshot::Sender<Response>),
    /// The next process waits.
    Ready(Successor),
}

/// Waits for the next process to be ready; for ever while none is being started.
pub(super) async fn prepared(preparing: &mut Option<JoinHandle<Prepared>>) -> Prepared {
    let Some(task) = preparing else {
        return std::future::pending().await;
    };
    let prepared = task.await;
    *preparing = None;
    prepared.unwrap_or_else(|_| {
        let why = "starting the next process ended unexpectedly";
        Err(upgrade_failed(why))
    })
}

impl Control {
    pub(super) fn begin_upgrade(&mut self, reply: oneshot::Sender<Response>) -> Turn {
        let error = match (&self.drain, &self.upgrade) {
            (Some((_, Why::Stop)), _) => stopping(),
            (_, Upgrade::Asked(_) | Upgrade::Ready(_)) => CommandError::failure(
                "upgrade-under-way",
                "another upgrade is under way",
                "`postern-relay status` shows how far it is; `postern-relay undrain` ends it",
            ),
            (_, Upgrade::None) => {
                self.upgrade = Upgrade::Asked(reply);
                return Turn::Prepare;
            }
        };
        let _ = reply.send(error.into());
        Turn::On
    }

    pub(super) fn handle_prepared(&mut self, prepared: Prepared, now: Moment) -> Turn {
        let Upgrade::Asked(reply) = std::mem::take(&mut self.upgrade) else {
            // Told to stop meanwhile; nobody waits for an answer any more.
            if let Ok(successor) = prepared {
                successor.dismiss();
            }
            return Turn::On;
        };
        let successor = match prepared {
            Ok(successor) => successor,
            Err(error) => {
                tracing::error!(reason = %error.message, "no upgrade; this process goes on");
                let _ = reply.send(error.into());
                return Turn::On;
            }
        };
        let pid = successor.pid();
        self.upgrade = Upgrade::Ready(successor);
        self.begin_drain(self.short_window(), Why::Upgrade, now);
        let turn = self.drain_on(now);
        let response = match &self.drain {
            Some((drain, _)) => Response::Upgrading {
                pid,
                drain: standing(drain, now.mono_ms),
            },
            // It was ready, and is gone already.
            None => CommandError::failure(
                "upgrade-refused",
                "the next process died, and the upgrade was given up",
                "look at the relay's log for its reason; the old program serves",
            )
            .into(),
        };
        let _ = reply.send(response);
        turn
    }

    /// Gives an upgrade up; this process goes on, or ends without another.
    pub(super) fn dismiss(&mut self, why: &str) {
        match std::mem::take(&mut self.upgrade) {
            Upgrade::None => {}
            Upgrade::Asked(reply) => {
                let _ = reply.send(stopping().into());
            }
            Upgrade::Ready(successor) => {
                tracing::warn!(why, "the upgrade was given up");
                self.note("upgrade", serde_json::json!({ "why": why }), "refused");
                successor.dismiss();
            }
        }
    }

    /// Goes on when the process that waits for this one has died.
    pub(super) fn look_at_successor(&mut self) {
        if let Upgrade::Ready(successor) = &mut self.upgrade
            && successor.has_ended()
        {
            self.dismiss("the next process died");
            self.end_drain();
        }
    }
}

impl Started {
    /// Lets the next process go on and ends.
    ///
    /// # Errors
    /// When neither it nor this program anew can serve: the service manager has to start it.
    pub(super) async fn hand_over(mut self) -> Result<(), CommandError> {
        let Upgrade::Ready(successor) = std::mem::take(&mut self.control.upgrade) else {
            unreachable!(
                "only a drain before an upgrade ends in a handover, and it has a successor"
            )
        };
        let pid = successor.pid();
        let control = &self.control;
        control.notify.tell("RELOADING=1");
        control.note("hand-over", serde_json::json!({ "to": pid }), "done");
        self.operators.abort();
        self.watchers.abort();
        // Orders that wait are told that this process stops, so that their lines are written.
        drop(self.queue);
        let desk = std::sync::Arc::clone(&control.desk);
        let closed = tokio::task::spawn_blocking(move || desk.close()).await;
        let close_ms = control.reloader.config().limits.of(Limit::CloseMs);
        let relay = self.served.hand_over(close_ms).await;
        let (Some(relay), Ok(())) = (relay, closed) else {
            return Err(upgrade_failed("the relay had stopped before"));
        };
        let left = Left {
            relay,
            health: self.health_socket,
            operators: self.operators_socket,
        };
        let handing = tokio::task::spawn_blocking(move || (successor.hand_over(&left), left));
        let Some((handed, left)) = control.alive_until(handing).await else {
            return Err(upgrade_failed("handing over ended unexpectedly"));
        };
        match handed {
            Ok(waiting) => {
                control.notify.tell(&format!("MAINPID={pid}\nREADY=1"));
                tracing::info!(successor = pid, "another process goes on");
                drop::<UnixStream>(waiting);
                Ok(())
            }
            Err(error) => {
                tracing::error!(reason = %error.message, "the next process does not serve; this program follows itself");
                Err(follow_self(&left))
            }
        }
    }
}

impl Control {
    /// Waits for a thread and shows the service manager meanwhile that this process lives.
    async fn alive_until<T>(&self, mut task: JoinHandle<T>) -> Option<T> {
        let beat = Duration::from_millis(self.notify.watchdog_ms.max(1_000));
        let mut beats = tokio::time::interval(beat);
        loop {
            tokio::select! {
                ended = &mut task => return ended.ok(),
                _ = beats.tick() => self.notify.tell("WATCHDOG=1"),
            }
        }
    }
}

fn upgrade_failed(why: &str) -> CommandError {
    CommandError::failure(
        "upgrade-failed",
        why,
        "start the relay again: everything acknowledged is in its store",
    )
}
