//! Answers operators: what can be seen is looked up, what changes something is written down first.
//!
//! ```text
//!  change --> audit "asked" --> done by the relay, or ordered from the loop --> audit "done" or "refused"
//! ```
//!
//! Refuses a change that cannot be written down.

use super::request::Request;
use super::response::{DrainStanding, Response, Status};
use crate::audit::{Asker, Audit};
use crate::config::RelayConfig;
use crate::health::Health;
use crate::limits::{DRAIN_WITHIN_S_MAX, ROWS_MAX};
use crate::metrics;
use crate::operable::{Operable, Page, Refusal};
use postern_console::clock;
use postern_console::exit::{CommandError, Exit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};

/// What only the loop of the process may do.
#[derive(Debug)]
pub enum Order {
    /// Begin to drain, over these milliseconds where given.
    Drain {
        /// The window.
        within_ms: Option<u64>,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// End a drain.
    Undrain {
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// Read the configuration again.
    Reload {
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// Go on in a new process.
    Upgrade {
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
}

/// What the desk shares with the loop.
pub struct Desk {
    relay: Arc<dyn Operable>,
    health: Arc<Health>,
    /// Taken out when another process goes on with the file.
    audit: Mutex<Option<Audit>>,
    /// Held by every change from its first to its last line in the audit log.
    changes: RwLock<()>,
    config: Mutex<Arc<RelayConfig>>,
    drain: Mutex<Option<DrainStanding>>,
    orders: mpsc::Sender<Order>,
}

impl Desk {
    /// Puts a desk before a relay.
    pub fn new(
        relay: Arc<dyn Operable>,
        health: Arc<Health>,
        audit: Audit,
        config: Arc<RelayConfig>,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        Self {
            relay,
            health,
            audit: Mutex::new(Some(audit)),
            changes: RwLock::new(()),
            config: Mutex::new(config),
            drain: Mutex::new(None),
            orders,
        }
    }

    /// Takes the configuration that counts from now on.
    pub fn set_config(&self, config: Arc<RelayConfig>) {
        *lock(&self.config) = config;
    }

    /// Takes how far the drain is.
    pub fn set_drain(&self, drain: Option<DrainStanding>) {
        *lock(&self.drain) = drain;
    }

    /// Writes down what the process itself does.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn note(
        &self,
        op: &str,
        detail: serde_json::Value,
        outcome: &str,
    ) -> Result<(), CommandError> {
        self.write(&Asker::SELF, op, detail, outcome)
    }

    /// Waits for the changes under way and closes the audit log: another process goes on with it.
    /// Blocks.
    pub fn close(&self) {
        let changes = self.changes.write();
        let _changes = changes.unwrap_or_else(PoisonError::into_inner);
        *lock(&self.audit) = None;
    }

    /// Answers one request. Waits for the disk, and for the loop where it has to act.
    pub fn answer(&self, who: &Asker, request: Request) -> Response {
        if !request.is_change() {
            return self.look(&request).unwrap_or_else(Response::from);
        }
        let changes = self.changes.read();
        let _changes = changes.unwrap_or_else(PoisonError::into_inner);
        let (name, detail) = (request.name(), detail_of(&request));
        let asked = self.write(who, name, detail.clone(), "asked");
        if let Err(error) = asked {
            return error.into();
        }
        let response = self.change(request).unwrap_or_else(Response::from);
        let outcome = match &response {
            Response::Error { .. } => "refused",
            Response::Status { .. }
            | Response::Tenants { .. }
            | Response::Mailboxes { .. }
            | Response::Sessions { .. }
            | Response::Quota { .. }
            | Response::Disconnected { .. }
            | Response::Limits { .. }
            | Response::Metrics { .. }
            | Response::Draining { .. }
            | Response::Undrained { .. }
            | Response::Reloaded { .. }
            | Response::Upgrading { .. } => "done",
        };
        match self.write(who, name, detail, outcome) {
            Ok(()) => response,
            // It was asked for in writing and is done: saying that it failed would be wrong.
            Err(error) => {
                tracing::error!(op = name, error = %error.message, "the outcome is not in the audit log");
                response
            }
        }
    }

    fn write(
        &self,
        who: &Asker,
        op: &str,
        detail: serde_json::Value,
        outcome: &str,
    ) -> Result<(), CommandError> {
        let mut audit = lock(&self.audit);
        let audit = audit.as_mut().ok_or_else(stopping)?;
        audit
            .write(clock::unix_s(), who.clone(), op, detail, outcome)
            .map(|_| ())
    }

    fn look(&self, request: &Request) -> Result<Response, CommandError> {
        let page = |tenant: &Option<String>, after: &Option<String>| Page {
            tenant: tenant.clone(),
            after: after.clone(),
            rows_max: ROWS_MAX,
        };
        match request {
            Request::Status {} => self.status(),
            Request::Tenants {} => Ok(Response::Tenants {
                tenants: self.relay.tenants(),
            }),
            Request::Mailboxes { tenant, after } => {
                let mailboxes = self.relay.mailboxes(&page(tenant, after));
                let is_full = mailboxes.len() >= ROWS_MAX;
                let last = mailboxes.last().filter(|_| is_full);
                Ok(Response::Mailboxes {
                    next: last.map(|row| row.channel.clone()),
                    mailboxes,
                })
            }
            Request::Sessions { tenant } => Ok(Response::Sessions {
                sessions: self.relay.sessions(&page(tenant, &None)),
            }),
            Request::Quota { tenant } => {
                let quota = self.relay.quota(tenant).map_err(refused)?;
                Ok(Response::Quota {
                    tenant: tenant.clone(),
                    quota,
                })
            }
            Request::Limits {} => {
                let entries = lock(&self.config).entries().into_iter();
                let limits = entries.map(|(key, (value, _))| (key, value)).collect();
                Ok(Response::Limits { limits })
            }
            Request::Metrics {} => Ok(Response::Metrics {
                text: metrics::text(self.relay.as_ref(), &self.health),
            }),
            Request::SetQuota { .. }
            | Request::Disconnect { .. }
            | Request::Drain { .. }
            | Request::Undrain {}
            | Request::Reload {}
            | Request::Upgrade {} => {
                unreachable!("a change is answered by `change`: `answer` asks `is_change` first")
            }
        }
    }

    fn status(&self) -> Result<Response, CommandError> {
        let config = Arc::clone(&lock(&self.config));
        let checks = self.health.checks();
        let audit = lock(&self.audit).as_ref().map(|audit| audit.end().clone());
        let status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.health.uptime_s(),
            pid: std::process::id(),
            listen: config.listen.to_string(),
            urls: config.urls.clone(),
            is_ready: checks.iter().all(|check| check.is_well),
            checks,
            drain: *lock(&self.drain),
            relay: self.relay.standing(),
            audit: audit.ok_or_else(stopping)?,
        };
        Ok(Response::Status {
            status: Box::new(status),
        })
    }

    fn change(&self, request: Request) -> Result<Response, CommandError> {
        match request {
            Request::SetQuota {
                bytes_max: Some(0), ..
            } => Err(CommandError::new(
                Exit::Refused,
                "quota-zero",
                "refused: a quota of 0 would shut the tenant out",
                "to shut a tenant out, take it from the bundle at the controller",
            )),
            Request::Drain {
                within_s: Some(within_s),
            } if !(1..=DRAIN_WITHIN_S_MAX).contains(&within_s) => Err(CommandError::new(
                Exit::Refused,
                "drain-window",
                format!("refused: a drain takes 1 to {DRAIN_WITHIN_S_MAX} s, not {within_s}"),
                "give --within a time in this range",
            )),
            Request::SetQuota { tenant, bytes_max } => {
                let quota = self.relay.set_quota(&tenant, bytes_max).map_err(refused)?;
                Ok(Response::Quota { tenant, quota })
            }
            Request::Disconnect { tenant, device } => {
                let ended = self.relay.disconnect(&tenant, device.as_deref());
                let sessions = ended.map_err(refused)?;
                Ok(Response::Disconnected { sessions })
            }
            Request::Drain { within_s } => {
                let within_ms = within_s.map(|seconds| seconds.saturating_mul(1_000));
                self.order(|reply| Order::Drain { within_ms, reply })
            }
            Request::Undrain {} => self.order(|reply| Order::Undrain { reply }),
            Request::Reload {} => self.order(|reply| Order::Reload { reply }),
            Request::Upgrade {} => self.order(|reply| Order::Upgrade { reply }),
            Request::Status {}
            | Request::Tenants {}
            | Request::Mailboxes { .. }
            | Request::Sessions { .. }
            | Request::Quota { .. }
            | Request::Limits {}
            | Request::Metrics {} => {
                unreachable!("a look is answered by `look`: `answer` asks `is_change` first")
            }
        }
    }

    fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Response>) -> Order,
    ) -> Result<Response, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.orders
            .blocking_send(order(reply))
            .map_err(|_| stopping())?;
        answer.blocking_recv().map_err(|_| stopping())
    }
}

/// What the audit log says about a change; no member of a request is secret.
fn detail_of(request: &Request) -> serde_json::Value {
    let mut detail = serde_json::to_value(request).unwrap_or_default();
    if let Some(members) = detail.as_object_mut() {
        members.remove("op");
    }
    detail
}

fn refused(refusal: Refusal) -> CommandError {
    let (exit, name, next) = match &refusal {
        Refusal::Unknown(_) => (
            Exit::Refused,
            "unknown",
            "`postern-relay tenants` and `mailboxes` list what there is",
        ),
        Refusal::Store(_) => (
            Exit::Refused,
            "store-refuses",
            "`postern-relay status` says how the store is; nothing has changed",
        ),
    };
    CommandError::new(exit, name, format!("refused: {refusal}"), next)
}

fn stopping() -> CommandError {
    CommandError::unreachable(
        "relay-stopping",
        "the relay is stopping",
        "start it with `postern-relay run` and ask again",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one assignment or ends with its own error.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
