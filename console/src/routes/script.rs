//! Ways whose proxies a PAC script names: found out before a round of attempts, and made anew when they change.
//!
//! ```text
//!   preparation() --run (waits, beside the loop)--> handle_prepared(): ways of the new answers
//! ```
//!
//! Ways that stay keep what they learnt. Refuses to leave a mailbox without a way because a script could not be
//! asked, as long as an older answer stands.

use super::facts::add_bytes;
use super::{Routes, Way};
use postern_egress::{Dialer, MailboxUrl};
use std::sync::Arc;
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
            .addresses
            .iter()
            .filter_map(|address| super::target_of(&address.url).ok());
        Some(Preparation {
            dialer: self.dialer.clone(),
            targets: targets.collect(),
        })
    }

    /// Makes the ways of new answers. Returns true when the mailbox in use is not to be used any more, or there was
    /// no way before.
    pub fn handle_prepared(&mut self) -> bool {
        let ids = |ways: &[Way]| ways.iter().map(|way| way.id).collect::<Vec<_>>();
        let ids_before = ids(&self.ways);
        let mut before = std::mem::take(&mut self.ways);
        for address in self.addresses.clone() {
            for made in self.make(&address).unwrap_or_default() {
                let known = before.iter().position(|way| is_same(way, &made));
                let way = known.map_or(made, |place| before.remove(place));
                self.ways.push(way);
            }
        }
        add_bytes(&mut self.gone_bytes, &before);
        // The script's last failure, too, is for people.
        self.explained = self.explained();
        if ids(&self.ways) == ids_before {
            return false;
        }
        self.tell_ways() || ids_before.is_empty()
    }

    /// Says for each mailbox which ways lead there and why, one line each.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let targets = self
            .addresses
            .iter()
            .filter_map(|address| super::target_of(&address.url).ok());
        targets
            .map(|target| self.dialer.explain(&target).to_string())
            .collect()
    }

    /// The same for status: each line once, without the name of its mailbox.
    pub(super) fn explained(&self) -> Arc<[String]> {
        let mut lines: Vec<String> = Vec::new();
        for line in self.explain() {
            let why = line.split_once(": ").map_or("", |(_mailbox, why)| why);
            if !why.is_empty() && !lines.iter().any(|known| known == why) {
                lines.push(why.to_owned());
            }
        }
        lines.into()
    }
}

fn is_same(way: &Way, made: &Way) -> bool {
    way.address.url == made.address.url
        && way.client.route() == made.client.route()
        && way.client.proxy() == made.client.proxy()
}

#[cfg(test)]
mod tests {
    use super::super::{Address, Whereabouts};
    use super::*;
    use postern_egress::pac::ThreadEvaluator;
    use postern_egress::{FileSettings, ProxyPolicy, ProxySettings, Trust, Variables};

    const URLS: [&str; 2] = ["https://controller.test:8443", "https://relay.test"];

    struct Site {
        folder: tempfile::TempDir,
        routes: Routes,
    }

    impl Site {
        fn new(script: &str, mode: Option<ProxyPolicy>) -> Self {
            Self::with(script, |file| file.mode = mode)
        }

        /// One whose device has a password for the proxies of these hosts.
        fn with_password(script: &str, hosts: &[&str]) -> Self {
            Self::with(script, |file| {
                let secret = file.file.with_file_name("secret");
                std::fs::write(&secret, "user:password").unwrap();
                file.secret_file = Some(secret);
                let hosts = hosts.iter().copied().map(str::to_owned);
                file.credentials_for = Some(hosts.collect());
            })
        }

        fn with(script: &str, set: impl FnOnce(&mut FileSettings)) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut file = FileSettings {
                file: folder.path().join("device.toml"),
                pac: Some("proxy.pac".to_owned()),
                ..FileSettings::default()
            };
            set(&mut file);
            let settings = ProxySettings::resolve(&file, &Variables::default()).unwrap();
            let trust = Arc::new(Trust::new(Vec::new(), None).unwrap());
            let dialer = Dialer::new(settings, trust, "postern-test").unwrap();
            let dialer = dialer.with_evaluator(Arc::new(ThreadEvaluator));
            let urls = URLS.map(|url| vec![url.to_owned()]);
            let addresses = Address::of_all(urls.iter().map(Vec::as_slice));
            let whereabouts = Whereabouts::open(folder.path(), "test".to_owned());
            let ceiling = Duration::from_secs(55);
            let routes = Routes::new(dialer, whereabouts, &addresses, ceiling).unwrap();
            let site = Self { folder, routes };
            site.write(script);
            site
        }

        fn write(&self, script: &str) {
            std::fs::write(self.folder.path().join("proxy.pac"), script).unwrap();
            self.routes.dialer.handle_network_change();
        }

        async fn prepare(&mut self) -> (Duration, bool) {
            let pause = self.routes.preparation().unwrap().run().await;
            (pause, self.routes.handle_prepared())
        }

        /// The proxy of each way to the first mailbox, and the group whose ways show the same password.
        fn groups(&self) -> Vec<(String, Option<u8>)> {
            let to_first = self
                .routes
                .ways
                .iter()
                .filter(|way| way.address.mailbox == 0);
            let groups = to_first.map(|way| {
                let mut facts = self.routes.ladder.facts(super::super::moment());
                let fact = facts.find(|fact| fact.way.id == way.id).unwrap();
                (way.client.proxy().unwrap_or_default(), fact.way.secret)
            });
            groups.collect()
        }

        fn ways(&self) -> Vec<String> {
            let ways = self.routes.ways.iter().map(|way| {
                let proxy = way.client.proxy();
                format!(
                    "{} {}",
                    way.address.url,
                    proxy.as_deref().unwrap_or("direct")
                )
            });
            ways.collect()
        }
    }

    const A: &str = "function FindProxyForURL() { return 'PROXY a.test:1' }";

    #[tokio::test]
    async fn required_script_gives_the_first_ways_when_it_was_asked() {
        let mut site = Site::new(A, Some(ProxyPolicy::Require));
        assert!(site.routes.is_empty());
        assert_eq!(site.prepare().await, (LOOK, true));
        let expected = URLS.map(|url| format!("{url} http://a.test:1"));
        assert_eq!(site.ways(), expected);
        assert_eq!(site.prepare().await, (LOOK, false), "nothing is new");
    }

    #[tokio::test]
    async fn changed_answer_makes_its_ways_and_keeps_the_others() {
        let mut site = Site::new(A, None);
        let direct = URLS.map(|url| format!("{url} direct"));
        assert_eq!(site.ways(), direct);
        site.prepare().await;
        let kept = site.routes.ways[1].id;
        site.routes.handle_won(kept);
        site.write(
            "function FindProxyForURL(u, h) { return h === 'relay.test' ? 'PROXY b.test:1' : 'DIRECT' }",
        );
        assert_eq!(site.prepare().await, (LOOK, false));
        let [controller, relay] = URLS;
        let expected = [
            format!("{controller} direct"),
            format!("{relay} http://b.test:1"),
            format!("{relay} direct"),
        ];
        assert_eq!(site.ways(), expected);
        assert_eq!(site.routes.used().unwrap().id, kept);
    }

    #[tokio::test]
    async fn script_that_fails_takes_no_way_and_is_asked_again_soon() {
        let mut site = Site::new(A, Some(ProxyPolicy::Require));
        site.prepare().await;
        let before = site.ways();
        site.write("throw 1");
        assert_eq!(site.prepare().await, (NO_WAY_PAUSE, false));
        assert_eq!(site.ways(), before);
        let said = site.routes.explain().join("\n");
        assert!(
            said.contains("PST-P23") && said.contains("http://a.test:1"),
            "{said}"
        );
    }

    const THREE: &str =
        "function FindProxyForURL() { return 'PROXY a.test:1; PROXY b.test:1; PROXY a.test:2' }";

    #[tokio::test]
    async fn ways_show_a_password_one_by_one_only_where_host_and_user_are_the_same() {
        let mut site = Site::with_password(THREE, &["a.test", "b.test"]);
        site.prepare().await;
        let expected = [
            ("http://a.test:1".to_owned(), Some(0)),
            ("http://b.test:1".to_owned(), Some(1)),
            ("http://a.test:2".to_owned(), Some(0)),
        ];
        assert_eq!(site.groups()[..3], expected);
    }

    #[tokio::test]
    async fn ways_that_show_no_password_wait_for_nobody() {
        let mut site = Site::with_password(THREE, &["b.test"]);
        site.prepare().await;
        let expected = [
            ("http://a.test:1".to_owned(), None),
            ("http://b.test:1".to_owned(), Some(0)),
            ("http://a.test:2".to_owned(), None),
        ];
        assert_eq!(site.groups()[..3], expected);
        let mut site = Site::new(THREE, None);
        site.prepare().await;
        assert!(site.groups().iter().all(|(_, group)| group.is_none()));
    }

    #[tokio::test]
    async fn required_script_that_never_answered_leaves_no_way() {
        let mut site = Site::new("throw 1", Some(ProxyPolicy::Require));
        assert_eq!(site.prepare().await, (NO_WAY_PAUSE, false));
        assert!(site.routes.is_empty());
        assert_eq!(site.routes.current_name(), "none");
    }
}
