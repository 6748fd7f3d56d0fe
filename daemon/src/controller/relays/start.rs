//! From the bundle to links: one for each relay and tenant, started anew with each bundle.
//!
//! The embedded mailbox is no relay. Refuses to start a link without the tenant's writer key.

use super::Relays;
use super::anchors::{is_behind, read_anchor};
use super::link::{LinkSetup, LinkTask};
use crate::config::ControllerConfig;
use crate::controller::keyring::{Writers, read_mailboxes};
use crate::controller::work::Work;
use crate::exit::CommandError;
use crate::records::Loaded;
use crate::routes::{Address, Outlet};
use postern_protocol::key::Signer as _;
use postern_protocol::record::Table;
use postern_protocol::trust::{Mailbox, Trust};
use postern_protocol::writer_link::{LinkIdentity, WriterLink};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What starts links, at the start of the process and with each bundle.
#[derive(Debug, Clone)]
pub struct Starter {
    config: Arc<ControllerConfig>,
    relays: Relays,
    work: mpsc::Sender<Work>,
}

/// Records of links by key.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

impl Starter {
    /// Puts it together; starts nothing yet.
    #[must_use]
    pub const fn new(
        config: Arc<ControllerConfig>,
        relays: Relays,
        work: mpsc::Sender<Work>,
    ) -> Self {
        Self {
            config,
            relays,
            work,
        }
    }

    /// The links that it starts.
    #[must_use]
    pub const fn relays(&self) -> &Relays {
        &self.relays
    }

    /// Starts the links of a process that starts: the engine posts everything itself.
    ///
    /// # Errors
    /// A key, anchor, proxy or URL that cannot be used; a record that cannot be read.
    pub fn start(&self, trust: &Trust, loaded: &[Loaded]) -> Result<(), CommandError> {
        let own = loaded.iter().filter(|record| record.table == Table::Relays);
        let records = own.map(|record| (record.key.clone(), record.value.clone()));
        self.replace(trust, &records.collect(), false)
    }

    /// Starts the links of a new bundle: each relay is filled anew, which costs it nothing that it holds.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn renew(&self, trust: &Trust, records: Vec<Loaded>) -> Result<(), CommandError> {
        let own = records
            .into_iter()
            .filter(|record| record.table == Table::Relays);
        let records = own.map(|record| (record.key, record.value));
        self.replace(trust, &records.collect(), true)
    }

    fn replace(
        &self,
        trust: &Trust,
        records: &Records,
        is_behind: bool,
    ) -> Result<(), CommandError> {
        let relays = self.listed(trust)?;
        let mut tasks = Vec::new();
        if !relays.is_empty() {
            let writers = Arc::new(Writers::read(&self.config, trust)?);
            let anchors = self.anchors(&relays)?;
            let outlet = Outlet::from(self.config.as_ref());
            let dialer = outlet.dialer(anchors.iter().map(Vec::as_slice))?;
            let whereabouts = outlet.whereabouts();
            for relay in relays {
                for tenant in self.config.writers.keys() {
                    let identity = LinkIdentity {
                        root: trust.root(),
                        tenant: tenant.clone(),
                        mailbox: relay.key.clone(),
                    };
                    let key = WriterLink::record_key(&identity);
                    let record = records.get(&key).map(Vec::as_slice);
                    let link = WriterLink::new(identity, trust.number(), record)
                        .map_err(|error| CommandError::from_record(&self.config.store, &error))?;
                    tasks.push(LinkTask::new(LinkSetup {
                        link,
                        tenant: tenant.clone(),
                        relay: relay.key.thumbprint(),
                        writers: Arc::clone(&writers),
                        routes: outlet.routes_by(
                            dialer.clone(),
                            whereabouts.clone(),
                            &Address::of_one(&relay.urls),
                        )?,
                        work: self.work.clone(),
                        bundles: trust.steps().to_vec(),
                        is_behind,
                    }));
                }
            }
        }
        self.relays.replace(tasks);
        Ok(())
    }

    /// The mailboxes of the bundle that this controller dials: those whose key it does not have itself.
    fn listed(&self, trust: &Trust) -> Result<Vec<Mailbox>, CommandError> {
        let own = read_mailboxes(&self.config, trust)?;
        let is_own =
            |mailbox: &&Mailbox| own.iter().any(|signer| *signer.public_key() == mailbox.key);
        // What stands behind another relay is reached through that one, or not at all.
        let is_dialled = |mailbox: &&Mailbox| {
            !is_own(mailbox) && !is_behind(&self.config, mailbox.key.thumbprint())
        };
        let mailboxes = trust.mailboxes().iter();
        Ok(mailboxes.filter(is_dialled).cloned().collect())
    }

    fn anchors(&self, relays: &[Mailbox]) -> Result<Vec<Vec<u8>>, CommandError> {
        let mut anchors = Vec::new();
        for relay in relays {
            anchors.extend(read_anchor(&self.config, relay.key.thumbprint())?);
        }
        Ok(anchors)
    }
}
