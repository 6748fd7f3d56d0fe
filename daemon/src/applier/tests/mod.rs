mod command;
mod rendering;
mod trial;

use super::{Applier, ApplierSettings, Confirm, Owning, Program};
use postern_protocol::device::Applied;
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Path as StatePath, State, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// A folder of a test and the applier that renders into it.
struct Site {
    dir: TempDir,
    applier: Applier,
}

impl Site {
    fn new(script: Option<&str>) -> Self {
        Self::limited(script, Duration::from_secs(60))
    }

    fn limited(script: Option<&str>, time_limit: Duration) -> Self {
        Self::running(script.map(|script| Program {
            time_limit,
            ..shell(script)
        }))
    }

    fn running(on_change: Option<Program>) -> Self {
        Self::with(on_change, None, Owning::default())
    }

    fn with(on_change: Option<Program>, confirm: Option<Confirm>, owning: Owning) -> Self {
        let dir = TempDir::new().expect("a folder");
        let applier = Applier::new(ApplierSettings {
            render_dir: dir.path().join("site"),
            on_change,
            confirm,
            owning,
        });
        Self { dir, applier }
    }

    /// The next process is configured to try revisions first.
    fn confirm_by(&mut self, confirm: Confirm) {
        let settings = ApplierSettings {
            confirm: Some(confirm),
            ..(*self.applier.settings).clone()
        };
        self.applier = Applier::new(settings);
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    fn current(&self) -> PathBuf {
        self.root().join("current")
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.current().join(path)).expect("a file")
    }

    fn generations(&self) -> Vec<String> {
        let mut names = names_of(&self.root().join(".postern"));
        names.retain(|name| name.starts_with("gen-"));
        names
    }

    async fn apply(&self, seq: u64, entries: &[(&str, &str)]) -> Applied {
        let texts = entries
            .iter()
            .map(|(path, text)| (*path, Value::Text((*text).into())));
        self.apply_values(seq, texts).await
    }

    async fn apply_values<'a>(
        &self,
        seq: u64,
        entries: impl Iterator<Item = (&'a str, Value)>,
    ) -> Applied {
        let parsed = entries.map(|(path, value)| (StatePath::parse(path).expect("a path"), value));
        let state = State::from_entries(parsed).expect("a state");
        let revision = Revision::new(Epoch::new(7), Seq::new(seq));
        let (_newest, newest) = watch::channel(revision);
        self.applier
            .apply(revision, *state.root(), state, newest)
            .await
    }
}

fn shell(script: &str) -> Program {
    Program {
        words: ["sh", "-c", script].map(str::to_owned).to_vec(),
        time_limit: Duration::from_secs(60),
        account: None,
    }
}

fn names_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}
