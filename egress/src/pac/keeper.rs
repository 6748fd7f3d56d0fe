//! Keeps the script and its answers: what is asked again when, and what stands in meanwhile.
//!
//! ```text
//!   prepare(target):  script due? --load--> new text? --> answers are due
//!                     answer due? --ask---> kept, shown to routes()
//! ```
//!
//! One preparation at a time; reading never waits for it. A failure is kept beside what is still
//! good, and tried again after a pause.

use super::evaluate::{Evaluate, LookupRule, Lookups, Question};
use super::fault::PacFault;
use super::fetch::{self, Fetcher, PacUrl};
use super::result::{PacEntry, PacResult, Skipped};
use super::wpad;
use crate::config::{PacChoice, PacLookups, PacPlace};
use crate::foreign::Foreign;
use crate::host::{Authority, Host};
use crate::limits::{
    PAC_DECISION_AGE, PAC_FILE_REFRESH, PAC_PREPARE_BUDGET, PAC_REFRESH, PAC_REFRESH_JITTER,
    PAC_RETRY, PAC_TARGETS_MAX,
};
use crate::tcp::Resolve;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What a preparation works with.
#[derive(Debug)]
pub(crate) struct Means<'a> {
    pub(crate) fetcher: Fetcher<'a>,
    pub(crate) resolver: &'a Arc<dyn Resolve>,
    pub(crate) evaluator: Option<&'a Arc<dyn Evaluate>>,
}

/// The script of a dialer, and what it said.
#[derive(Debug)]
pub(crate) struct Keeper {
    choice: PacChoice,
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    script: Option<Script>,
    /// Why the newest try to have the script failed.
    fault: Option<PacFault>,
    /// When the script is to be had (again); at once if unset.
    due: Option<Instant>,
    decisions: BTreeMap<Authority, Decision>,
    /// Counts uses, to find out which target was not asked for longest.
    uses: u64,
}

#[derive(Clone, Debug)]
struct Script {
    text: Arc<str>,
    /// The file or URL that it came from.
    from: String,
}

/// What is known for one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decision {
    /// The newest good answer.
    pub(crate) entries: Option<Vec<PacEntry>>,
    /// What of it was left out.
    pub(crate) skipped: Vec<(Foreign, Skipped)>,
    /// Why the newest question was not answered.
    pub(crate) fault: Option<PacFault>,
    due: Option<Instant>,
    used: u64,
}

impl Keeper {
    pub(crate) fn new(choice: PacChoice) -> Self {
        Self {
            choice,
            turn: tokio::sync::Mutex::new(()),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known for a target, without waiting.
    pub(crate) fn decision(&self, target: &Authority) -> Decision {
        let kept = self.kept();
        let mut decision = kept.decisions.get(target).cloned().unwrap_or_default();
        // Without a script its absence is the reason, and not what was asked of an older one.
        if decision.fault.is_none() || kept.script.is_none() {
            decision.fault = kept.fault.clone().or(decision.fault);
        }
        if decision.entries.is_none() && decision.fault.is_none() {
            decision.fault = Some(PacFault::NotYet);
        }
        decision
    }

    /// Returns the file or URL that the script in use came from.
    pub(crate) fn script_from(&self) -> Option<String> {
        self.kept()
            .script
            .as_ref()
            .map(|script| script.from.clone())
    }

    /// Every proxy of every answer that is remembered.
    pub(crate) fn entries(&self) -> Vec<PacEntry> {
        let kept = self.kept();
        let each = kept.decisions.values();
        each.filter_map(|decision| decision.entries.clone())
            .flatten()
            .collect()
    }

    /// Asks everything again at the next preparation, as another network may say otherwise.
    pub(crate) fn handle_network_change(&self) {
        let mut kept = self.kept();
        kept.due = None;
        for decision in kept.decisions.values_mut() {
            decision.due = None;
        }
    }

    /// Has the script and asks it for a target where that is due.
    pub(crate) async fn prepare(
        &self,
        target: &Authority,
        means: &Means<'_>,
    ) -> Result<(), PacFault> {
        let turn = timeout(PAC_PREPARE_BUDGET, async {
            let _turn = self.turn.lock().await;
            self.renew_script(target, means).await;
            self.renew_decision(target, means).await;
        });
        let is_late = turn.await.is_err();
        let decision = self.decision(target);
        match decision.fault {
            Some(PacFault::NotYet) if is_late => Err(PacFault::Late),
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    async fn renew_script(&self, target: &Authority, means: &Means<'_>) {
        if self.kept().due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let loaded = self.load(target, means).await;
        let mut kept = self.kept();
        match loaded {
            Ok(script) => {
                let is_new = kept
                    .script
                    .as_ref()
                    .is_none_or(|old| old.text != script.text);
                if is_new {
                    tracing::info!(
                        from = script.from,
                        bytes = script.text.len(),
                        "PAC script taken"
                    );
                    for decision in kept.decisions.values_mut() {
                        decision.due = None;
                    }
                }
                kept.script = Some(script);
                kept.fault = None;
                kept.due = Some(Instant::now() + self.script_age());
            }
            Err(fault) => {
                if kept.fault.as_ref() != Some(&fault) {
                    tracing::warn!(code = fault.code(), reason = %fault, next = fault.remedy(), "no PAC script");
                }
                kept.fault = Some(fault);
                kept.due = Some(Instant::now() + PAC_RETRY);
            }
        }
    }

    async fn load(&self, target: &Authority, means: &Means<'_>) -> Result<Script, PacFault> {
        let url = match &self.choice.place {
            PacPlace::File(file) => {
                let from = file.display().to_string();
                let file = file.clone();
                let reading = tokio::task::spawn_blocking(move || fetch::read_file(&file));
                let text = reading.await.unwrap_or(Err(PacFault::Late))?;
                return Ok(Script {
                    text: text.into(),
                    from,
                });
            }
            PacPlace::Url(url) => url.clone(),
            PacPlace::Wpad => {
                let domain = tokio::task::spawn_blocking(wpad::domain).await;
                let domain = domain.ok().flatten().ok_or(PacFault::NoDomain)?;
                let url = wpad::url(&domain).ok_or(PacFault::NoDomain)?;
                PacUrl::parse(&url).map_err(|_odd| PacFault::NoDomain)?
            }
        };
        let denied = self.choice.is_required.then_some(&target.host);
        let text = means.fetcher.fetch(&url, denied).await?;
        Ok(Script {
            text: text.into(),
            from: url.to_string(),
        })
    }

    fn script_age(&self) -> Duration {
        match self.choice.place {
            PacPlace::File(_) => PAC_FILE_REFRESH,
            PacPlace::Url(_) | PacPlace::Wpad => {
                // A hash with random keys: jitter needs no better dice.
                let dice = RandomState::new().build_hasher().finish();
                let width_ms = u64::try_from(PAC_REFRESH_JITTER.as_millis()).unwrap_or(u64::MAX);
                let spread = dice.checked_rem(width_ms.saturating_mul(2)).unwrap_or(0);
                PAC_REFRESH.saturating_sub(PAC_REFRESH_JITTER) + Duration::from_millis(spread)
            }
        }
    }

    async fn renew_decision(&self, target: &Authority, means: &Means<'_>) {
        let script = {
            let mut kept = self.kept();
            let Some(script) = kept.script.clone() else {
                return;
            };
            let decision = kept.touch(target);
            if decision.due.is_some_and(|due| Instant::now() < due) {
                return;
            }
            script
        };
        let asked = self.ask(&script, target, means).await;
        let mut kept = self.kept();
        let decision = kept.touch(target);
        match asked {
            Ok(result) => {
                decision.entries = Some(result.entries);
                decision.skipped = result.skipped;
                decision.fault = None;
                decision.due = Some(Instant::now() + PAC_DECISION_AGE);
            }
            Err(fault) => {
                if decision.fault.as_ref() != Some(&fault) {
                    tracing::warn!(code = fault.code(), reason = %fault, next = fault.remedy(), "no answer of the PAC script");
                }
                decision.fault = Some(fault);
                decision.due = Some(Instant::now() + PAC_RETRY);
            }
        }
    }

    async fn ask(
        &self,
        script: &Script,
        target: &Authority,
        means: &Means<'_>,
    ) -> Result<PacResult, PacFault> {
        let evaluator = means.evaluator.ok_or(PacFault::NoEvaluator)?;
        let url = match target.port {
            443 => format!("https://{}/", target.host),
            _other => format!("https://{target}/"),
        };
        let question = Question {
            script: Arc::clone(&script.text),
            url,
            host: target.host.bare(),
            own: own_addresses(),
            now_ms: None,
        };
        let lookups = Lookups::new(Arc::clone(means.resolver), self.lookup_rule(&target.host));
        let said = evaluator.evaluate(question, lookups).await?;
        let mut result = PacResult::parse(&said, target);
        if self.choice.is_required {
            result
                .entries
                .retain(|entry| matches!(entry, PacEntry::Proxy(_)));
        }
        if result.entries.is_empty() {
            return Err(PacFault::Nothing {
                said: Foreign::new(said.as_bytes()),
            });
        }
        Ok(result)
    }

    fn lookup_rule(&self, target: &Host) -> LookupRule {
        match (self.choice.lookups, self.choice.is_required) {
            (PacLookups::Deny, _) => LookupRule::Deny,
            (PacLookups::Allow, true) => LookupRule::AllBut(target.clone()),
            (PacLookups::Allow, false) => LookupRule::All,
        }
    }
}

impl Kept {
    /// Finds or makes the place of a target, at the cost of the one that was not asked for longest.
    fn touch(&mut self, target: &Authority) -> &mut Decision {
        self.uses = self.uses.saturating_add(1);
        if !self.decisions.contains_key(target) && self.decisions.len() >= PAC_TARGETS_MAX {
            let oldest = self.decisions.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(target, _)| target.clone()) {
                self.decisions.remove(&oldest);
            }
        }
        let decision = self.decisions.entry(target.clone()).or_default();
        decision.used = self.uses;
        decision
    }
}

/// The addresses from which packets to the world would leave. Asks the routing table and sends nothing.
fn own_addresses() -> Vec<IpAddr> {
    // Documentation networks (RFC 5737, RFC 3849): routed like the world, and nobody's.
    let ways: [(IpAddr, IpAddr); 2] = [
        (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        ),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ),
    ];
    let own = ways.into_iter().filter_map(|(any, world)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((world, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    own.filter(|address| !address.is_unspecified()).collect()
}
