use super::{Site, shell};
use crate::applier::{Confirm, Owning, STATUS_REVERTED, STATUS_SUPERSEDED};
use postern_protocol::revision::{Epoch, Revision, Seq};
use postern_protocol::state::{Path as StatePath, State, Value};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;
use tokio::sync::watch;
use tokio::test;

/// Fails while the value of `a` is "bad"; keeps a line for each run.
const HEALTH: &str = "! grep -q bad \"$0/site/current/a\"";
/// Keeps epoch, seq and the folder's content for each run.
const NOTE: &str = "echo \"$POSTERN_SEQ $(cat \"$POSTERN_FOLDER/a\" 2>/dev/null)\" >> \"$(dirname \"$POSTERN_FOLDER\")/../calls\"";

fn confirm(health: Option<&str>, soak: Duration) -> Confirm {
    Confirm {
        soak,
        health: health.map(shell),
        interval: Duration::from_millis(20),
        failures: 3,
    }
}

/// A site with a health check that fails for the value "bad" of `a`.
fn site(note: &str) -> Site {
    let mut site = Site::with(Some(shell(note)), None, Owning::default());
    let script = HEALTH.replace("$0", site.dir.path().to_str().unwrap());
    let confirm = confirm(Some(&script), Duration::from_millis(50));
    site.confirm_by(confirm);
    site
}

fn calls(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.outside("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
async fn revision_that_does_well_counts_after_its_soak() {
    let site = site(NOTE);
    assert_eq!(site.apply(1, &[("a", "good")]).await.status, 0);
    assert_eq!(site.apply(2, &[("a", "fine")]).await.status, 0);
    assert_eq!(site.text("a"), "fine");
    assert_eq!(calls(&site), ["1 good", "2 fine"]);
    // Once confirmed, nothing runs again.
    assert_eq!(site.apply(2, &[("a", "fine")]).await.status, 0);
    assert_eq!(calls(&site).len(), 2);
}

#[test]
async fn revision_that_is_not_healthy_is_reverted_once() {
    let site = site(NOTE);
    site.apply(1, &[("a", "good")]).await;
    let failed = site.apply(2, &[("a", "bad")]).await;
    assert_eq!(failed.status, STATUS_REVERTED);
    assert!(
        failed.output.starts_with("reverted: health failed 3 times"),
        "{}",
        failed.output
    );
    assert_eq!(site.text("a"), "good");
    assert_eq!(calls(&site), ["1 good", "2 bad", "1 good"]);
    let again = site.apply(2, &[("a", "bad")]).await;
    assert_eq!(
        (again.status, again.output),
        (STATUS_REVERTED, failed.output)
    );
    assert_eq!(
        calls(&site).len(),
        3,
        "a refused revision is not tried again"
    );
    assert_eq!(site.apply(3, &[("a", "fine")]).await.status, 0);
}

#[test]
async fn command_that_fails_is_reverted_with_its_output() {
    let note =
        format!("{NOTE}; ! grep -q broken \"$POSTERN_FOLDER/a\" || {{ echo no unit; exit 7; }}");
    let site = site(&note);
    site.apply(1, &[("a", "good")]).await;
    let failed = site.apply(2, &[("a", "broken")]).await;
    assert_eq!(failed.status, STATUS_REVERTED);
    assert_eq!(
        failed.output,
        "reverted: on_change ended with status 7: no unit"
    );
    assert_eq!(site.text("a"), "good");
}

#[test]
async fn first_revision_that_fails_leaves_an_empty_folder() {
    let site = site(NOTE);
    assert_eq!(site.apply(1, &[("a", "bad")]).await.status, STATUS_REVERTED);
    assert!(site.current().is_dir());
    assert!(!site.current().join("a").exists());
    assert_eq!(calls(&site), ["1 bad", "0 "]);
}

#[test]
async fn revert_whose_command_fails_is_finished_later() {
    let note = format!("{NOTE}; test ! -e \"$(dirname \"$POSTERN_FOLDER\")/../down\"");
    let site = site(&note);
    site.apply(1, &[("a", "good")]).await;
    fs::write(site.outside("down"), "").unwrap();
    let failed = site.apply(2, &[("a", "bad")]).await;
    assert!(
        failed
            .output
            .contains("on_change of the good revision ended with status 1"),
        "{}",
        failed.output
    );
    fs::remove_file(site.outside("down")).unwrap();
    let later = site.apply(2, &[("a", "bad")]).await;
    assert_eq!(later.status, STATUS_REVERTED);
    assert!(!later.output.contains("good revision"), "{}", later.output);
    assert_eq!(calls(&site), ["1 good", "2 bad", "1 good", "1 good"]);
}

#[test]
async fn newer_revision_cuts_a_soak_short() {
    let site = Site::with(
        None,
        Some(confirm(None, Duration::from_secs(86_400))),
        Owning::default(),
    );
    let value = Value::Text("x".into());
    let state = State::from_entries([(StatePath::parse("a").unwrap(), value)]).unwrap();
    let revision = |seq| Revision::new(Epoch::new(7), Seq::new(seq));
    let (newest, watching) = watch::channel(revision(1));
    let applying = site
        .applier
        .apply(revision(1), *state.root(), state, watching);
    let deciding = async { newest.send_replace(revision(2)) };
    let (applied, _) = tokio::join!(applying, deciding);
    assert_eq!(applied.status, STATUS_SUPERSEDED);
}

#[test]
async fn trial_that_is_interrupted_too_often_is_reverted() {
    let mut site = Site::with(Some(shell(NOTE)), None, Owning::default());
    site.confirm_by(confirm(None, Duration::from_millis(10)));
    site.apply(1, &[("a", "good")]).await;
    site.confirm_by(confirm(None, Duration::from_secs(86_400)));
    for runs in 2..=4 {
        // The process ends during the trial: nothing after the command is done.
        let told = async {
            while calls(&site).len() < runs {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            applied = site.apply(2, &[("a", "boom")]) => panic!("{applied:?}"),
            () = told => {}
        }
        assert_eq!(site.text("a"), "boom");
    }
    let reverted = site.apply(2, &[("a", "boom")]).await;
    assert!(
        reverted
            .output
            .starts_with("reverted: the device stopped 3 times"),
        "{}",
        reverted.output
    );
    assert_eq!(site.text("a"), "good");
}

#[test]
async fn journal_that_is_damaged_stops_applying() {
    let site = site(NOTE);
    site.apply(1, &[("a", "good")]).await;
    for text in ["", "{", "{\"good\":1}", "{\"other\":null}"] {
        fs::write(site.root().join(".postern/journal.json"), text).unwrap();
        let refused = site.apply(2, &[("a", "fine")]).await;
        assert_eq!(
            refused.status,
            crate::applier::STATUS_NOT_RENDERED,
            "{text}"
        );
        assert!(
            refused.output.contains("journal.json"),
            "{}",
            refused.output
        );
    }
    assert_eq!(site.text("a"), "good");
}

#[test]
async fn modes_of_the_configuration_win() {
    let owning = Owning {
        file_mode: Some(0o640),
        dir_mode: Some(0o750),
        gid: Some(rustix::process::getegid().as_raw()),
    };
    let site = Site::with(None, None, owning);
    site.apply(1, &[("a/b", "x")]).await;
    let file = site.current().join("a/b");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    site.apply(2, &[("a/b", "x"), ("c", "y")]).await;
    for (path, mode) in [("a/b", 0o640), ("c", 0o640), ("a", 0o750), ("", 0o750)] {
        let metadata = fs::metadata(site.current().join(path)).unwrap();
        assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
    }
}
