//! Whether this device may change its application now: the pause file, the desired pause, the maintenance windows.
//!
//! ```text
//!  paused here (file "paused")  > paused by the controller (postern/pause)  > outside every window  > open
//! ```
//!
//! Following goes on while the gate is closed: revisions are accepted and reported, not applied.
//! Fails closed: a clock that is not set is in no window, and a `postern/pause` that is not `false` pauses.

use postern_protocol::state::{State, Value};
use std::io;
use std::path::{Path, PathBuf};

/// The path of the desired state with which a controller pauses a device.
pub const PAUSE_PATH: &str = "postern/pause";
/// The file in the device's folder that pauses it, whatever it holds.
const PAUSE_FILE: &str = "paused";

/// Why applying is or is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It is allowed.
    Open,
    /// `postern device pause` was said on this machine.
    Paused,
    /// The desired state says so.
    PausedByController,
    /// No maintenance window is open, or the clock is not set.
    OutsideWindows,
}

impl Gate {
    /// Decides.
    #[must_use]
    pub fn of(is_paused_here: bool, desired: &State, is_in_window: bool) -> Self {
        if is_paused_here {
            Self::Paused
        } else if is_paused_by(desired) {
            Self::PausedByController
        } else if is_in_window {
            Self::Open
        } else {
            Self::OutsideWindows
        }
    }

    /// Tells whether applying is allowed.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Open => true,
            Self::Paused | Self::PausedByController | Self::OutsideWindows => false,
        }
    }

    /// Returns the word in status and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::PausedByController => "paused-by-controller",
            Self::OutsideWindows => "outside-windows",
        }
    }
}

/// Tells whether the desired state pauses the device: anything but `false` does.
fn is_paused_by(desired: &State) -> bool {
    match desired.value(PAUSE_PATH) {
        None | Some(Value::Bool(false)) => false,
        Some(
            Value::Bool(true)
            | Value::Null
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Reference(_),
        ) => true,
    }
}

/// Returns the pause file of a device's folder.
#[must_use]
pub fn pause_file(dir: &Path) -> PathBuf {
    dir.join(PAUSE_FILE)
}

/// Tells whether a device's folder is paused; what cannot be looked at counts as paused.
#[must_use]
pub fn is_paused(dir: &Path) -> bool {
    match std::fs::symlink_metadata(pause_file(dir)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Pauses a device's folder; true when it was not paused. Durable when this returns.
///
/// # Errors
/// Whatever the file system refuses.
pub fn pause(dir: &Path) -> io::Result<bool> {
    match crate::keys::write_private(&pause_file(dir), b"") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets a device's folder go on; true when it was paused. Durable when this returns.
///
/// # Errors
/// Whatever the file system refuses.
pub fn resume(dir: &Path) -> io::Result<bool> {
    match std::fs::remove_file(pause_file(dir)) {
        Ok(()) => std::fs::File::open(dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, is_paused, pause, resume};
    use postern_protocol::state::{Path, State, Value};

    fn desired(value: Option<Value>) -> State {
        let path = Path::parse("postern/pause").unwrap();
        State::from_entries(value.map(|value| (path, value))).unwrap()
    }

    #[test]
    fn gate_is_closed_by_the_first_reason() {
        let pausing = desired(Some(Value::Bool(true)));
        let check = |here, state: &State, window, expected| {
            assert_eq!(Gate::of(here, state, window), expected);
        };
        check(true, &pausing, false, Gate::Paused);
        check(false, &pausing, false, Gate::PausedByController);
        check(false, &desired(None), false, Gate::OutsideWindows);
        check(false, &desired(None), true, Gate::Open);
        check(false, &desired(Some(Value::Bool(false))), true, Gate::Open);
    }

    #[test]
    fn pause_that_is_not_false_closes() {
        for value in [
            Value::Null,
            Value::Text("false".into()),
            Value::Bytes(vec![]),
        ] {
            let gate = Gate::of(false, &desired(Some(value)), true);
            assert_eq!(gate, Gate::PausedByController);
        }
    }

    #[test]
    fn pause_stays_until_resume() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_paused(folder.path()));
        assert!(pause(folder.path()).unwrap());
        assert!(!pause(folder.path()).unwrap());
        assert!(is_paused(folder.path()));
        assert!(resume(folder.path()).unwrap());
        assert!(!resume(folder.path()).unwrap());
        assert!(!is_paused(folder.path()));
        assert!(is_paused(&folder.path().join("\0")));
    }
}
