//! Ways whose proxies a PAC script names: found out before a round of attempts, and made anew when they change.
//!
//! ```text
//!   preparation() --run (waits, beside the loop)--> handle_prepared(): ways of the new answers
//! ```
//!
//! Ways that stay keep what they learnt. Refuses to leave a mailbox without a way because a script could not be
//! asked, as long as an older answer stands.

use super::{Routes, Way};
use crate::clock;
use postern_egress::{Dialer, MailboxUrl};
use std::time::Duration;

/// How often the script is asked whether its answers are still the same; it decides itself what is due.
const LOOK: Duration = Duration::from_secs(60);
/// The same while something could not be found out, or there is no way to carry an exchange.
pub const NO_WAY_PAUSE: Duration = Duration::from_secs(10);

/// Everything that has to be found out before a round of attempts.
pub struct Preparation {
    dialer: Dialer,
    targets: Vec<MailboxUrl>,
}

impl Preparation {
    /// Finds it out; returns when to look again.
    pub async fn run(self) -> Duration {
        let mut pause = LOOK;
        for target in &self.targets {
            // The dialer logs and keeps why.
            if self.dialer.prepare(target).await.is_err() {
                pause = NO_WAY_PAUSE;
            }
        }
        pause
    }
}

impl Routes {
    /// Returns what has to be found out; `None` where no script names the proxies.
    #[must_use]
    pub fn preparation(&self) -> Option<Preparation> {
        self.dialer.settings().pac()?;
        let targets = self
            .urls
            .iter()
            .filter_map(|url| super::target_of(url).ok());
        Some(Preparation {
            dialer: self.dialer.clone(),
            targets: targets.collect(),
        })
    }

    /// Makes the ways of new answers. Returns true when another mailbox is in use now, or a first way.
    pub fn handle_prepared(&mut self) -> bool {
        let used = self.ways.get(self.current).map(|way| way.id);
        let url = self.current_url().map(str::to_owned);
        let mut before = std::mem::take(&mut self.ways);
        for url in self.urls.clone() {
            for made in self.make(&url).unwrap_or_default() {
                let known = before.iter().position(|way| is_same(way, &made));
                let way = known.map_or(made, |place| before.remove(place));
                self.ways.push(way);
            }
        }
        let (up, down) = super::bytes_of(&before);
        self.gone_bytes = (self.gone_bytes.0 + up, self.gone_bytes.1 + down);
        self.current = used.and_then(|id| self.place(id)).unwrap_or(0);
        if self.current > 0 {
            self.comeback.leave(clock::mono_ms(), super::random());
        } else {
            self.comeback.arrive(clock::mono_ms());
        }
        self.current_url() != url.as_deref()
    }

    /// Says for each mailbox which ways lead there and why, one line each.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let targets = self
            .urls
            .iter()
            .filter_map(|url| super::target_of(url).ok());
        targets
            .map(|target| self.dialer.explain(&target).to_string())
            .collect()
    }
}

fn is_same(way: &Way, made: &Way) -> bool {
    way.url == made.url
        && way.client.route() == made.client.route()
        && way.client.proxy() == made.client.proxy()
}
