//! In which network this process is, and what it remembers of networks: `networks.record` in the folder of its role.
//!
//! Shared by all routes of a process. A record that is missing starts an empty memory; one that is damaged,
//! too. Refuses to stop anything over it: what it holds are hints.

use crate::clock;
use postern_egress::canary::Believed;
use postern_egress::clock::Moment;
use postern_egress::ladder::memory::{Limits, NetworkMemory};
use postern_egress::ladder::{Hints, WayKey};
use postern_egress::limits::NETWORK_RECORD_BYTES_MAX;
use postern_egress::network::{NetworkId, Watch, source};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the file in the folder.
const FILE: &str = "networks.record";
/// Milliseconds between two writes of it. Arbitrary: hints need no better.
const WRITE_INTERVAL_MS: u64 = 10_000;

/// See the head of this module.
#[derive(Clone, Debug)]
pub struct Whereabouts(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    memory: NetworkMemory,
    watch: Watch,
    /// A word for the proxy setting: another setting is another network.
    proxy: String,
    /// Changes of the network since the start.
    changes: u64,
    is_behind: bool,
    rests_until_ms: u64,
    /// Records that were damaged.
    damaged: u64,
}

impl Whereabouts {
    /// Reads the record of a folder and looks where this machine is.
    #[must_use]
    pub fn open(folder: &Path, proxy: String) -> Self {
        let file = folder.join(FILE);
        let (memory, damaged) = match load(&file) {
            Ok(Some(record)) => match NetworkMemory::from_record(&record) {
                Ok(memory) => (memory, 0),
                Err(error) => {
                    tracing::warn!(%error, "starting without what was known of networks");
                    (NetworkMemory::new(), 1)
                }
            },
            Ok(None) => (NetworkMemory::new(), 0),
            Err(error) => {
                tracing::warn!(%error, "the record of networks cannot be read");
                (NetworkMemory::new(), 1)
            }
        };
        let signs = source::signs(Path::new("/"), &proxy);
        Self(Arc::new(Mutex::new(Inner {
            file,
            memory,
            watch: Watch::new(moment(), signs),
            proxy,
            changes: 0,
            is_behind: false,
            rests_until_ms: 0,
            damaged,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves hints usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.lock().watch.id()
    }

    /// Records that were damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.lock().damaged
    }

    /// Looks around when it is time; returns how often the network changed since the start.
    pub fn look(&self) -> u64 {
        let mut inner = self.lock();
        let now = moment();
        if now >= inner.watch.due() {
            let signs = source::signs(Path::new("/"), &inner.proxy);
            if inner.watch.handle_signs(now, signs) {
                inner.changes += 1;
                let network = inner.watch.id();
                tracing::info!(%network, "in another network");
            }
        }
        inner.write_when_due();
        inner.changes
    }

    /// The clock's milliseconds at which [`Self::look`] should come again.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        let inner = self.lock();
        let look = inner.watch.due().as_millis();
        let write = inner.is_behind.then_some(inner.rests_until_ms);
        write.map_or(look, |write| write.min(look))
    }

    /// What a race here may know.
    #[must_use]
    pub fn hints(&self) -> Hints {
        let inner = self.lock();
        inner.memory.hints(inner.watch.id(), clock::unix_s())
    }

    /// What is known here of a way.
    #[must_use]
    pub fn limits(&self, way: WayKey) -> Option<Limits> {
        let inner = self.lock();
        let network = inner.watch.id();
        inner.memory.limits(network, clock::unix_s(), way)
    }

    /// What canaries showed here, and on which ways, as far as that is believed yet.
    #[must_use]
    pub fn canaries(&self) -> Vec<(WayKey, Believed)> {
        let inner = self.lock();
        let network = inner.watch.id();
        inner.memory.canaries(network, clock::unix_s())
    }

    /// A way proved itself here.
    pub(super) fn note_good(&self, way: WayKey) {
        self.note(|memory, network, now| memory.note_good(network, now, way));
    }

    /// QUIC met silence here, or did not.
    pub(super) fn note_udp(&self, is_hostile: bool) {
        self.note(|memory, network, now| memory.note_udp(network, now, is_hostile));
    }

    /// What a way carries here.
    pub(super) fn note_limits(&self, limits: Limits) {
        self.note(|memory, network, now| memory.note_limits(network, now, limits));
    }

    fn note(&self, note: impl FnOnce(&mut NetworkMemory, NetworkId, Option<u64>) -> bool) {
        let mut inner = self.lock();
        let network = inner.watch.id();
        inner.is_behind |= note(&mut inner.memory, network, clock::unix_s());
    }
}

impl Inner {
    fn write_when_due(&mut self) {
        let now_ms = clock::mono_ms();
        if !self.is_behind || now_ms < self.rests_until_ms {
            return;
        }
        self.is_behind = false;
        self.rests_until_ms = now_ms.saturating_add(WRITE_INTERVAL_MS);
        if let Err(error) = save(&self.file, &self.memory.to_record()) {
            tracing::debug!(%error, "the record of networks cannot be written");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.is_behind {
            // Hints: nobody misses them much.
            let _lost = save(&self.file, &self.memory.to_record());
        }
    }
}

fn load(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bound = u64::try_from(NETWORK_RECORD_BYTES_MAX).unwrap_or(u64::MAX);
    let mut record = Vec::new();
    // One byte more, so that what is too large is seen to be.
    file.take(bound.saturating_add(1))
        .read_to_end(&mut record)?;
    Ok(Some(record))
}

/// Whole or not at all. Not flushed: a lost record costs a race.
fn save(file: &Path, record: &[u8]) -> io::Result<()> {
    let next = file.with_extension("record.next");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&next)?.write_all(record)?;
    std::fs::rename(&next, file)
}

fn moment() -> Moment {
    Moment::from_millis(clock::mono_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_egress::Route;

    fn open(folder: &Path) -> Whereabouts {
        Whereabouts::open(folder, "none".into())
    }

    #[test]
    fn way_that_was_good_is_known_to_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let way = WayKey::of("https://a", Route::Direct);
        let before = open(folder.path());
        assert_eq!(before.hints(), Hints::default());
        before.note_good(way);
        drop(before);
        assert_eq!(open(folder.path()).hints().last_good, Some(way));
    }

    #[test]
    fn damaged_record_is_counted_and_left_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        for damage in [&b""[..], b"PSTNETS2", &[0; NETWORK_RECORD_BYTES_MAX + 9]] {
            std::fs::write(&file, damage).unwrap();
            let whereabouts = open(folder.path());
            assert_eq!(whereabouts.damaged(), 1);
            assert_eq!(whereabouts.hints(), Hints::default());
        }
    }

    #[test]
    fn record_that_cannot_be_read_or_written_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(FILE)).unwrap();
        let whereabouts = open(folder.path());
        assert_eq!(whereabouts.damaged(), 1);
        whereabouts.note_udp(true);
        assert_eq!(whereabouts.look(), 0);
        let absent = open(&folder.path().join("absent"));
        absent.note_good(WayKey::of("https://a", Route::Direct));
        assert_eq!(absent.look(), 0);
        assert_eq!(absent.damaged(), 0);
    }

    #[test]
    fn record_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let whereabouts = open(folder.path());
        whereabouts.note_good(WayKey::of("https://a", Route::Direct));
        whereabouts.look();
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}
