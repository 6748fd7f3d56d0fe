//! One network: names, certificate authorities, and a dialer for each test.
//!
//! Trusts only the controller's CA, given inline as a join line does, and whatever lies in the
//! site's CA folder. The machine's own roots, resolver and environment play no part.

use crate::pki::Ca;
use bytes::Bytes;
use postern_egress::{
    Answer, Budgets, Client, Dialer, ExchangeLimits, FileSettings, Lookup, MailboxUrl,
    ProxySettings, Resolve, Route, TimeKeeper, TransportError, Trust, Variables,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Knows the proxy and the controller, and remembers who was asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(name.to_owned());
            match name {
                "controller.test" | "proxy.test" => {
                    Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
                }
                // The first address refuses: nothing listens there.
                "two.test" => Ok(vec![
                    SocketAddr::from(([127, 0, 0, 2], port)),
                    SocketAddr::from(([127, 0, 0, 1], port)),
                ]),
                "slow.test" => std::future::pending().await,
                _unknown => Err(std::io::ErrorKind::NotFound.into()),
            }
        })
    }
}

pub(crate) struct Site {
    /// The CA of the real controller; the join line carries it.
    pub(crate) ca: Ca,
    pub(crate) names: Arc<Names>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) budgets: Budgets,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            ca: Ca::new("Postern Test CA"),
            names: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            budgets: Budgets::default(),
        }
    }

    /// A file in the site's folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A folder for the site's own CAs; empty at first.
    pub(crate) fn ca_folder(&self) -> PathBuf {
        let path = self.folder.path().join("ca");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn dialer(&self, settings: ProxySettings) -> Dialer {
        self.dialer_by(settings, Arc::default())
    }

    /// A dialer that checks certificates at the time of `keeper`.
    pub(crate) fn dialer_by(&self, settings: ProxySettings, keeper: Arc<TimeKeeper>) -> Dialer {
        self.dialer_called("postern-test", settings, keeper)
    }

    /// The same, under another name in HTTP.
    pub(crate) fn dialer_called(
        &self,
        user_agent: &str,
        settings: ProxySettings,
        keeper: Arc<TimeKeeper>,
    ) -> Dialer {
        let trust = Trust::new(vec![self.ca_folder()], Some(&self.ca.pem())).unwrap();
        let trust = trust.without_system_roots().with_time(keeper);
        Dialer::new(settings, Arc::new(trust), user_agent)
            .unwrap()
            .with_resolver(Arc::clone(&self.names) as Arc<dyn Resolve>)
            .with_budgets(self.budgets)
    }

    pub(crate) fn direct(&self, port: u16) -> Client {
        let dialer = self.dialer(ProxySettings::Off);
        dialer.client(&url(port), Route::Direct).unwrap()
    }

    pub(crate) fn proxied(&self, proxy: &str, secret_file: Option<PathBuf>) -> Dialer {
        self.dialer(require(proxy, secret_file))
    }
}

/// A required proxy with credentials `CORP\\alice:s3cret` and these schemes, all of them for none.
pub(crate) fn authenticated(site: &Site, proxy: &str, schemes: &[&str]) -> ProxySettings {
    let schemes: Vec<_> = schemes.iter().map(|&word| word.to_owned()).collect();
    let file = FileSettings {
        file: PathBuf::from("device.toml"),
        url: Some(proxy.to_owned()),
        secret_file: Some(site.file("secret", "CORP\\alice:s3cret\n")),
        schemes: (!schemes.is_empty()).then_some(schemes),
        ..FileSettings::default()
    };
    ProxySettings::resolve(&file, &Variables::default()).unwrap()
}

pub(crate) fn require(proxy: &str, secret_file: Option<PathBuf>) -> ProxySettings {
    let file = FileSettings {
        file: PathBuf::from("device.toml"),
        url: Some(proxy.to_owned()),
        secret_file,
        ..FileSettings::default()
    };
    ProxySettings::resolve(&file, &Variables::default()).unwrap()
}

pub(crate) fn url(port: u16) -> MailboxUrl {
    MailboxUrl::parse(&format!("https://controller.test:{port}/m")).unwrap()
}

pub(crate) const LIMITS: ExchangeLimits = ExchangeLimits {
    deadline: Duration::from_secs(30),
    answer_bytes_max: 1024,
};

pub(crate) async fn exchange(client: &Client) -> Result<Answer, TransportError> {
    client.exchange(Bytes::from_static(b"ping"), LIMITS).await
}

/// The code of a failure, or the body of an answer.
pub(crate) async fn outcome(client: &Client) -> Result<String, &'static str> {
    match exchange(client).await {
        Ok(answer) => Ok(String::from_utf8(answer.body.to_vec()).unwrap()),
        Err(error) => Err(error.code()),
    }
}
