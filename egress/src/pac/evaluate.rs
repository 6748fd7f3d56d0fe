//! What a PAC script is asked, who answers, and which names may be looked up for it.
//!
//! ```text
//!   Question --> Evaluate (a child process, or a thread in tests) --> the script's own words
//!                    |  lookup(name)
//!                    v
//!                 Lookups: denied? too many? too slow? -> nothing; else the resolver
//! ```

use super::fault::PacFault;
use crate::host::Host;
use crate::limits::{PAC_LOOKUP_BUDGET, PAC_LOOKUPS_MAX};
use crate::tcp::Resolve;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The future of an evaluation.
pub type Evaluation<'a> = Pin<Box<dyn Future<Output = Result<String, PacFault>> + Send + 'a>>;

/// Runs `FindProxyForURL` of a script once.
pub trait Evaluate: fmt::Debug + Send + Sync {
    /// Returns the text that the script returned, at most
    /// [`PAC_RESULT_BYTES_MAX`](crate::limits::PAC_RESULT_BYTES_MAX) bytes and a little.
    fn evaluate(&self, question: Question, lookups: Lookups) -> Evaluation<'_>;
}

/// One question to one script.
#[derive(Clone, Debug)]
pub struct Question {
    /// The script.
    pub script: Arc<str>,
    /// The target as browsers show it: scheme, host, port, no path.
    pub url: String,
    /// The target's host.
    pub host: String,
    /// What `myIpAddress` says: the addresses from which this machine would leave.
    pub own: Vec<IpAddr>,
    /// Milliseconds since 1970 in place of the machine's clock.
    pub now_ms: Option<u64>,
}

/// Who may be looked up.
#[derive(Clone, Debug)]
pub enum LookupRule {
    /// Nobody: every lookup finds nothing.
    Deny,
    /// Anybody but this name.
    AllBut(Host),
    /// Anybody.
    All,
}

/// The lookups of one evaluation: counted, bounded in time, and denied where a name must not leave.
#[derive(Debug)]
pub struct Lookups {
    resolver: Arc<dyn Resolve>,
    rule: LookupRule,
    left: usize,
    time_left: Duration,
}

impl Lookups {
    /// Starts counting.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolve>, rule: LookupRule) -> Self {
        Self {
            resolver,
            rule,
            left: PAC_LOOKUPS_MAX,
            time_left: PAC_LOOKUP_BUDGET,
        }
    }

    /// Returns the addresses of a name; none when it has none, is denied, or a bound is reached.
    pub async fn addresses(&mut self, name: &str) -> Vec<IpAddr> {
        let name = match Host::parse(name) {
            Ok(Host::Address(address)) => return vec![address],
            Ok(Host::Name(name)) => name,
            Err(_no_name) => return Vec::new(),
        };
        let is_allowed = match &self.rule {
            LookupRule::Deny => false,
            LookupRule::AllBut(denied) => *denied != Host::Name(name.clone()),
            LookupRule::All => true,
        };
        if !is_allowed || self.left == 0 || self.time_left.is_zero() {
            return Vec::new();
        }
        self.left -= 1;
        let started = Instant::now();
        let found = timeout(self.time_left, self.resolver.resolve(&name, 443)).await;
        self.time_left = self.time_left.saturating_sub(started.elapsed());
        match found {
            Ok(Ok(addresses)) => addresses.into_iter().map(|address| address.ip()).collect(),
            Ok(Err(_unknown)) => Vec::new(),
            Err(_elapsed) => Vec::new(),
        }
    }
}
